//! The bar against new commands to a port of software FCoE. Frames that bring a command
//! to the port's address are dropped before libfc sees them. All other frames pass.
//!
//! libfc and tcm_fc have no way to stop listening. If a command arrives while its port
//! logs out, it never ends, and the logout waits for it without end (`ft_queue_status` in
//! drivers/target/tcm_fc/tfc_cmd.c returns early for an aborted exchange and keeps the
//! reference). A dropped command looks to the initiator as if the logout, which follows
//! at once, had overtaken it. The initiator sends it again when the port is back.
//!
//! A bar that stayed would cause an I/O error at the initiator. So the bar is an element
//! with a timeout in an nftables set. The kernel removes it by itself, even if the agent
//! was killed.

use super::nft;
use crate::kernel::KernelError;
use crate::kernel::op::{Done, Op};
use crate::wwn::Wwn;

/// How many seconds a bar lasts before the kernel lifts it. A bar of some fifteen seconds
/// caused an I/O error at a Linux initiator.
const EXPIRES: u32 = 5;

/// Sets the bar of a port. If it is set already, its time begins again.
pub(crate) fn set(
    link: &str,
    wwpn: Wwn,
    fcid: u32,
    op: &Op,
) -> Result<Done, KernelError> {
    let (table, frame) = (table(wwpn), command_to(fcid));
    // The protocol is at byte 12, and R_CTL and D_ID are at byte 28. The headers of
    // Ethernet and of FCoE (14 bytes, FC-BB-5 7.7) come before those.
    nft::change(
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
                     @ll,96,16 0x8906 @ll,224,32 @barred drop
                 }}
             }}"
        ),
        op,
    )
}

/// Lifts the bar of a port, if there is one.
pub(crate) fn lift(wwpn: Wwn, op: &Op) -> Result<Done, KernelError> {
    nft::change(&lifted(wwpn), op)
}

/// Returns the script that removes a port's table. It makes the table first, because
/// deleting one that does not exist, after somebody's `flush ruleset`, is an error.
fn lifted(wwpn: Wwn) -> String {
    let table = table(wwpn);
    format!("table netdev {table}\ndelete table netdev {table}")
}

/// Returns the name of a port's table. Each port has its own, so that the bars of two
/// groups do not affect each other.
fn table(wwpn: Wwn) -> String {
    format!("understudy_{}", wwpn.hex())
}

/// Returns the first four bytes of the header of a frame that brings a command to this
/// address: R_CTL and D_ID.
fn command_to(fcid: u32) -> u32 {
    const UNSOLICITED_COMMAND: u32 = 0x06;
    UNSOLICITED_COMMAND << 24 | fcid & 0x00ff_ffff
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
