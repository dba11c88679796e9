//! Light that goes and comes back, and resets of the chip.

use std::time::Duration;

use understudy_core::kernel::{Around, Chain, ChainResult, Instant, Kernel, Op};
use understudy_core::run_files::registry::{self, Entry};
use understudy_core::verbs::{Health, Level, health, keep_out, takeover};
use understudy_sim::SimKernel;

use crate::common::{Node, Setup, pair, served};
use crate::{setup, state, wwpn};

#[test]
fn a_flap_of_the_link_is_no_failure() {
    let a = served(&setup());
    let flap = || {
        a.san.borrow_mut().light_goes(0);
        let back = a.kernel.now() + Duration::from_secs(1);
        let is_back = std::cell::Cell::new(false);
        let pause = |time: Duration| {
            let to = a.kernel.now() + time;
            a.san.borrow_mut().advance(to);
            if to >= back && !is_back.replace(true) {
                a.san.borrow_mut().light_comes(0);
            }
        };
        let kernel = SimKernel::enter(&a.san, 0);
        let kernel = kernel.paused_by(&pause);
        health(&a.action_on(&kernel), &a.scope_with(&[]), Level::Port)
    };
    assert_eq!(flap(), Health::Running);
    assert_eq!(state(&a), "Active\n");
    a.stop().unwrap();
    // A parked port shows the event for good.
    assert_eq!(flap(), Health::NotRunning);
    a.san.borrow_mut().light_comes(0);
    a.kernel.sleep(Duration::from_secs(1));
    assert_eq!(state(&a), "VPort Failed\n");
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    assert_eq!(a.health(Level::Disk), Health::Running);
}

/// A port that was to log in while there was no light is not logged in when the light
/// comes back: a monitor finds it, and a stop and a start mend it.
#[test]
fn a_port_that_has_missed_the_light_stays_out() {
    let a = served(&setup());
    a.san.borrow_mut().light_goes(0);
    a.san.borrow_mut().reset_chip(0);
    a.san.borrow_mut().light_comes(0);
    a.kernel.sleep(Duration::from_secs(60));
    assert_eq!(state(&a), "VPort Failed\n");
    let Health::Failed(faults) = a.health(Level::Port) else { panic!("it is well") };
    assert!(faults.iter().any(|fault| fault.contains("VPort Failed")), "{faults:?}");
    a.stop().unwrap();
    assert_eq!(state(&a), "Disabled\n");
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    assert_eq!(a.health(Level::Disk), Health::Running);
}

/// The driver does not show that the fabric has refused a port. A parked port that a reset
/// has let in is logged out without that, and the port that serves its name stays.
#[test]
fn a_port_that_the_fabric_refuses_stays_initializing() {
    let (a, b) = pair(&setup());
    a.start().unwrap();
    a.stop().unwrap();
    b.start().unwrap();
    {
        let mut san = a.san.borrow_mut();
        san.refuses = true;
        san.reset_chip(0);
    }
    a.kernel.sleep(Duration::from_secs(60));
    assert_eq!(state(&a), "Initializing\n");
    assert_eq!(a.san.borrow().logged_in_at(wwpn(&a.setup)), [1]);
    assert_eq!(keep_out(&a.kernel, a.budget()).unwrap(), [wwpn(&a.setup)]);
    assert_eq!(state(&a), "Disabled\n");
    assert_eq!(b.health(Level::Disk), Health::Running);
}

/// The fabric knows a dead partner's port for as long as keep-alives may be missing, and
/// refuses the names meanwhile. The driver does not ask again; a start does. It serves within
/// six seconds of the end of that time, with ports that are new and with ones that were kept.
#[test]
fn a_start_that_the_fabric_refuses_at_first_asks_again() {
    for kept in [false, true] {
        let (a, b) = pair(&Setup::new(2, 2).on_qla2xxx());
        if kept {
            a.start().unwrap();
            a.stop().unwrap();
        }
        b.start().unwrap();
        a.kernel.sleep(Duration::from_secs(1));
        {
            let mut san = a.san.borrow_mut();
            san.ages_out = Duration::from_secs(8);
            san.crash(1);
        }
        let begun = a.kernel.now();
        a.start().unwrap();
        let took = a.kernel.now() - begun;
        assert!((8..=14).contains(&took.as_secs()), "{took:?}");
        assert_eq!(state(&a), "Active\n");
        a.kernel.sleep(Duration::from_secs(1));
        assert_eq!(a.health(Level::Disk), Health::Running);
    }
}

