//! What can go wrong with one operation, and in which of them it does.

use std::cell::{Cell, RefCell};
use std::mem::discriminant;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use understudy_core::kernel::Op;
use understudy_core::kernel::{Cause, paths};

/// What the simulated process dies of.
#[derive(Debug)]
pub struct Killed;

/// What goes wrong with one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The process dies instead of carrying it out. The kernel lives on.
    Dies,
    /// The operation is refused, and nothing is done.
    Fails(Cause),
    /// The operation does not come back in time, and is never done.
    Hangs,
    /// The operation does not come back in time, and is done.
    HangsDone,
    /// A disk answers with success, and does nothing; anything else is done as ever.
    DoesNothing,
}

/// An operation, as faults are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// An operation on the kernel.
    Op(Op),
    /// A file of ours is written.
    Store,
    /// A file of ours is removed.
    Discard,
}

impl Deed {
    /// Returns everything that can go wrong with this, one after another.
    pub fn faults(&self) -> Vec<Fault> {
        let op = match self {
            Self::Op(op) => op,
            Self::Store => return refusals(&[Errno::EROFS, Errno::ENOSPC, Errno::EIO]),
            Self::Discard => return refusals(&[Errno::EROFS, Errno::EIO]),
        };
        let mut faults = refusals(errnos(op));
        faults.extend([Fault::Hangs, Fault::HangsDone]);
        faults.push(Fault::Fails(Cause::NotBegun));
        match op {
            op if changes_reservation(op) => {
                let words = |text: &str| Fault::Fails(Cause::Device(text.into()));
                faults.extend([
                    words("reservation conflict: another node owns the disk"),
                    words("the disk refused (CHECK CONDITION)"),
                    Fault::DoesNothing,
                ]);
            }
            Op::ReadReservation(_) => {
                faults.push(Fault::Fails(Cause::PathFailed("host status 1".into())));
            }
            // qla2xxx takes 9 bytes where it means to say no (FC_VPORT_FAILED).
            Op::Write { path, .. } if path.ends_with("vport_create") => {
                faults.push(Fault::Fails(Cause::Short(9)));
            }
            Op::Link { to, .. } => {
                faults.push(Fault::Fails(Cause::LeadsTo(to.with_extension("other"))));
            }
            op if uses_nft(op) => {
                let words = "nft: Error: Could not process rule";
                faults.push(Fault::Fails(Cause::Device(words.into())));
            }
            _ => {}
        }
        faults
    }
}

impl Deed {
    /// Returns the disk that this asks or changes.
    pub fn disk(&self) -> Option<&Path> {
        let Self::Op(op) = self else { return None };
        disk_of(op)
    }
}

fn disk_of(op: &Op) -> Option<&Path> {
    match op {
        Op::Identify(disk)
        | Op::ReadReservation(disk)
        | Op::Join { disk, .. }
        | Op::Register { disk, .. }
        | Op::Confirm { disk, .. }
        | Op::Unregister { disk, .. }
        | Op::Reserve { disk, .. }
        | Op::PreemptAndAbort { disk, .. }
        | Op::KeepPaths { disk, .. }
        | Op::ReadDisk(disk)
        | Op::Rescan(disk)
        | Op::LoadState(disk)
        | Op::Keep { device: disk, .. } => Some(disk),
        _ => None,
    }
}

/// Returns whether something is done to the disk of an operation, and is of its kind.
fn is_alike(deed: &Deed, op: &Op) -> bool {
    let Deed::Op(other) = deed else { return false };
    discriminant(other) == discriminant(op) && disk_of(other) == disk_of(op)
}

pub(super) fn changes_reservation(op: &Op) -> bool {
    matches!(
        op,
        Op::Join { .. }
            | Op::Register { .. }
            | Op::Confirm { .. }
            | Op::Unregister { .. }
            | Op::Reserve { .. }
            | Op::PreemptAndAbort { .. }
    )
}

fn uses_nft(op: &Op) -> bool {
    matches!(
        op,
        Op::ReadyNft
            | Op::Bar { .. }
            | Op::LiftBar(_)
            | Op::BeginAccount { .. }
            | Op::ReadAccount(_)
            | Op::EndAccount { .. }
    )
}

fn refusals(errnos: &[Errno]) -> Vec<Fault> {
    errnos.iter().map(|errno| Fault::Fails(Cause::Errno(*errno as i32))).collect()
}

