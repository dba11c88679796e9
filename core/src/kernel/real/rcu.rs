//! Expedited RCU grace periods. A LUN costs one or two grace periods when it is made or
//! removed, some 18 ms each, and the kernel partly waits for one after the other.
//! Expedited, they take hardly any time. But the switch is one for the whole kernel and
//! costs every processor something, so it is on only during a change. The last understudy
//! process that needs it restores the value from before, even if an earlier one was
//! killed.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::files;
use super::place::under;
use crate::kernel::op::{Done, Op};
use crate::kernel::{Cause, KernelError, paths};

/// The content of the file: the switch's value before, and the processes that need it on.
struct Holders {
    before: String,
    pids: Vec<i32>,
}

/// Turns on expedited grace periods for a process.
pub(crate) fn expedite(root: &Path, pid: Pid, op: &Op) -> Result<Done, KernelError> {
    change(root, op, |holders| {
        if !holders.pids.contains(&pid.as_raw()) {
            holders.pids.push(pid.as_raw());
        }
    })
}

/// Notes that a process no longer needs expedited grace periods. The switch is restored,
/// unless another understudy process still needs them.
pub(crate) fn relax(root: &Path, pid: Pid, op: &Op) -> Result<Done, KernelError> {
    change(root, op, |holders| holders.pids.retain(|other| *other != pid.as_raw()))
}

fn change(
    root: &Path,
    op: &Op,
    act: impl FnOnce(&mut Holders),
) -> Result<Done, KernelError> {
    let (file, switch) =
        (Path::new(paths::EXPEDITED), under(root, Path::new(paths::RCU_EXPEDITED)));
    let failed = |e: std::io::Error| op.failed(Cause::of(&e));
    // While this lock is held, no other understudy process changes the file or the
    // switch.
    let _lock = files::lock(root, &file.with_extension("lock"))?;
    let now = fs::read_to_string(&switch).map_err(failed)?.trim().to_owned();
    let mut holders = match files::load(root, file) {
        Ok(text) => Holders::parse(&text, &now),
        Err(_) => Holders { before: now.clone(), pids: Vec::new() },
    };
    act(&mut holders);
    let wanted = if holders.pids.is_empty() { holders.before.as_str() } else { "1" };
    // The file names a process before the switch is turned on for it. So if the process
    // is killed in between, later ones still know of it.
    if holders.pids.is_empty() {
        fs::write(&switch, wanted).map_err(failed)?;
        files::discard(root, file)?;
    } else {
        files::store(root, file, &holders.text())?;
        fs::write(&switch, wanted).map_err(failed)?;
    }
    Ok(if wanted == now { Done::Unchanged } else { Done::Changed })
}

impl Holders {
    /// Parses the file's text, without processes that have died. A text that cannot be
    /// parsed names no process.
    fn parse(text: &str, now: &str) -> Self {
        let mut lines = text.lines();
        let before = lines.next().filter(|value| matches!(*value, "0" | "1"));
        let pids = lines.filter_map(|line| line.parse().ok());
        let lives =
            |pid: &i32| *pid > 0 && kill(Pid::from_raw(*pid), None) != Err(Errno::ESRCH);
        Self {
            before: before.unwrap_or(now).to_owned(),
            pids: pids.filter(lives).collect(),
        }
    }

    fn text(&self) -> String {
        let pids: String = self.pids.iter().map(|pid| format!("{pid}\n")).collect();
        format!("{}\n{pids}", self.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root directory in which the switch is off at first.
    struct Root(tempfile::TempDir);

    impl Root {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            for dir in ["run", "sys/kernel"] {
                fs::create_dir_all(root.path().join(dir)).unwrap();
            }
            fs::write(under(root.path(), Path::new(paths::RCU_EXPEDITED)), "0\n")
                .unwrap();
            Self(root)
        }

        fn call(
            &self,
            act: fn(&Path, Pid, &Op) -> Result<Done, KernelError>,
            pid: Pid,
        ) -> String {
            act(self.0.path(), pid, &Op::Expedite).unwrap();
            let path = under(self.0.path(), Path::new(paths::RCU_EXPEDITED));
            fs::read_to_string(path).unwrap().trim().to_owned()
        }

        fn is_tidy(&self) -> bool {
            !under(self.0.path(), Path::new(paths::EXPEDITED)).exists()
        }
    }

    #[test]
    fn the_last_one_puts_it_back() {
        let (root, one, other) = (Root::new(), Pid::this(), Pid::parent());
        assert_eq!(root.call(expedite, one), "1");
        assert_eq!(root.call(expedite, other), "1");
        assert_eq!(root.call(expedite, other), "1");
        assert_eq!(root.call(relax, other), "1");
        assert_eq!(root.call(relax, one), "0");
        assert!(root.is_tidy());
        assert_eq!(root.call(relax, one), "0");
    }

    #[test]
    fn what_a_dead_one_left_is_put_back() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let dead = Pid::from_raw(child.id().try_into().unwrap());
        child.wait().unwrap();
        let root = Root::new();
        assert_eq!(root.call(expedite, dead), "1");
        assert_eq!(root.call(expedite, Pid::this()), "1");
        assert_eq!(root.call(relax, Pid::this()), "0");
        assert!(root.is_tidy());
        assert_eq!(root.call(expedite, dead), "1");
        assert_eq!(root.call(relax, Pid::this()), "0");
    }

    #[test]
    fn what_an_operator_has_turned_on_stays_on() {
        let root = Root::new();
        let path = under(root.0.path(), Path::new(paths::RCU_EXPEDITED));
        fs::write(path, "1\n").unwrap();
        assert_eq!(root.call(expedite, Pid::this()), "1");
        assert_eq!(root.call(relax, Pid::this()), "1");
    }

    #[test]
    fn a_damaged_file_is_nobodys() {
        for text in ["", "?", "7\n-1\n0\nx\n99999999999\n"] {
            let root = Root::new();
            files::store(root.0.path(), Path::new(paths::EXPEDITED), text).unwrap();
            assert_eq!(root.call(relax, Pid::this()), "0");
            assert!(root.is_tidy());
        }
    }
}
