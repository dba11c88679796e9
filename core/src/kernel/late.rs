//! Workers that outlive their action. A call that hangs in the kernel keeps its process there,
//! killed or not, and may be carried out at any time later.
//!
//! Each worker's process has a name from which its group can be told, and what it is for. So
//! workers are found in /proc. No agent has to write a file before it is killed, and a boot
//! ends worker and name.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::op::Op;
use super::{Kernel, KernelError};
use crate::digest::fnv128;

/// What a worker is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// The worker asks.
    Looks,
    /// The worker changes what there is of a group.
    Changes,
    /// The worker changes what there is of a group, and its call may make something serve.
    Serves,
}

const PURPOSES: [(Purpose, char); 3] =
    [(Purpose::Looks, 'l'), (Purpose::Changes, 'c'), (Purpose::Serves, 's')];

/// A worker whose action is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    /// The number of the worker's process.
    pub pid: u32,
    /// What the worker is for, by the most that any of its threads is.
    pub purpose: Purpose,
    /// How long ago the worker was started.
    pub age: Duration,
}

/// Returns the name of a process that works for a group: thirteen letters of the fifteen that
/// the kernel takes (`TASK_COMM_LEN`).
pub fn name(group: &str, purpose: Purpose) -> String {
    let letter =
        PURPOSES.iter().find(|(its, _)| *its == purpose).map_or('l', |(_, l)| *l);
    format!("{}{letter}", prefix(group))
}

fn prefix(group: &str) -> String {
    format!("us-{:08x}-", fnv128(&["worker", group]) as u32)
}

/// Returns whether an operation may make something serve, whenever it is carried out.
pub fn serves(op: &Op) -> bool {
    match op {
        Op::Write { path, text } => match path.file_name().and_then(|name| name.to_str())
        {
            Some("vport_create") => true,
            Some("enabled" | "enable") => text.trim() == "1",
            Some("vport_disable") => text.trim() == "0",
            _ => false,
        },
        _ => false,
    }
}

/// Gives the calling thread the name of one that works for a group. Threads that it starts
/// have that name too.
pub fn take_name(group: &str, purpose: Purpose) {
    if let Ok(name) = CString::new(name(group, purpose)) {
        // SAFETY: the call reads the text, which ends with a zero byte, and keeps nothing.
        unsafe { nix::libc::prctl(nix::libc::PR_SET_NAME, name.as_ptr()) };
    }
}

/// Does what an operation is, under the name of a thread that may make something serve where
/// it is such an operation for a group.
pub fn under_its_name<T>(
    group: &Option<Arc<str>>,
    op: &Op,
    act: impl FnOnce() -> T,
) -> T {
    let Some(group) = group.as_deref().filter(|_| serves(op)) else { return act() };
    take_name(group, Purpose::Serves);
    let done = act();
    take_name(group, Purpose::Changes);
    done
}

/// Returns the workers of a group whose action is over, the oldest first. This process's own
/// are not among them.
///
/// # Errors
/// When a process cannot be read, and is still there.
pub fn of(kernel: &dyn Kernel, group: &str) -> Result<Vec<Late>, KernelError> {
    let (proc, prefix) = (Path::new("/proc"), prefix(group));
    let mut found = Vec::new();
    for name in kernel.list(proc)? {
        let Ok(pid) = name.parse::<u32>() else { continue };
        let dir = proc.join(&name);
        let is_ours = |comm: &str| comm.starts_with(&prefix);
        if !read(kernel, &dir.join("comm"))?.is_some_and(|comm| is_ours(&comm)) {
            continue;
        }
        let Some(stat) = stat(kernel, &dir)? else { continue };
        if i64::from(stat.parent) == i64::from(Pid::this().as_raw()) {
            continue;
        }
        let mut purpose = None;
        for task in kernel.list(&dir.join("task"))? {
            purpose = purpose.max(alive(kernel, &dir.join("task").join(task))?);
        }
        let age = uptime(kernel)?.saturating_sub(stat.started);
        found.extend(purpose.map(|purpose| Late { pid, purpose, age }));
    }
    found.sort_by_key(|late| std::cmp::Reverse(late.age));
    Ok(found)
}

/// Returns what a thread is for, if it has not ended.
fn alive(kernel: &dyn Kernel, task: &Path) -> Result<Option<Purpose>, KernelError> {
    let Some(stat) = stat(kernel, task)? else { return Ok(None) };
    let comm = read(kernel, &task.join("comm"))?.unwrap_or_default();
    let letter = comm.trim().chars().next_back();
    let purpose = PURPOSES.iter().find(|(_, its)| Some(*its) == letter);
    let purpose = purpose.map(|(purpose, _)| *purpose);
    Ok(purpose.filter(|_| !matches!(stat.state, 'Z' | 'X')))
}

/// What /proc says of a process or a thread (proc_pid_stat(5)).
struct Stat {
    state: char,
    parent: u32,
    /// How long after the boot the process was started.
    started: Duration,
}

fn stat(kernel: &dyn Kernel, dir: &Path) -> Result<Option<Stat>, KernelError> {
    // Behind the name, which may have any letter in it: the state, the parent, and the start
    // in hundredths of a second as the nineteenth after the state.
    const START: usize = 19;
    let Some(text) = read(kernel, &dir.join("stat"))? else { return Ok(None) };
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let words: Vec<_> = rest.split_whitespace().collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
    let state = words.first().and_then(|word| word.chars().next()).unwrap_or('?');
    let parent = number(1).and_then(|parent| u32::try_from(parent).ok()).unwrap_or(0);
    let started = Duration::from_millis(number(START).unwrap_or(0).saturating_mul(10));
    Ok(Some(Stat { state, parent, started }))
}

fn uptime(kernel: &dyn Kernel) -> Result<Duration, KernelError> {
    let text = read(kernel, &PathBuf::from("/proc/uptime"))?.unwrap_or_default();
    let seconds = text.split_whitespace().next().and_then(|word| word.parse().ok());
    let uptime = Duration::try_from_secs_f64(seconds.unwrap_or(0.0));
    Ok(uptime.unwrap_or_default())
}

/// Returns the text of a file; nothing where its process has gone.
fn read(kernel: &dyn Kernel, path: &Path) -> Result<Option<String>, KernelError> {
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
        assert!(!serves(&Op::Expedite));
    }
}
