//! Commands that are in flight, or lost, when a group stops.

use std::path::Path;
use std::time::Duration;

use understudy_core::kernel::Kernel;
use understudy_core::verbs::{Health, Level, health};
use understudy_sim::SimKernel;

use crate::common::{initiators, served};
use crate::{setup, wwpn};

/// What another group of the HBA has to do is no reason to wait: only the commands that come
/// for the group's own LUNs are counted.
#[test]
fn a_stop_is_as_quick_beside_a_busy_group() {
    let a = served(&setup().with_another());
    let another = a.another().unwrap();
    another.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    let port = wwpn(&another.setup);
    // Each sends two commands a second, so the first does it again after the last.
    for initiator in initiators() {
        for (lun, disk) in &another.setup.disks {
            a.san.borrow_mut().write_from(initiator, port, *lun, disk);
            a.kernel.sleep(Duration::from_millis(125));
        }
    }
    let since = a.kernel.now();
    a.stop().unwrap();
    let took = a.kernel.now() - since;
    assert!(took < Duration::from_secs(1), "{took:?}");
}

/// A chip that is reset under load loses commands, and the driver waits for them for good:
/// the port says Active, and nobody can log in. No logout is tried, because it would hang.
#[test]
fn a_driver_that_waits_for_a_lost_command_is_found() {
    let a = served(&setup());
    let (lun, disk) = &a.setup.disks[0];
    let (port, initiator) = (wwpn(&a.setup), initiators()[0]);
    a.san.borrow_mut().write_from(initiator, port, *lun, disk);
    let inflight = format!("/sys/class/block/{disk}/inflight");
    while a.kernel.read(Path::new(&inflight)).unwrap().trim_end().ends_with(" 0") {
        a.kernel.sleep(Duration::from_millis(1));
    }
    a.san.borrow_mut().reset_chip(0);
    a.kernel.sleep(Duration::from_secs(1));
    let Health::Failed(faults) = a.health(Level::Port) else { panic!("it runs") };
    assert!(faults.iter().any(|fault| fault.contains("has lost")), "{faults:?}");
    let failure = a.stop().unwrap_err().to_string();
    assert!(failure.contains("has lost") && failure.contains("fencing"), "{failure}");
}

/// Sessions end now and then, and the driver waits for their last commands.
#[test]
fn a_driver_that_waits_for_a_moment_does_not_hang() {
    let a = served(&setup());
    let (comm, wchan) = ("/proc/77/comm", "/proc/77/wchan");
    a.kernel.set(comm, "kworker/u4:1+qla2xxx_wq\n");
    a.kernel.set(wchan, "target_wait_for_sess_cmds");
    let ends = a.kernel.now() + Duration::from_secs(2);
    let pause = |time: Duration| {
        let to = a.kernel.now() + time;
        a.san.borrow_mut().advance(to);
        if to >= ends {
            a.kernel.set(wchan, "0");
        }
    };
    let kernel = SimKernel::enter(&a.san, 0);
    let kernel = kernel.paused_by(&pause);
    let health = health(&a.action_on(&kernel), &a.scope_with(&[]), Level::Port);
    assert_eq!(health, Health::Running);
    // What it waits for is with a slow disk, perhaps one of another group.
    a.kernel.set(wchan, "target_wait_for_cmds");
    a.kernel.keep_busy(Duration::from_secs(20));
    assert_eq!(a.health(Level::Port), Health::Running);
    a.kernel.sleep(Duration::from_secs(20));
    // A worker that has done its work has the queue's name, too.
    a.kernel.set(comm, "kworker/u4:1-qla2xxx_wq\n");
    a.kernel.set(wchan, "target_wait_for_cmds");
    assert_eq!(a.health(Level::Port), Health::Running);
    a.stop().unwrap();
}
