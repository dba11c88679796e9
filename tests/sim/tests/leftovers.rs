//! Targets under a group's names that somebody else has made, such as `targetctl restore`
//! from what it had saved while the group was served.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::{Path, PathBuf};

use common::{INITIATORS, Node, Setup, pair};
use understudy_core::kernel::{Kernel, Op};
use understudy_core::verbs::{Health, Level};

/// A backstore as rtslib makes it: in the first directory with a free number.
fn backstore(number: usize, lun: u16) -> PathBuf {
    PathBuf::from(format!("/sys/kernel/config/target/core/iblock_{number}/lun_{lun}"))
}

/// Makes the group's targets as `targetctl restore` makes them from what it had saved.
fn restore(node: &Node) {
    let mut ops = Vec::new();
    let link =
        |at: PathBuf, to: &Path| Op::Link { at: at.join("backstore"), to: to.into() };
    for (number, (lun, disk)) in node.setup.disks.iter().enumerate() {
        let path = backstore(number, *lun);
        let write = |name: &str, text: String| Op::Write { path: path.join(name), text };
        ops.extend([
            Op::MakeDir(path.parent().unwrap().to_owned()),
            Op::MakeDir(path.clone()),
            write("control", format!("udev_path=/dev/{disk}")),
            write("udev_path", format!("/dev/{disk}")),
            write("enable", "1".into()),
        ]);
    }
    let fabric = Path::new("/sys/kernel/config/target/fc");
    ops.push(Op::MakeDir(fabric.to_owned()));
    for port in &node.setup.ports {
        let tpg = fabric.join(port).join("tpgt_1");
        ops.extend([Op::MakeDir(fabric.join(port)), Op::MakeDir(tpg.clone())]);
        for (number, (lun, _)) in node.setup.disks.iter().enumerate() {
            let dir = tpg.join(format!("lun/lun_{lun}"));
            ops.extend([Op::MakeDir(dir.clone()), link(dir, &backstore(number, *lun))]);
        }
        for initiator in INITIATORS {
            let acl = tpg.join("acls").join(initiator);
            ops.push(Op::MakeDir(acl.clone()));
            for (lun, _) in &node.setup.disks {
                let (dir, to) =
                    (acl.join(format!("lun_{lun}")), tpg.join(format!("lun/lun_{lun}")));
                ops.extend([Op::MakeDir(dir.clone()), link(dir, &to)]);
            }
        }
    }
    make(node, ops);
}

fn make(node: &Node, ops: Vec<Op>) {
    let until = node.budget().end;
    for result in node.kernel.run(&[ops], until) {
        assert_eq!(result.failed, None);
    }
}

#[test]
fn what_the_service_has_made_of_a_group_is_not_the_group() {
    let (a, b) = pair(&Setup::new(3, 2));
    b.start().unwrap();
    restore(&a);
    for level in [Level::Port, Level::Owner, Level::Disk] {
        assert_eq!(a.health(level), Health::NotRunning);
    }
    assert_eq!(b.health(Level::Disk), Health::Running);
    assert!(b.owns_all());
}

#[test]
fn a_start_takes_it_away_and_serves() {
    let (a, b) = pair(&Setup::new(3, 2).keeping());
    restore(&a);
    a.start().unwrap();
    assert_eq!(a.health(Level::Disk), Health::Running);
    assert!(a.owns_all());
    assert!(!a.kernel.exists(&backstore(0, 0)));
    a.stop().unwrap();
    assert_eq!(a.leavings(), [""; 0]);
    b.start().unwrap();
}

#[test]
fn a_stop_takes_it_away_beside_the_node_that_serves() {
    let (a, b) = pair(&Setup::new(3, 2));
    b.start().unwrap();
    restore(&a);
    a.stop().unwrap();
    assert_eq!(a.leavings(), [""; 0]);
    assert_eq!(b.health(Level::Disk), Health::Running);
    assert!(b.owns_all());
}

/// Where two groups have a `lun_0`, rtslib makes one backstore of that name and has both
/// groups' LUNs lead there.
#[test]
fn a_backstore_that_another_target_has_fails_no_stop() {
    let (a, _) = pair(&Setup::new(2, 1));
    restore(&a);
    let other = Path::new("/sys/kernel/config/target/fc/20:01:00:25:b5:00:00:0e/tpgt_1");
    let lun = other.join("lun/lun_0");
    let dirs = [other.parent().unwrap(), other, &lun].map(|dir| Op::MakeDir(dir.into()));
    let link = Op::Link { at: lun.join("backstore"), to: backstore(0, 0) };
    make(&a, dirs.into_iter().chain([link]).collect());
    a.stop().unwrap();
    assert!(a.kernel.exists(&backstore(0, 0)) && a.kernel.exists(&lun));
    assert_eq!(a.health(Level::Port), Health::NotRunning);
}
