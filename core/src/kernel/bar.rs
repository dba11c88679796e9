//! A bar against new commands, on a port of software FCoE: frames that carry a command
//! to an address are dropped before libfc sees them, everything else passes.
//!
//! libfc and tcm_fc have no way to stop listening. A command that arrives while its port
//! logs out is never ended, and the logout waits for it without end (`ft_queue_status` in
//! drivers/target/tcm_fc/tfc_cmd.c returns early for an aborted exchange and keeps the
//! reference). To the initiator, a dropped command looks like one that the logout has
//! overtaken, which follows at once. The initiator sends it again when the port is back.
//!
//! A bar that stayed would cause an I/O error at the initiator. So it is an element with
//! a timeout in an nftables set: the kernel lifts it by itself, even if the agent was
//! killed.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::op::{Done, Op};
use super::{Cause, KernelError};
use crate::wwn::Wwn;

/// After how many seconds the kernel lifts a bar. A bar of some fifteen caused an I/O
/// error at a Linux initiator.
const EXPIRES: u32 = 5;

/// Sets the bar, or sets it again.
pub fn set(link: &str, wwpn: Wwn, fcid: u32, op: &Op) -> Result<Done, KernelError> {
    let (table, frame) = (table(wwpn), command_to(fcid));
    // The 32 bits at byte 28 of what follows the link's header: R_CTL and D_ID. In front
    // of them are the FCoE header (14 bytes, of FC-BB-5 7.7) and Ethernet's.
    nft(
        &format!(
            "table netdev {table}
             delete table netdev {table}
             table netdev {table} {{
                 set barred {{
                     typeof @ll,224,32; flags timeout
                     elements = {{ {frame:#010x} timeout {EXPIRES}s }}
                 }}
                 chain arriving {{
                     type filter hook ingress device \"{link}\" priority -500
                     @ll,224,32 @barred drop
                 }}
             }}"
        ),
        op,
    )
}

/// Lifts the bar of a port. If there is none, that is a success.
pub fn lift(wwpn: Wwn, op: &Op) -> Result<Done, KernelError> {
    nft(&lifted(wwpn), op)
}

/// Returns the script that removes a port's table. It makes the table first: to delete
/// one that somebody's `flush ruleset` has removed would be an error.
fn lifted(wwpn: Wwn) -> String {
    let table = table(wwpn);
    format!("table netdev {table}\ndelete table netdev {table}")
}

/// Returns the name of a port's table. Each port has its own, so that two groups' bars do
/// not touch each other.
fn table(wwpn: Wwn) -> String {
    format!("understudy_{}", wwpn.hex())
}

/// Returns how the header of a frame begins that carries a command to an address: R_CTL,
/// D_ID.
fn command_to(fcid: u32) -> u32 {
    const UNSOLICITED_COMMAND: u32 = 0x06;
    UNSOLICITED_COMMAND << 24 | fcid & 0x00ff_ffff
}

/// An `nft` that has been started and waits for its script. If none comes, it does
/// nothing and ends with the process that started it.
static READY: Mutex<Option<Child>> = Mutex::new(None);

/// Starts `nft` in advance: most of its time is its start, and a bar is set while
/// initiators wait.
pub fn ready(op: &Op) -> Result<Done, KernelError> {
    let nft = start().map_err(|e| op.failed(Cause::of(&e)))?;
    *READY.lock().unwrap_or_else(PoisonError::into_inner) = Some(nft);
    Ok(Done::Changed)
}

fn start() -> std::io::Result<Child> {
    Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
}

/// Runs a script with `nft`, which carries it out as a whole or not at all.
fn nft(script: &str, op: &Op) -> Result<Done, KernelError> {
    let failed = |e: std::io::Error| op.failed(Cause::of(&e));
    let ready = READY.lock().unwrap_or_else(PoisonError::into_inner).take();
    let mut nft = ready.map_or_else(start, Ok).map_err(failed)?;
    // Dropped, and so closed, before nft is waited for.
    if let Some(mut input) = nft.stdin.take() {
        input.write_all(script.as_bytes()).map_err(failed)?;
    }
    let output = nft.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(Done::Changed);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let status = output.status.to_string();
    let said = said.lines().next().unwrap_or(&status);
    Err(op.failed(Cause::Device(format!("nft: {said}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_to_the_address_matches_and_nothing_else() {
        assert_eq!(command_to(0x0a_bb_cc), 0x060a_bbcc);
    }

    #[test]
    fn a_table_that_was_flushed_is_no_error() {
        let script = lifted("20:01:00:25:b5:00:00:0a".parse().unwrap());
        let made = script.find("table netdev understudy_200100").unwrap();
        assert!(made < script.find("delete table netdev understudy_200100").unwrap());
    }
}
