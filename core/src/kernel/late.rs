//! Late workers: processes that outlive the action that they worked for. A call that
//! hangs in the kernel keeps its process, even after SIGKILL, and may still be carried
//! out at any time.
//!
//! The name of a worker's process says for which group it works and what for, so later
//! actions find it in /proc. That needs no file, which an agent that is killed could not
//! write. A boot ends the worker and its name.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use super::op::Op;
use super::{Kernel, KernelError, paths};
use crate::digest::fnv128;

/// What a worker does for its group. The later variants are the more dangerous ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// The worker only asks.
    Looks,
    /// The worker changes something of the group.
    Changes,
    /// The worker's call may make the group serve, by a port or a target.
    Serves,
}

const PURPOSES: [(Purpose, char); 3] =
    [(Purpose::Looks, 'l'), (Purpose::Changes, 'c'), (Purpose::Serves, 's')];

/// A worker whose action is over although it is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    /// The worker's process ID.
    pub pid: u32,
    /// What the worker does: the most dangerous purpose of any of its threads.
    pub purpose: Purpose,
    /// How long ago the worker was started.
    pub age: Duration,
}

/// Returns the name of a process that works for a group. It has 13 letters, and the
/// kernel allows 15 (`TASK_COMM_LEN`).
pub fn name(group: &str, purpose: Purpose) -> String {
    let letter =
        PURPOSES.iter().find(|(its, _)| *its == purpose).map_or('l', |(_, l)| *l);
    format!("{}{letter}", prefix(group))
}

fn prefix(group: &str) -> String {
    format!("us-{:08x}-", fnv128(&["worker", group]) as u32)
}

/// Returns whether an operation may make a group serve if it is carried out late. A
/// backstore that is enabled late serves nobody, because no port leads to it.
pub(crate) fn serves(op: &Op) -> bool {
    let Op::Write { path, text } = op else { return false };
    match path.file_name().and_then(|name| name.to_str()) {
        Some("vport_create") => true,
        Some("enabled") => text.trim() == "1",
        Some("enable") => text.trim() == "1" && !path.starts_with(paths::lio_core()),
        Some("vport_disable") => text.trim() == "0",
        _ => false,
    }
}

/// Gives the calling thread the name of a worker for a group. Threads that it starts
/// inherit the name.
pub(crate) fn take_name(group: &str, purpose: Purpose) {
    if let Ok(name) = CString::new(name(group, purpose)) {
        // SAFETY: the call reads the text, which ends with a zero byte, and keeps nothing.
        unsafe { nix::libc::prctl(nix::libc::PR_SET_NAME, name.as_ptr()) };
    }
}

/// Carries out an operation. While an operation of [`serves`] runs, its thread has a name
/// that says so.
pub(crate) fn under_its_name<T>(
    group: Option<&str>,
    op: &Op,
    act: impl FnOnce() -> T,
) -> T {
    let Some(group) = group.filter(|_| serves(op)) else { return act() };
    take_name(group, Purpose::Serves);
    let done = act();
    take_name(group, Purpose::Changes);
    done
}

/// Returns the workers of a group that were killed and are still there, the oldest first.
///
/// # Errors
/// When a process that still exists cannot be read.
pub fn of(kernel: &dyn Kernel, group: &str) -> Result<Vec<Late>, KernelError> {
    let (proc, prefix) = (Path::new("/proc"), prefix(group));
    let mut found = Vec::new();
    for name in kernel.list(proc)? {
        let Ok(pid) = name.parse::<u32>() else { continue };
        let dir = proc.join(&name);
        let comm = read(kernel, &dir.join("comm"))?;
        if !comm.is_some_and(|comm| comm.starts_with(&prefix)) {
            continue;
        }
        let mut purpose = None;
        for task in kernel.list(&dir.join("task"))? {
            let status = read(kernel, &dir.join("task").join(task).join("status"))?;
            purpose = purpose.max(status.as_deref().and_then(hanging));
        }
        let Some(stat) = read(kernel, &dir.join("stat"))? else { continue };
        let age = uptime(kernel)?.saturating_sub(started(&stat));
        found.extend(purpose.map(|purpose| Late { pid, purpose, age }));
    }
    found.sort_by_key(|late| std::cmp::Reverse(late.age));
    Ok(found)
}

/// Returns the purpose of a thread that was killed and has not ended; `None` for any
/// other. `status` is its file in /proc (proc_pid_status(5)), where a SIGKILL is pending
/// for such a thread.
fn hanging(status: &str) -> Option<Purpose> {
    const KILLED: u64 = 1 << (nix::libc::SIGKILL - 1);
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map_or("", str::trim)
    };
    let signals = |name| u64::from_str_radix(value(name), 16).unwrap_or(0);
    let is_killed = (signals("SigPnd:") | signals("ShdPnd:")) & KILLED != 0;
    let has_ended = value("State:").starts_with(['Z', 'X']);
    let letter = value("Name:").chars().next_back();
    let purpose = PURPOSES.iter().find(|(_, its)| Some(*its) == letter);
    purpose.map(|(purpose, _)| *purpose).filter(|_| is_killed && !has_ended)
}

/// Returns how long after the boot a process was started, from its `stat` file
/// (proc_pid_stat(5)).
fn started(stat: &str) -> Duration {
    // After the name, which may have any character in it, the state is the first word and
    // the start time the twentieth, in hundredths of a second.
    const START: usize = 19;
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let start = rest.split_whitespace().nth(START).and_then(|word| word.parse().ok());
    Duration::from_millis(start.unwrap_or(0_u64).saturating_mul(10))
}

fn uptime(kernel: &dyn Kernel) -> Result<Duration, KernelError> {
    let text = read(kernel, &PathBuf::from("/proc/uptime"))?.unwrap_or_default();
    let seconds = text.split_whitespace().next().and_then(|word| word.parse().ok());
    let uptime = Duration::try_from_secs_f64(seconds.unwrap_or(0.0));
    Ok(uptime.unwrap_or_default())
}

/// Returns the text of a file in /proc; `None` if its process has ended.
pub(super) fn read(
    kernel: &dyn Kernel,
    path: &Path,
) -> Result<Option<String>, KernelError> {
    match kernel.read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.is_gone() || error.is(Errno::ESRCH) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_room_in_the_kernel() {
        let name = name("a group with a very long name", Purpose::Changes);
        assert!(name.len() <= 15 && name.starts_with("us-") && name.ends_with("-c"));
    }

    #[test]
    fn what_may_serve_is_known() {
        let write =
            |path: &str, text: &str| Op::Write { path: path.into(), text: text.into() };
        assert!(serves(&write("/sys/class/fc_host/host2/vport_create", "1:2")));
        assert!(serves(&write("/sys/bus/fcoe/devices/ctlr_0/enabled", "1")));
        assert!(serves(&write("/sys/class/fc_vports/vport-2:0-0/vport_disable", "0")));
        assert!(!serves(&write("/sys/class/fc_vports/vport-2:0-0/vport_disable", "1")));
        assert!(!serves(&write("/sys/class/fc_host/host2/vport_delete", "1:2")));
        let lio = "/sys/kernel/config/target";
        assert!(serves(&write(&format!("{lio}/qla2xxx/21:00/tpgt_1/enable"), "1")));
        assert!(!serves(&write(&format!("{lio}/core/iblock_1/lun_0/enable"), "1")));
        assert!(!serves(&Op::Expedite));
    }
}
