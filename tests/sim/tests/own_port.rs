//! A group that has a physical port's own names: served by that port at home, by a virtual
//! one elsewhere.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use common::{INITIATORS, Node, Setup, initiators, unless_killed};
use understudy_core::action::failure::Kind;
use understudy_core::kernel::{Kernel, Op};
use understudy_core::run_files::watch;
use understudy_core::verbs::{Health, Level, guests_of};
use understudy_sim::{Fault, San};

const SWITCH: &str = "/sys/bus/fcoe/devices/ctlr_0/enabled";
/// The names of the first node's physical port.
const WWPN: &str = "20:00:52:54:00:00:00:00";
const WWNN: &str = "10:00:52:54:00:00:00:00";

fn setup() -> Setup {
    Setup { wwnn: WWNN.into(), ports: vec![WWPN.into()], ..Setup::new(2, 1) }
}

/// Another group on the same nodes, at home on the second.
fn guest(node: &Node) -> Node {
    let setup = Setup {
        name: "group-b".into(),
        disks: vec![(0, "sdx".into())],
        home: "b".into(),
        ..Setup::new(1, 1)
    };
    node.with(setup)
}

fn pair() -> (Node, Node) {
    let setup = setup();
    let san = Rc::new(RefCell::new(San::new(&["sda", "sdb", "sdx"], &initiators())));
    let nodes = (Node::new("a", &san, &setup), Node::new("b", &san, &setup));
    turn(&nodes.0, "0");
    nodes
}

fn turn(node: &Node, on: &str) {
    let turn = vec![Op::Write { path: PathBuf::from(SWITCH), text: on.into() }];
    node.kernel.run(&[turn], node.budget().end);
}

fn is_on(node: &Node) -> bool {
    node.kernel.read(SWITCH.as_ref()).unwrap() == "1\n"
}

fn at(node: &Node) -> Vec<usize> {
    node.san.borrow().logged_in_at(WWPN.parse().unwrap())
}

#[test]
fn it_goes_from_the_port_itself_to_a_virtual_one_and_back() {
    let (a, b) = pair();
    assert_eq!(a.health(Level::Disk), Health::NotRunning);
    a.start().unwrap();
    assert!(is_on(&a));
    assert_eq!((at(&a), a.health(Level::Disk)), (vec![0], Health::Running));
    assert_eq!(a.kernel.below("/sys/class/fc_vports"), [""; 0].map(PathBuf::from));
    a.kernel.sleep(Duration::from_secs(1));
    let (first, port) = (INITIATORS[0].parse().unwrap(), WWPN.parse().unwrap());
    a.san.borrow_mut().write_from(first, port, 0, "sda");

    a.stop().unwrap();
    assert!(!is_on(&a));
    assert_eq!((at(&a), a.leavings()), (vec![], vec![]));
    // If it had been turned off without a logout, it would be in the fabric for another
    // 20 seconds.
    let before = b.kernel.now();
    b.start().unwrap();
    assert!(b.kernel.now() - before < Duration::from_secs(10));
    assert_eq!((at(&b), b.health(Level::Disk)), (vec![1], Health::Running));
    b.kernel.sleep(Duration::from_secs(1));

    // The node comes back: its port is dark, and nothing of the group is there.
    a.san.borrow_mut().crash(0);
    a.san.borrow_mut().boot(0);
    turn(&a, "0");
    assert_eq!(a.health(Level::Disk), Health::NotRunning);
    b.stop().unwrap();
    a.start().unwrap();
    assert_eq!(at(&a), [0]);
    a.start().unwrap();
    assert_eq!(a.health(Level::Disk), Health::Running);
}

/// If a dark port did not count, a group would come home to a node that seems to lack its
/// fabric, and go away again at once.
#[test]
fn a_dark_port_counts_in_the_fabric_in_which_it_was() {
    let (a, _) = pair();
    let counts = |seen: watch::Seen| {
        let steady: Vec<u32> = seen.steady.into_values().collect();
        (steady, seen.dark)
    };
    let look = || watch::look(&a.kernel, "fcport", Duration::ZERO, &|_| true).unwrap();
    // The port has been in no fabric since the boot.
    a.kernel.set("/sys/class/net/eth1/carrier", "1\n");
    assert_eq!(counts(watch::begin(&a.kernel, "fcport").unwrap()), (vec![], 1));
    a.start().unwrap();
    assert_eq!(counts(look().unwrap()), (vec![1], 0));
    a.stop().unwrap();
    assert!(!is_on(&a));
    assert_eq!(counts(look().unwrap()), (vec![1], 0));
    // Without its link the port cannot come.
    a.kernel.set("/sys/class/net/eth1/carrier", "0\n");
    assert_eq!(counts(look().unwrap()), (vec![0], 0));
}

