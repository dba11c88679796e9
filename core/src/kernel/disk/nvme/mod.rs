//! Disks that speak NVMe: their reservations (NVMe base specification, Reservations) and
//! their names.
//!
//! A registration belongs to a host, by its Host ID, for all its controllers and paths.
//! So two nodes with one Host ID are one host to the namespace, and a reservation keeps
//! neither out.
//!
//! A controller reports by an event that a namespace has grown (`nvme_handle_aen_notice`
//! in drivers/nvme/host/core.c), so it is never asked for the size.

mod command;
pub mod names;
pub mod report;

use std::fs;
use std::path::Path;

use command::{CONFLICT, Namespace, Refusal};

use super::Protocol;
use crate::kernel::op::{Done, Op};
use crate::kernel::real::place::under;
use crate::kernel::reservation::Reservation;
use crate::kernel::{Cause, KernelError, nexus, paths};

/// The protocol NVMe.
pub(crate) struct Nvme;

impl Protocol for Nvme {
    fn perform(&self, path: &Path, op: &Op) -> Result<Done, KernelError> {
        carried_out(path, op)
            .map_err(|cause| KernelError { path: path.to_owned(), ..op.failed(cause) })
    }

    fn renamed(&self, root: &Path, path: &Path) -> Option<[String; 2]> {
        let known = paths::block(&nexus::name(path), "wwid");
        let known = fs::read_to_string(under(root, &known)).ok()?;
        let namespace = Namespace::open(&under(root, path), "ask for its name").ok()?;
        names::renamed(&known, &namespace.descriptors().ok()?)
    }

    fn capacity(&self, _: &Path) -> Option<u64> {
        None
    }
}

fn carried_out(path: &Path, op: &Op) -> Result<Done, Cause> {
    let namespace = Namespace::open(path, "use reservations")?;
    let done = match op {
        Op::Join { key, .. } => namespace.register(*key, is_lasting(&namespace)?),
        Op::Register { key, .. } => {
            let lasting = is_lasting(&namespace)?;
            // Linux's target replaces a key only if there is one (`nvmet_pr_replace` in
            // drivers/nvme/target/pr.c), so a plain registration is tried first.
            match namespace.register(*key, lasting) {
                Err(Refusal::Status(CONFLICT)) => namespace.replace(*key, lasting),
                done => done,
            }
        }
        Op::Confirm { key, .. } => namespace.confirm(*key, is_lasting(&namespace)?),
        Op::Unregister { key, .. } => namespace.unregister(*key),
        Op::Reserve { key, .. } => namespace.reserve(*key),
        Op::PreemptAndAbort { key, other, .. } => {
            namespace.preempt_and_abort(*key, *other)
        }
        _ => return reservation(&namespace).map(Done::Reservation),
    };
    match done {
        Ok(()) => Ok(Done::Changed),
        Err(Refusal::Status(CONFLICT)) => Err(Cause::Device(conflict(op).into())),
        Err(refusal) => Err(refusal.into()),
    }
}

/// Returns what a reservation conflict means for an operation, in words. A registration
/// gets one only if this node's own registration is not the expected one.
fn conflict(op: &Op) -> &'static str {
    match op {
        Op::Reserve { .. } | Op::PreemptAndAbort { .. } => {
            "reservation conflict: another node owns the disk"
        }
        _ => {
            "reservation conflict: another key is registered under this node's Host \
             ID, or none"
        }
    }
}

/// Returns whether a namespace can keep registrations over a loss of power. A namespace
/// that cannot may refuse a command that asks for it.
fn is_lasting(namespace: &Namespace) -> Result<bool, Cause> {
    /// Bits of RESCAP: persistence, and the reservation type that understudy uses.
    const PERSISTS: u8 = 1;
    const WRITE_EXCLUSIVE_REGISTRANTS_ONLY: u8 = 1 << 3;
    let capabilities = namespace.reservation_capabilities()?;
    match capabilities & WRITE_EXCLUSIVE_REGISTRANTS_ONLY {
        0 => Err(Cause::NoReservations),
        _ => Ok(capabilities & PERSISTS != 0),
    }
}

fn reservation(namespace: &Namespace) -> Result<Reservation, Cause> {
    /// The length of a usual answer, for a few dozen registrants, and the most that a
    /// controller returns at once.
    const USUAL: usize = 4096;
    const MOST: usize = 1 << 17;
    let host = namespace.host_id()?;
    if host.iter().all(|byte| *byte == 0) {
        let why = "this node has no Host ID there, so that it cannot reserve anything: set \
                   one (nvme set-feature --feature-id=0x81), which no other node has";
        return Err(Cause::Device(why.into()));
    }
    let mut answer = namespace.report(&host, USUAL)?;
    let whole = report::length(&answer, &host);
    if whole > answer.len() {
        answer = namespace.report(&host, whole.min(MOST))?;
    }
    report::parse(&answer, &host).map_err(Cause::Device)
}
