//! A node as a program sees it.

use std::path::Path;

use understudy_core::Node;
use understudy_core::config::group::Group;
use understudy_core::disks::ownership::Keys;
use understudy_core::verbs::check::Verdict;
use understudy_core::verbs::{Health, Level};

use crate::common::{Setup, key_of, pair};

#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
fn group(setup: &Setup) -> Group {
    Group::parse(&setup.name, |name| setup.param(name)).unwrap()
}

#[test]
fn a_program_takes_over_changes_and_releases_a_group() {
    let setup = Setup::new(4, 1);
    let (a, _) = pair(&setup);
    let node = Node::with(&a.kernel, "a");
    let before = group(&setup);
    assert!(node.check(&before).iter().all(|found| found.verdict != Verdict::Bad));
    assert_eq!(node.health(&before, Level::Disk), Health::NotRunning);
    assert!(!node.plan(&before, "start").unwrap().is_empty());
    assert!(node.plan(&before, "restart").is_err());

    let phases = node.takeover(&before).unwrap();
    assert!(phases.each().any(|(name, _)| name == "own"), "{phases}");
    assert_eq!(node.health(&before, Level::Disk), Health::Running);
    let disk = Path::new("/dev/sda");
    let owned = node.reservation(disk).unwrap();
    assert!(Keys::new("a", None).own(&owned) && owned.keys.contains(&key_of("a")));

    // Initiators have let go of what is removed.
    let (luns, initiators) = (before.luns().collect(), before.initiators.iter().copied());
    a.san.borrow_mut().unused = (luns, initiators.collect());
    let after = group(&setup.changed());
    node.reload(&after).unwrap();
    let status = node.status().unwrap();
    let served: Vec<_> = status.groups[0].luns.iter().map(|lun| lun.lun).collect();
    assert!(served.contains(&60) && !served.contains(&0), "{served:?}");

    node.release(&after).unwrap();
    assert_eq!(a.leavings(), Vec::<String>::new());
    assert_eq!(node.reservation(disk).unwrap().keys, []);
}

#[test]
fn a_node_is_called_by_the_name_that_it_is_given() {
    let setup = Setup::new(1, 1);
    let (a, _) = pair(&setup);
    let node = Node::with(&a.kernel, "a").named("array-a");
    node.takeover(&group(&setup)).unwrap();
    assert_eq!(node.status().unwrap().node, "array-a");
    let owned = node.reservation(Path::new("/dev/sda")).unwrap();
    assert_eq!(owned.holder.map(|holder| holder.key), Some(key_of("array-a")));
}

#[test]
fn a_call_has_the_time_that_it_is_given() {
    let setup = Setup::new(1, 1);
    let (a, _) = pair(&setup);
    let node = Node::with(&a.kernel, "a").within(std::time::Duration::ZERO);
    node.takeover(&group(&setup)).unwrap_err();
    Node::with(&a.kernel, "a").release(&group(&setup)).unwrap();
}
