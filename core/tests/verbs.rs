//! The verbs on the simulated kernel: what they do, what they refuse, and that a kill at
//! any point is followed by a clean stop and a start that serves.
#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;
use std::sync::Once;
use std::time::Duration;

use understudy_core::budget::Budget;
use understudy_core::failure::{Failure, Kind};
use understudy_core::kernel::Kernel;
use understudy_core::kernel::sim::{Disks, Killed, SimKernel};
use understudy_core::ownership::key_of;
use understudy_core::registry;
use understudy_core::scope::Scope;
use understudy_core::verbs::{Health, Level, health, release, takeover};

struct Node {
    name: &'static str,
    kernel: SimKernel,
}

fn param(name: &str) -> Option<String> {
    let value = match name {
        "wwnn" => "20:00:00:25:b5:00:00:0a",
        "ports" => "20:01:00:25:b5:00:00:0a 20:02:00:25:b5:00:00:0a",
        "disks" => "0=/dev/disk/by-id/wwn-sda 1=naa.6001405sdb 7=/dev/disk/by-id/wwn-sdc",
        "initiators" => "21:00:00:24:ff:00:00:01 21:00:00:24:ff:00:00:02",
        "home" => "a",
        _ => return None,
    };
    Some(value.to_owned())
}

impl Node {
    fn scope_with(&self, change: &[(&str, &str)]) -> Scope {
        Scope::gather(&self.kernel, "group-a", |name| {
            let changed = change.iter().find(|(changed, _)| *changed == name);
            changed.map_or_else(|| param(name), |(_, value)| Some((*value).to_owned()))
        })
    }

    fn budget(&self) -> Budget {
        Budget::new(&self.kernel, Duration::from_secs(20))
    }

    fn start_with(&self, change: &[(&str, &str)]) -> Result<(), Failure> {
        takeover(&self.kernel, self.name, &self.scope_with(change), self.budget())
    }

    fn start(&self) -> Result<(), Failure> {
        self.start_with(&[])
    }

    fn stop_with(&self, change: &[(&str, &str)]) -> Result<(), Failure> {
        release(&self.kernel, self.name, &self.scope_with(change), self.budget())
    }

    fn stop(&self) -> Result<(), Failure> {
        self.stop_with(&[])
    }

    fn health(&self, level: Level) -> Health {
        health(&self.kernel, self.name, &self.scope_with(&[]), level, self.budget())
    }

    /// Everything that a stop must leave as it was.
    fn leavings(&self) -> Vec<String> {
        let below = ["/sys/class/fc_vports", "/sys/kernel/config/target/core", "/run"];
        let mut left: Vec<_> = below.iter().flat_map(|d| self.kernel.below(d)).collect();
        left.extend(self.kernel.below("/sys/kernel/config/target/fc"));
        left.retain(|path| !path.ends_with("run/understudy") && !path.ends_with("ports"));
        left.iter().map(|path| path.display().to_string()).collect()
    }
}

fn disks() -> Rc<RefCell<Disks>> {
    Rc::new(RefCell::new(Disks::new(&["sda", "sdb", "sdc"])))
}

fn pair() -> (Node, Node, Rc<RefCell<Disks>>) {
    let disks = disks();
    let node = |name, nexus| Node { name, kernel: SimKernel::new(nexus, &disks) };
    (node("a", 1), node("b", 2), Rc::clone(&disks))
}

fn owner_of_all(disks: &Rc<RefCell<Disks>>, node: &str) -> bool {
    let disks = disks.borrow();
    disks.names().all(|name| disks.reservation(name).owned_by(key_of(node)))
}

#[test]
fn a_group_comes_up_wholly_and_leaves_nothing() {
    let (a, _, disks) = pair();
    assert_eq!(a.health(Level::Disk), Health::NotRunning);
    a.start().unwrap();
    assert_eq!(a.health(Level::Disk), Health::Running);
    assert!(owner_of_all(&disks, "a"));
    let entries = registry::of_group(&a.kernel, "group-a");
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].role, registry::Role::Native);

    a.stop().unwrap();
    assert_eq!(a.health(Level::Disk), Health::NotRunning);
    assert_eq!(a.leavings(), [""; 0]);
    assert!(
        disks.borrow().names().all(|n| disks.borrow().reservation(n).keys.is_empty())
    );
}