/// Returns what the kernel may answer to each operation.
fn errnos(op: &Op) -> &'static [Errno] {
    use Errno::*;
    match op {
        Op::MakeDir(path) if path.starts_with(paths::TARGET) => {
            &[EINVAL, ENOENT, ENOMEM, EPERM, ENODEV]
        }
        Op::MakeDir(_) => &[EROFS, ENOSPC, EACCES],
        Op::RemoveDir(_) => &[EBUSY, ENOTEMPTY, EPERM],
        Op::Link { .. } => &[ENODEV, EINVAL, EEXIST, ENOENT, ENOMEM],
        Op::Unlink(_) => &[EPERM, EBUSY],
        Op::Write { path, .. } if path.ends_with("vport_create") => {
            &[EINVAL, ENOSPC, EIO, ENOTUNIQ, EOPNOTSUPP, ENOSYS, ENOMEM, EBUSY]
        }
        Op::Write { path, .. } if path.ends_with("vport_delete") => {
            &[ENODEV, EBUSY, EIO, EINVAL]
        }
        Op::Write { path, .. } if path.ends_with("vport_disable") => {
            &[EBUSY, ENODEV, ENOENT, EINVAL]
        }
        Op::Write { path, .. } if path.ends_with("enable") => {
            &[EBUSY, ENODEV, EINVAL, ENOENT, EIO, EEXIST]
        }
        Op::Write { .. } | Op::WriteAll { .. } => {
            &[EINVAL, ENODEV, ENOENT, EACCES, ENOMEM]
        }
        Op::WriteIfAny { .. } => &[EINVAL, ENODEV, ENOMEM],
        Op::ReadReservation(_)
        | Op::Join { .. }
        | Op::Register { .. }
        | Op::Confirm { .. }
        | Op::Unregister { .. }
        | Op::Reserve { .. }
        | Op::PreemptAndAbort { .. } => &[EIO, ENODEV, ENXIO, EAGAIN, ENOTTY],
        // A disk that does not answer is not judged by this.
        Op::Identify(_) => &[],
        Op::ReadDisk(_) => &[EIO, ENXIO, ENODATA],
        Op::Rescan(_) => &[EIO, ENOENT],
        Op::ReadyNft
        | Op::Bar { .. }
        | Op::LiftBar(_)
        | Op::BeginAccount { .. }
        | Op::ReadAccount(_)
        | Op::EndAccount { .. } => &[ENOENT, ENOMEM],
        Op::Expedite | Op::Relax => &[ENOENT, EROFS],
        Op::LoadState(_) => &[EIO, ENXIO],
        Op::Keep { .. } => &[ENOENT, EIO, EAGAIN, ENOMEM],
        Op::HearKeeper(_) => &[ENOTCONN],
        Op::EndKeeper(_) => &[EBUSY, EPERM],
        Op::Echo(_) => &[ENOENT, ENXIO, ETIMEDOUT, EAGAIN],
        // A fabric that does not answer is no error.
        Op::LogOut { .. } => &[],
        Op::KeepPaths { .. } | Op::HearMultipathd => &[ECONNREFUSED],
    }
}

/// Counts operations and reads, and lets one of them go wrong.
#[derive(Debug, Default)]
pub(super) struct Faults {
    deeds: Deeds<Fault>,
    reads: Deeds<Errno>,
    unreadable: RefCell<Option<(PathBuf, Errno)>>,
    lasting: RefCell<Option<(Op, Fault)>>,
    journal: RefCell<Option<Vec<Deed>>>,
}

#[derive(Debug)]
struct Deeds<T> {
    count: Cell<usize>,
    planned: RefCell<Option<(usize, T)>>,
}

impl<T> Default for Deeds<T> {
    fn default() -> Self {
        Self { count: Cell::new(0), planned: RefCell::new(None) }
    }
}

impl<T> Deeds<T> {
    fn plan(&self, fault: Option<(usize, T)>) {
        self.count.set(0);
        self.planned.replace(fault);
    }

    fn next(&self) -> Option<T> {
        let number = self.count.replace(self.count.get() + 1);
        self.planned.borrow_mut().take_if(|(n, _)| *n == number).map(|(_, what)| what)
    }
}

impl Faults {
    pub fn plan(&self, fault: Option<(usize, Fault)>) {
        self.deeds.plan(fault);
        self.reads.plan(None);
        self.journal.replace(Some(Vec::new()));
    }

    pub fn plan_read(&self, fault: (usize, Errno)) {
        self.deeds.plan(None);
        self.reads.plan(Some(fault));
    }

    /// Counts an operation that is about to be done, and returns what goes wrong with it.
    pub fn strike(&self, deed: impl FnOnce() -> Deed) -> Option<Fault> {
        let (mut journal, lasting) = (self.journal.borrow_mut(), self.lasting.borrow());
        let mut fault = self.deeds.next();
        if journal.is_some() || lasting.is_some() {
            let deed = deed();
            let alike = |(op, _): &&(Op, Fault)| is_alike(&deed, op);
            fault = fault.or_else(|| Some(lasting.as_ref().filter(alike)?.1.clone()));
            if let Some(journal) = journal.as_mut() {
                journal.push(deed);
            }
        }
        if fault == Some(Fault::Dies) {
            // Unlike a panic it says nothing: the death of a process is no news.
            std::panic::resume_unwind(Box::new(Killed));
        }
        fault
    }

    pub fn make_unreadable(&self, end: &Path, errno: Errno) {
        self.unreadable.replace(Some((end.to_owned(), errno)));
    }

    pub fn make_lasting(&self, fault: Option<(Op, Fault)>) {
        self.lasting.replace(fault);
    }

    pub fn strike_read(&self, path: &Path) -> Option<Errno> {
        let unreadable = self.unreadable.borrow();
        let spoilt = unreadable.as_ref().filter(|(end, _)| path.ends_with(end));
        self.reads.next().or(spoilt.map(|(_, errno)| *errno))
    }

    pub fn deeds(&self) -> Vec<Deed> {
        self.journal.borrow().clone().unwrap_or_default()
    }

    pub fn reads(&self) -> usize {
        self.reads.count.get()
    }
}
