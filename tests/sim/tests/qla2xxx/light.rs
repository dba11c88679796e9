//! Light that goes and comes back, and resets of the chip.

use std::time::Duration;

use understudy_core::kernel::Kernel;
use understudy_core::run_files::registry::{self, Entry};
use understudy_core::verbs::{Health, Level, health, keep_out};
use understudy_sim::SimKernel;

use crate::common::{pair, served};
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
    assert_eq!(state(&a), "Linkdown\n");
    let Health::Failed(faults) = a.health(Level::Port) else { panic!("it is well") };
    assert!(faults.iter().any(|fault| fault.contains("Linkdown")), "{faults:?}");
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