#[test]
fn doing_it_again_changes_nothing() {
    let (a, ..) = pair();
    a.start().unwrap();
    let tree = a.kernel.below("/sys");
    a.start().unwrap();
    assert_eq!(a.kernel.below("/sys"), tree);
    a.stop().unwrap();
    a.stop().unwrap();
}

#[test]
fn after_a_crash_the_partner_takes_every_disk() {
    let (a, b, disks) = pair();
    a.start().unwrap();
    // No stop: the node lost its power. What it had registered stays.
    b.start().unwrap();
    assert!(owner_of_all(&disks, "b"));
    assert_eq!(b.health(Level::Disk), Health::Running);
    let entries = registry::of_group(&b.kernel, "group-a");
    assert_eq!(entries[0].role, registry::Role::Guest);
    // The first node, were it still alive, would know.
    assert!(matches!(a.health(Level::Owner), Health::Failed(_)));
}

#[test]
fn both_nodes_present_the_same_identity() {
    let (a, b, _) = pair();
    a.start().unwrap();
    b.start().unwrap();
    let serials = |node: &Node| {
        let paths = node.kernel.below("/sys/kernel/config/target/core");
        let serials = paths.iter().filter(|p| p.ends_with("vpd_unit_serial"));
        serials.map(|p| (p.clone(), node.kernel.read(p).unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(serials(&a).len(), 3);
    assert_eq!(serials(&a), serials(&b));
}

#[test]
fn all_disks_or_none() {
    let (a, _, disks) = pair();
    disks.borrow_mut().without_reservations("sdb");
    let failure = a.start().unwrap_err();
    let text = failure.to_string();
    assert!(text.contains("LUN 1") && text.contains("ownership=none"), "{text}");
    assert!(!owner_of_all(&disks, "a"));
    assert!(disks.borrow().reservation("sda").keys.is_empty());
    assert_eq!(a.leavings(), [""; 0]);
    // A stop of what cannot be here has nothing to fail at.
    a.stop().unwrap();
    a.start_with(&[("ownership", "none")]).unwrap();
}

#[test]
fn what_this_node_lacks_is_named() {
    for (change, want) in [
        (("disks", "0=/dev/disk/by-id/wwn-nix"), "LUN 0: /dev/disk/by-id/wwn-nix"),
        (("disks", "0=naa.600140500"), "no disk with this WWID"),
        (("disks", "0=/dev/disk/by-id/wwn-sda 1=naa.6001405sda"), "the same disk"),
        (("ports", "2001002500000001@1000000000000002"), "is in fabric 10:00"),
    ] {
        let (a, ..) = pair();
        let failure = a.start_with(&[change]).unwrap_err();
        assert_eq!(failure.kind, Kind::Node, "{failure}");
        assert!(failure.to_string().contains(want), "{failure}");
        assert_eq!(a.leavings(), [""; 0]);
    }
}

#[test]
fn a_fabric_without_npiv_is_named_and_undone() {
    let (a, _, disks) = pair();
    a.kernel.set_npiv(false);
    let failure = a.start().unwrap_err();
    assert_eq!(failure.kind, Kind::Node);
    assert!(failure.to_string().contains("Turn NPIV on"), "{failure}");
    assert_eq!(a.leavings(), [""; 0]);
    assert!(disks.borrow().reservation("sda").keys.is_empty());
}

#[test]
fn a_port_that_is_logged_in_elsewhere_is_refused() {
    let (a, ..) = pair();
    let remote = "/sys/class/fc_remote_ports/rport-2:0-1";
    a.kernel.set(&format!("{remote}/port_name"), "0x20010025b500000a\n");
    a.kernel.set(&format!("{remote}/port_state"), "Online\n");
    let failure = a.start().unwrap_err();
    assert!(failure.to_string().contains("logged in elsewhere"), "{failure}");
    assert_eq!(a.leavings(), [""; 0]);
    a.kernel.set(&format!("{remote}/port_state"), "Blocked\n");
    a.start().unwrap();
}

#[test]
fn a_stop_waits_for_what_is_in_flight() {
    let (a, ..) = pair();
    a.start().unwrap();
    a.kernel.keep_busy(Duration::from_secs(3));
    let before = a.kernel.now();
    a.stop().unwrap();
    assert!(a.kernel.now() - before >= Duration::from_secs(3));
}

#[test]
fn a_stop_that_cannot_drain_fails_and_keeps_the_port() {
    let (a, _, disks) = pair();
    a.start().unwrap();
    a.kernel.keep_busy(Duration::from_secs(100));
    let failure = a.stop().unwrap_err().to_string();
    assert!(failure.contains("drain") && failure.contains("sda"), "{failure}");
    assert!(owner_of_all(&disks, "a"));
    assert_eq!(a.kernel.list(Path::new("/sys/class/fc_vports")).unwrap().len(), 2);
    // It is in transition now, and a monitor must not call that running.
    assert!(matches!(a.health(Level::Port), Health::Failed(_)));
}

#[test]
fn a_broken_configuration_hides_no_port() {
    let (a, ..) = pair();
    let broken = [("wwnn", "nonsense"), ("ports", ""), ("disks", "?")];
    let look = |node: &Node| {
        let scope = node.scope_with(&broken);
        health(&node.kernel, node.name, &scope, Level::Port, node.budget())
    };
    assert_eq!(look(&a), Health::NotRunning);
    a.stop_with(&broken).unwrap();
    a.start().unwrap();
    assert!(matches!(look(&a), Health::Failed(_)));
    a.stop_with(&broken).unwrap();
    assert_eq!(a.leavings(), [""; 0]);
}

#[test]
fn a_damaged_database_entry_is_set_aside() {
    let (a, ..) = pair();
    a.start().unwrap();
    a.kernel.set("/run/understudy/ports/20010025b500000a.json", "{ half");
    a.stop().unwrap();
    assert_eq!(a.health(Level::Port), Health::NotRunning);
    assert!(a.kernel.exists(Path::new("/run/understudy/ports/20010025b500000a.damaged")));
}

/// Runs until the simulated process is killed; `true` when it was.
fn killed(run: impl FnOnce()) -> bool {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !panic.payload().is::<Killed>() {
                loud(panic);
            }
        }));
    });
    let end = catch_unwind(AssertUnwindSafe(run));
    end.is_err_and(|death| {
        assert!(death.is::<Killed>(), "the agent panicked by itself");
        true
    })
}

