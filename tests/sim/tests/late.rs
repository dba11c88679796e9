//! What earlier actions may still do: workers whose calls hang in the kernel, as /proc shows
//! them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::{Node, Setup};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, Pid, fork, mkfifo};
use understudy_core::kernel::late::{self, Purpose};
use understudy_core::kernel::{Kernel, Op, RealKernel};
use understudy_core::verbs::{Health, Level, check_node};
use understudy_sim::Deed;

fn pair() -> (Node, Node) {
    common::pair(&Setup::new(2, 1))
}

/// Has the node show a worker of the group that was started this many seconds ago, with a
/// thread in this state.
fn hangs(node: &Node, purpose: Purpose, age: u64, state: char) {
    shows(node, purpose, age, state, 0x100);
}

/// Has the node show such a worker with these signals pending.
fn shows(node: &Node, purpose: Purpose, age: u64, state: char, signals: u64) {
    let name = late::name("group-a", purpose);
    let zeros = "0 ".repeat(17);
    let stat = format!("4711 ({name}) Z 1 {zeros}{} 0\n", (1000 - age) * 100);
    node.kernel.set("/proc/uptime", "1000.00 900.00\n");
    node.kernel.set("/proc/4711/comm", &format!("{name}\n"));
    node.kernel.set("/proc/4711/stat", &stat);
    // The first thread may be gone while another hangs.
    for (task, state) in [(4711, 'Z'), (4712, state)] {
        let status = format!(
            "Name:\t{name}\nState:\t{state} (so)\nSigPnd:\t{signals:016x}\n\
             ShdPnd:\t0000000000000000\n"
        );
        node.kernel.set(&format!("/proc/4711/task/{task}/status"), &status);
    }
}

/// Another group's workers, and those of programs that are called alike, hold up nothing.
#[test]
fn only_its_own_workers_hold_up_a_group() {
    let (a, _) = pair();
    for name in [late::name("group-b", Purpose::Serves), "us-zzz".into(), "sh".into()] {
        hangs(&a, Purpose::Serves, 10, 'D');
        a.kernel.set("/proc/4711/comm", &format!("{name}\n"));
        a.start().unwrap();
        a.stop().unwrap();
    }
    // Nor do one that has ended, and one whose action is not over.
    hangs(&a, Purpose::Serves, 10, 'Z');
    a.start().unwrap();
    shows(&a, Purpose::Looks, 900, 'D', 0);
    assert_ne!(a.health(Level::Disk), Health::NotRunning);
    check_node(&a.kernel, &a.scope_with(&[]), a.budget()).unwrap();
    shows(&a, Purpose::Serves, 10, 'D', 0);
    a.stop().unwrap();
    assert_eq!(a.leavings(), [""; 0]);
}

/// A change that hangs would be done under the start that comes next.
#[test]
fn a_start_waits_for_an_earlier_change_and_then_fails() {
    for purpose in [Purpose::Changes, Purpose::Serves] {
        let (a, _) = pair();
        hangs(&a, purpose, 10, 'D');
        let failure = a.start().unwrap_err().to_string();
        assert!(failure.contains("process 4711, 10 s old, hangs"), "{failure}");
        assert_eq!(a.leavings(), [""; 0]);
        hangs(&a, purpose, 10, 'Z');
        a.start().unwrap();
    }
    // A question changes nothing.
    let (a, _) = pair();
    hangs(&a, Purpose::Looks, 10, 'D');
    a.start().unwrap();
}

/// Only a call that may make something serve has a node fenced. A registration that comes
/// late is untidy, and the next owner removes it.
#[test]
fn a_stop_fails_for_a_call_that_may_still_serve() {
    for (purpose, fails) in
        [(Purpose::Looks, false), (Purpose::Changes, false), (Purpose::Serves, true)]
    {
        let (a, _) = pair();
        a.start().unwrap();
        hangs(&a, purpose, 10, 'D');
        let answer = a.stop();
        assert_eq!(answer.is_err(), fails, "{purpose:?}: {answer:?}");
        assert!(!fails || answer.unwrap_err().to_string().contains("may still be done"));
    }
}

