//! Two groups whose parameters overlap, on one node: neither touches what the other serves.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;

use common::{Node, SPARE, Setup, pair};
use proptest::prelude::*;
use understudy_core::action::failure::Kind;
use understudy_core::kernel::Kernel;
use understudy_core::verbs::{Health, Level, takeover};

/// Returns what a node has of any group, and who may write to each disk.
fn snapshot(node: &Node) -> BTreeMap<String, String> {
    let dirs = [
        "/sys/class/fc_vports",
        "/sys/kernel/config/target",
        "/run/understudy/ports",
        "/run/understudy/kept",
    ];
    let paths = dirs.iter().flat_map(|dir| node.kernel.below(dir));
    let mut seen: BTreeMap<_, _> = paths
        .map(|path| {
            let text = node.kernel.read(&path).unwrap_or_default();
            (path.display().to_string(), text)
        })
        .collect();
    let san = node.san.borrow();
    seen.extend(
        san.disks
            .names()
            .map(|name| (name.to_owned(), format!("{:?}", san.disks.reservation(name)))),
    );
    seen
}

/// Returns a group with names of its own and two spare disks.
fn stranger(like: &Setup) -> Setup {
    let [one, two] = SPARE.map(str::to_owned);
    Setup {
        name: "group-c".into(),
        wwnn: "20:00:00:25:b5:00:00:0c".into(),
        ports: vec!["20:01:00:25:b5:00:00:0c".into()],
        disks: vec![(0, one), (1, two)],
        state: None,
        ..like.clone()
    }
}

/// Asserts that a group's probe, stop, start and second stop leave alone a group that is
/// served on the same node, and that its start is refused.
fn leaves_alone(served: &Node, clash: Setup) {
    let before = snapshot(served);
    let other = served.with(clash);
    for level in [Level::Port, Level::Owner, Level::Disk] {
        assert_eq!(other.health(level), Health::NotRunning);
    }
    other.stop().unwrap();
    assert_eq!(snapshot(served), before, "a stop");
    let refused = other.start().unwrap_err();
    assert_eq!(refused.kind, Kind::Configuration, "{refused}");
    assert!(refused.to_string().contains(&served.setup.name), "{refused}");
    assert_eq!(snapshot(served), before, "a start");
    other.stop().unwrap();
    assert_eq!(snapshot(served), before, "a stop after it");
    assert_eq!(served.health(Level::Disk), Health::Running);
    assert!(served.owns_all());
}

#[test]
fn a_copied_port_name_in_any_spelling_is_the_first_ones() {
    let (a, _) = pair(&Setup::new(2, 2));
    a.start().unwrap();
    for port in ["20:02:00:25:b5:00:00:0a", "0x20020025B500000A", "20020025b500000a"] {
        let setup = stranger(&a.setup);
        leaves_alone(&a, Setup { ports: vec![port.into()], ..setup.clone() });
        let both = vec![setup.ports.concat(), port.into()];
        leaves_alone(&a, Setup { ports: both, ..setup });
    }
}

#[test]
fn a_copied_node_name_is_the_first_ones() {
    let (a, _) = pair(&Setup::new(2, 1));
    a.start().unwrap();
    leaves_alone(&a, Setup { wwnn: a.setup.wwnn.clone(), ..stranger(&a.setup) });
}

#[test]
fn a_disk_or_state_device_of_another_group_is_that_groups() {
    let (a, _) = pair(&Setup::new(2, 1).keeping());
    a.start().unwrap();
    // Odd numbers name a disk by WWID, even ones by path.
    for (lun, disk) in [(4, "sda"), (5, "sda"), (4, "sdz"), (5, "sdb")] {
        let setup = stranger(&a.setup);
        leaves_alone(&a, Setup { disks: vec![(lun, disk.into())], ..setup });
    }
    leaves_alone(&a, Setup { state: Some("sdb".into()), ..stranger(&a.setup) });
}

#[test]
fn a_reload_takes_no_disk_of_another_group() {
    let (mut a, _) = pair(&Setup::new(2, 1).with_another());
    let another = a.another().unwrap();
    a.start().unwrap();
    another.start().unwrap();
    let before = snapshot(&a);
    let mut wanted = a.setup.clone();
    wanted.disks.push((9, "sdu".into()));
    let refused = a.reload(&wanted).unwrap_err();
    assert_eq!(refused.kind, Kind::Configuration, "{refused}");
    assert!(refused.to_string().contains("group-b"), "{refused}");
    assert_eq!(snapshot(&a), before);
    assert_eq!(another.health(Level::Disk), Health::Running);
}

/// Two starts at one moment: one has looked before the other has recorded itself.
#[test]
fn a_start_that_has_looked_too_early_is_refused_all_the_same() {
    let (a, _) = pair(&Setup::new(2, 1));
    let clash = Setup { disks: vec![(4, "sda".into())], ..stranger(&a.setup) };
    let other = a.with(clash);
    let early = other.scope_with(&[]);
    a.start().unwrap();
    let before = snapshot(&a);
    let refused = takeover(&mut other.action(), &early);
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind, Kind::Configuration, "{refused}");
    assert!(refused.to_string().contains("group-a"), "{refused}");
    assert_eq!(snapshot(&a), before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    /// No overlap of parameters, and no order of actions of the second group, touches
    /// what the first one serves.
    #[test]
    fn no_overlap_touches_what_is_served(
        port in 0..3_usize,
        wwnn in any::<bool>(),
        disk in 0..5_usize,
        actions in prop::collection::vec(0..3_u8, 1..6),
    ) {
        let (a, _) = pair(&Setup::new(3, 2).keeping());
        a.start().unwrap();
        let mut clash = stranger(&a.setup);
        clash.ports.extend(a.setup.ports.get(port).cloned());
        if wwnn {
            clash.wwnn.clone_from(&a.setup.wwnn);
        }
        let theirs = a.setup.all_disks().nth(disk).map(str::to_owned);
        clash.disks.extend(theirs.iter().cloned().map(|name| (7, name)));
        let overlaps = port < 2 || wwnn || theirs.is_some();
        let before = snapshot(&a);
        let other = a.with(clash);
        for action in actions {
            match action {
                0 if overlaps => {
                    prop_assert_eq!(other.health(Level::Disk), Health::NotRunning);
                }
                0 => drop(other.health(Level::Disk)),
                1 => other.stop().unwrap(),
                _ => prop_assert_eq!(other.start().is_err(), overlaps),
            }
            if overlaps {
                prop_assert_eq!(snapshot(&a), before.clone());
            }
            prop_assert_eq!(a.health(Level::Disk), Health::Running);
        }
    }
}