/// A kernel on which the light is off for the moment in which a target is enabled.
struct Dimmed<'a>(&'a Node);

impl Around for Dimmed<'_> {
    fn inner(&self) -> &dyn Kernel {
        &self.0.kernel
    }

    fn run_around(&self, chains: &[Chain], until: Instant) -> Vec<ChainResult> {
        let enables = |op: &Op| matches!(op, Op::Write { path, .. } if path.ends_with("tpgt_1/enable"));
        if !chains.iter().flatten().any(enables) {
            return self.0.kernel.run(chains, until);
        }
        self.0.san.borrow_mut().light_goes(0);
        let results = self.0.kernel.run(chains, until);
        assert_eq!(state(self.0), "Linkdown\n");
        self.0.san.borrow_mut().light_comes(0);
        results
    }
}

/// A port that logs in while there is no light stays out when the light is back. The start
/// that waits for it has it log in again.
#[test]
fn a_start_that_has_missed_the_light_asks_again() {
    let a = Node::new("node1", &setup().san(), &setup());
    takeover(&mut a.action_on(&Dimmed(&a)), &a.scope_with(&[])).unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    assert_eq!(a.health(Level::Disk), Health::Running);
}

/// A reset of the chip lets every port log in again, kept ports too. A probe reports such
/// a port, and a stop logs it out.
#[test]
fn a_kept_port_that_a_reset_has_let_in_is_not_hidden() {
    let (a, _) = pair(&setup());
    a.start().unwrap();
    a.stop().unwrap();
    a.san.borrow_mut().reset_chip(0);
    assert!(matches!(a.health(Level::Port), Health::Failed(_)));
    a.kernel.sleep(Duration::from_secs(1));
    assert!(matches!(a.health(Level::Port), Health::Failed(_)));
    a.stop().unwrap();
    assert_eq!(a.leavings(), [""; 0]);
    assert_eq!(a.health(Level::Port), Health::NotRunning);
    a.san.borrow_mut().reset_chip(0);
    a.kernel.sleep(Duration::from_secs(1));
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    assert_eq!(a.health(Level::Disk), Health::Running);
}

/// The name of a kept port may be logged in on another node when a reset lets the port
/// in.
#[test]
fn a_kept_port_that_a_reset_has_let_in_is_put_out_again() {
    let (a, _) = pair(&setup().with_another());
    let (own, name) = (a.another().unwrap(), wwpn(&a.setup));
    let put_out = || keep_out(&a.kernel, a.budget()).unwrap();
    assert_eq!(put_out(), []);
    own.start().unwrap();
    a.start().unwrap();
    // Ports that are served stay in, and so do those that are about to be.
    assert_eq!(put_out(), []);
    a.stop().unwrap();
    assert_eq!(put_out(), []);
    a.san.borrow_mut().reset_chip(0);
    a.kernel.sleep(Duration::from_secs(1));
    assert_eq!(a.san.borrow().logged_in_at(name), [0]);
    let entry = registry::of_group(&a.kernel, "group-b").remove(0);
    let entry = Entry { wwpn: name, ..entry };
    registry::record(&a.kernel, &entry).unwrap();
    assert_eq!(put_out(), []);
    registry::forget(&a.kernel, "group-b", name).unwrap();
    assert_eq!(put_out(), [name]);
    assert!(a.san.borrow().logged_in_at(name).is_empty());
    assert_eq!(a.health(Level::Port), Health::NotRunning);
    assert_eq!(own.health(Level::Disk), Health::Running);
}