/// Exhaustive: after each operation of `act` in turn the process dies.
fn kill_at_every_point(prepare: impl Fn(&Node), act: impl Fn(&Node)) -> usize {
    for point in 0.. {
        let (a, _, disks) = pair();
        prepare(&a);
        a.kernel.kill_after(Some(point));
        let died = killed(|| act(&a));
        a.kernel.kill_after(None);
        if !died {
            return point;
        }
        a.stop().unwrap_or_else(|e| panic!("stop after a kill at {point}: {e}"));
        assert_eq!(a.leavings(), [""; 0], "killed at {point}");
        let key = key_of("a");
        let names: Vec<_> = disks.borrow().names().cloned().collect();
        for name in &names {
            let keys = disks.borrow().reservation(name).keys;
            assert!(!keys.contains(&key), "killed at {point}: a key is left on {name}");
        }
        a.start().unwrap_or_else(|e| panic!("start after a kill at {point}: {e}"));
        assert_eq!(a.health(Level::Disk), Health::Running, "killed at {point}");
    }
    unreachable!("an endless act")
}

#[test]
fn a_start_may_be_killed_at_any_point() {
    let points = kill_at_every_point(|_| {}, |node| node.start().unwrap());
    assert!(points > 50, "{points}");
}

#[test]
fn a_stop_may_be_killed_at_any_point() {
    let points =
        kill_at_every_point(|node| node.start().unwrap(), |node| node.stop().unwrap());
    assert!(points > 50, "{points}");
}

#[test]
fn a_start_goes_on_where_a_killed_one_ended() {
    for point in 0.. {
        let (a, ..) = pair();
        a.kernel.kill_after(Some(point));
        let died = killed(|| a.start().unwrap());
        a.kernel.kill_after(None);
        if !died {
            break;
        }
        a.start().unwrap_or_else(|e| panic!("start after a kill at {point}: {e}"));
        assert_eq!(a.health(Level::Disk), Health::Running, "killed at {point}");
    }
}