/// Monitors do not pile up on a disk that hangs, and one that has hung for long is a fault.
#[test]
fn a_disk_that_hangs_is_not_asked_again() {
    let (a, _) = pair();
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    for (age, is_healthy) in [(10, true), (179, true), (180, false), (900, false)] {
        hangs(&a, Purpose::Looks, age, 'D');
        a.kernel.plan(None);
        let health = a.health(Level::Disk);
        assert_eq!(health == Health::Running, is_healthy, "{age}: {health:?}");
        let asks = |deed: &Deed| {
            matches!(deed, Deed::Op(Op::ReadReservation(_) | Op::ReadDisk(_)))
        };
        assert!(!a.kernel.deeds().iter().any(asks), "{age}");
        assert_eq!(a.health(Level::Port), Health::Running);
    }
    let failure = check_node(&a.kernel, &a.scope_with(&[]), a.budget()).unwrap_err();
    assert!(failure.to_string().contains("does not answer"), "{failure}");
}

/// A worker has its name while it works: a FIFO without a reader hangs the writer's open. It
/// is not late as long as its agent lives, and with the agent it ends.
#[test]
fn a_real_worker_has_a_name() {
    let root = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/proc", root.path().join("proc")).unwrap();
    let (hang, group) = (PathBuf::from("/vport_create"), format!("g{}", Pid::this()));
    mkfifo(&root.path().join("vport_create"), Mode::S_IRWXU).unwrap();
    let kernel = RealKernel::new(root.path());
    let late = || late::of(&kernel, &group).unwrap();
    let name = late::name(&group, Purpose::Serves);
    let is_named = |task: &PathBuf| {
        fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name)
    };
    // SAFETY: the child calls what the agent calls, and no other test of this program forks.
    let child = match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let kernel =
                RealKernel::new(root.path()).working_for(&group, Purpose::Changes);
            let until = kernel.now() + Duration::from_secs(60);
            kernel.run(&[vec![Op::Write { path: hang, text: "1".into() }]], until);
            // SAFETY: nothing of the parent's is to be flushed or torn down here.
            unsafe { nix::libc::_exit(0) }
        }
        ForkResult::Parent { child } => child,
    };
    let end = Instant::now() + Duration::from_secs(20);
    while !tasks().any(|task| is_named(&task)) {
        assert!(Instant::now() < end, "no thread is called {name}");
        std::thread::yield_now();
    }
    assert_eq!(late(), []);
    kill(child, Signal::SIGKILL).unwrap();
    nix::sys::wait::waitpid(child, None).unwrap();
    // The kernel ends a process one thread after another, and it is late until the last has
    // ended. That of the name is not always the last.
    while !late().is_empty() {
        assert!(Instant::now() < end, "{name} is still there");
        std::thread::yield_now();
    }
    assert!(!tasks().any(|task| is_named(&task)));
}

/// Every thread of this machine.
fn tasks() -> impl Iterator<Item = PathBuf> {
    let inside = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().flatten();
    let processes = inside("/proc".into()).map(|process| process.path().join("task"));
    processes.flat_map(inside).map(|task| task.path())
}

/// A keeper that an earlier start has left, and that came up after all was undone, has read
/// the state disk before others wrote to it.
#[test]
fn a_keeper_that_was_not_asked_for_ends() {
    let (a, _) = common::pair(&Setup::new(2, 1).keeping());
    a.start().unwrap();
    let mounts = a.kernel.read("/proc/self/mounts".as_ref()).unwrap();
    a.stop().unwrap();
    a.kernel.set("/proc/self/mounts", &mounts);
    a.kernel.plan(None);
    a.start().unwrap();
    let deeds = a.kernel.deeds();
    let first = |is: fn(&Op) -> bool| {
        deeds.iter().position(|deed| matches!(deed, Deed::Op(op) if is(op)))
    };
    let ends = first(|op| matches!(op, Op::EndKeeper(_))).unwrap();
    let begins = first(|op| matches!(op, Op::Keep { .. })).unwrap();
    assert!(ends < begins);
    // That of a group that is served stays: LIO holds what it has told it.
    a.kernel.plan(None);
    a.start().unwrap();
    let ends = |deed: &Deed| matches!(deed, Deed::Op(Op::EndKeeper(_)));
    assert!(!a.kernel.deeds().iter().any(ends));
}
