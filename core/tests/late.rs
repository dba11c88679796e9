//! What earlier actions may still do: workers whose calls hang in the kernel, as /proc shows
//! them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::{Node, Setup};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, Pid, fork, mkfifo};
use understudy_core::kernel::late::{self, Purpose};
use understudy_core::kernel::sim::Deed;
use understudy_core::kernel::{Kernel, Op, RealKernel};
use understudy_core::verbs::{Health, Level, check_node};

fn pair() -> (Node, Node) {
    common::pair(&Setup::new(2, 1))
}

/// Has the node show a worker of the group that was started this many seconds ago, with a
/// thread in this state.
fn hangs(node: &Node, purpose: Purpose, age: u64, state: char) {
    let name = late::name("group-a", purpose);
    let stat = |state: char| {
        let zeros = "0 ".repeat(17);
        format!("4711 ({name}) {state} 1 {zeros}{} 0\n", (1000 - age) * 100)
    };
    node.kernel.set("/proc/uptime", "1000.00 900.00\n");
    // The first thread may be gone while another hangs.
    for (dir, state) in [("/proc/4711", 'Z'), ("/proc/4711/task/4712", state)] {
        node.kernel.set(&format!("{dir}/comm"), &format!("{name}\n"));
        node.kernel.set(&format!("{dir}/stat"), &stat(state));
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
    // One that has ended is no worker.
    hangs(&a, Purpose::Serves, 10, 'Z');
    a.start().unwrap();
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

/// A FIFO without a reader hangs the writer's open, as a kernel that does not answer: the
/// agent is killed, its worker with it. One that is not let go by the kernel is found by its
/// name.
#[test]
fn a_real_worker_is_found_by_its_name() {
    let root = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/proc", root.path().join("proc")).unwrap();
    let (hang, group) = (PathBuf::from("/vport_create"), format!("g{}", Pid::this()));
    mkfifo(&root.path().join("vport_create"), Mode::S_IRWXU).unwrap();
    let look = || late::of(&RealKernel::new(root.path()), &group).unwrap();
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
    let is_there = |late: &late::Late| late.purpose == Purpose::Serves;
    while !look().iter().any(is_there) {
        assert!(Instant::now() < end, "{:?}", look());
        std::thread::yield_now();
    }
    kill(child, Signal::SIGKILL).unwrap();
    nix::sys::wait::waitpid(child, None).unwrap();
    // This one ends when its parent does; a call in the kernel would not.
    while !look().is_empty() {
        assert!(Instant::now() < end, "{:?}", look());
        std::thread::yield_now();
    }
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
