//! LUNs are not served smaller than initiators know them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Node, Setup, pair};
use understudy_core::action::failure::{Failure, Kind};
use understudy_core::disks::disk;
use understudy_core::lio::numbers::{KEEP, Numbers};
use understudy_core::situation::scope::Scope;
use understudy_core::verbs::{check_node, takeover};

/// Starts the group with the sizes that initiators know.
fn start(node: &Node, known: &Numbers) -> Result<(), Failure> {
    let scope = Scope { known: Some(known.clone()), ..node.scope_with(&[]) };
    takeover(&mut node.action(), &scope)
}

/// Sets how large a node takes a disk for, in sectors.
fn set(node: &Node, disk: &str, sectors: u32) {
    let number = node.kernel.node();
    node.san.borrow_mut().shows(number, disk, "size", &sectors.to_string());
}

#[test]
fn a_lun_is_never_served_smaller_than_it_was() {
    let (a, b) = pair(&Setup::new(2, 1));
    for node in [&a, &b] {
        set(node, "sda", 2048);
        set(node, "sdb", 4096);
    }
    let group = a.scope_with(&[]).group.unwrap();
    let known = Numbers::of(&a.kernel, &group, &disk::find_any(&a.kernel, &group.disks));
    start(&a, &known).unwrap();
    a.stop().unwrap();
    // This node goes on with a size from before the disk grew.
    set(&b, "sdb", 4095);
    let failure = start(&b, &known).unwrap_err();
    assert_eq!((failure.kind, failure.step), (Kind::Node, KEEP));
    let said = failure.to_string();
    assert!(
        said.contains("LUN 1 has 4095 sectors here, and initiators know 4096"),
        "{said}"
    );
    assert!(said.contains("understudy accept group-a"), "{said}");
    assert_eq!(b.leavings(), [""; 0]);
    // The check of this node fails in that step, too: the node does not claim that it
    // could serve the group.
    let scope = Scope { known: Some(known.clone()), ..b.scope_with(&[]) };
    let lacks = check_node(&b.kernel, &scope, b.budget()).unwrap_err();
    assert_eq!(lacks.step, KEEP);
    set(&b, "sdb", 8192);
    start(&b, &known).unwrap();
}