/// Two groups leave a node at the same time: the physical port is turned off only once no
/// guest hangs from it.
#[test]
fn a_port_is_not_turned_off_under_a_guest() {
    let (a, _) = pair();
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    let guest = guest(&a);
    guest.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    let tied = |node: &Node| guests_of(&node.kernel, &node.scope_with(&[])).unwrap();
    assert_eq!((tied(&a), tied(&guest)), (Some(vec!["group-b".into()]), None));
    let failure = a.stop().unwrap_err();
    assert!(
        failure.to_string().contains("virtual ports hang from it: 20:01"),
        "{failure}"
    );
    assert_eq!(a.health(Level::Disk), Health::Running);
    guest.stop().unwrap();
    assert_eq!(tied(&a), Some(vec![]));
    a.stop().unwrap();
    assert!(!is_on(&a));
}

/// A port is not turned off where it cannot be read whether a guest hangs from it. The
/// simulation fails a test that turns one off under a guest.
#[test]
fn a_read_that_fails_hides_no_guest() {
    for at in 0.. {
        let (a, _) = pair();
        a.start().unwrap();
        let guest = guest(&a);
        guest.start().unwrap();
        a.kernel.sleep(Duration::from_secs(1));
        a.kernel.plan_read(at, nix::errno::Errno::EIO);
        a.stop().unwrap_err();
        // A stop looks again and again: the first second of it is enough.
        if a.kernel.reads() <= at || at > 400 {
            break;
        }
    }
}

/// Nothing turns a dark port on but the group whose names it has.
#[test]
fn a_guest_waits_for_a_dark_port() {
    let (a, _) = pair();
    let guest = guest(&a);
    let before = a.kernel.now();
    let failure = guest.start().unwrap_err();
    assert!(failure.to_string().contains("is Dark"), "{failure}");
    assert!(a.kernel.now() - before >= Duration::from_secs(5));
    a.start().unwrap();
    guest.start().unwrap();
}

/// A port that somebody turned on by hand leaves the fabric before it gets its target:
/// initiators that meet it empty do not ask again.
#[test]
fn a_port_that_was_on_is_turned_off_first() {
    let (a, _) = pair();
    turn(&a, "1");
    a.kernel.sleep(Duration::from_secs(1));
    assert!(matches!(a.health(Level::Port), Health::Failed(_)));
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    assert_eq!(a.health(Level::Disk), Health::Running);
    let (first, port) = (INITIATORS[0].parse().unwrap(), WWPN.parse().unwrap());
    a.san.borrow_mut().write_from(first, port, 0, "sda");
}

#[test]
fn a_port_with_another_node_name_is_refused() {
    let (a, _) = pair();
    let failure = a.start_with(&[("wwnn", "20:00:00:25:b5:00:00:0a")]).unwrap_err();
    assert_eq!(failure.kind, Kind::Configuration);
    assert!(failure.to_string().contains("node name 10:00:52"), "{failure}");
    assert!(!is_on(&a));
}

#[test]
fn the_agent_may_die_after_any_operation() {
    for stop in [false, true] {
        for point in 0.. {
            let (a, b) = pair();
            if stop {
                a.start().unwrap();
                a.kernel.sleep(Duration::from_secs(1));
            }
            a.kernel.plan(Some((point, Fault::Dies)));
            let act = || if stop { a.stop() } else { a.start() };
            let ended = unless_killed(act).is_some();
            a.kernel.plan(None);
            a.stop().unwrap_or_else(|failure| panic!("point {point}: {failure}"));
            assert_eq!((at(&a), a.leavings()), (vec![], vec![]), "point {point}");
            b.start().unwrap();
            b.stop().unwrap();
            a.start().unwrap();
            assert_eq!(a.health(Level::Disk), Health::Running, "point {point}");
            if ended {
                break;
            }
        }
    }
}
