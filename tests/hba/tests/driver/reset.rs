//! Resets of the chip, and links that go and come: trace G.

use understudy_hba::chip::iocb::kind;
use understudy_hba::fields::Fields;
use understudy_hba::firmware::{Fault, Switches};

use crate::driver::{Driver, Mode, Seen};
use crate::rig::BASE;
use crate::target::{served, with_data};
use crate::vport::{VPORT, disable, enable};

#[test]
fn a_reset_forgets_all_and_the_driver_starts_again() {
    let mut driver = served();
    enable(&mut driver, 1);
    driver.rig.initiator.hold_data(true);
    driver.rig.initiator.send(0, &[0x2a; 10], 0, &[1; 512]).unwrap();
    let atio = driver.one();
    driver.push(&[with_data(&atio, 1, 512)]);
    driver.rig.hba.inject(Fault::SystemError);
    assert!(matches!(driver.take()[..], [Seen::Event(0x8002, _)]));
    driver.boot();
    driver.rig.settle();
    assert!(!driver.rig.is_logged_in(BASE.wwpn));
    assert!(!driver.rig.is_logged_in(VPORT.wwpn));
    driver.rig.pass(1);
    assert_eq!(driver.take(), [], "nothing is left of the time before");
    driver.start(Mode::Target);
    driver.rig.pass(1);
    assert_eq!(driver.take().len(), 4);
    // The driver disables each port that the new firmware has never seen.
    driver.push(&[disable(1)]);
    assert_eq!(driver.one().u16(10), 0);
    enable(&mut driver, 1);
}

#[test]
fn a_link_that_comes_back_brings_the_ports_along() {
    let mut driver = Driver::target();
    enable(&mut driver, 1);
    driver.rig.cable(false);
    let seen = driver.take();
    assert!(matches!(seen[..], [Seen::Event(0x8012, _)]), "{seen:?}");
    assert_eq!(driver.done(&[0x69]).at(1), 4, "no light");
    driver.rig.cable(true);
    driver.rig.pass(1);
    let seen = driver.take();
    let [
        Seen::Event(0x8030, _),
        Seen::Response(base),
        Seen::Event(0x8011, _),
        Seen::Event(0x8014, _),
        Seen::Response(vport),
    ] = seen[..]
    else {
        panic!("{seen:?}")
    };
    assert_eq!((base.u8(10), vport.u8(10)), (0, 1));
    assert_eq!((base.kind(), vport.kind()), (kind::REPORT_ID, kind::REPORT_ID));
    assert!(driver.rig.is_logged_in(VPORT.wwpn));
}

#[test]
fn a_vport_disabled_without_a_link_is_answered() {
    let mut driver = Driver::target();
    enable(&mut driver, 1);
    driver.rig.cable(false);
    driver.take();
    driver.push(&[disable(1)]);
    assert_eq!(driver.one().u16(10), 0);
    driver.rig.cable(true);
    driver.rig.pass(1);
    assert!(driver.rig.is_logged_in(BASE.wwpn));
    assert!(!driver.rig.is_logged_in(VPORT.wwpn));
}

#[test]
fn firmware_that_is_silent_answers_no_mailbox() {
    let mut driver = Driver::target();
    driver.rig.hba.inject(Fault::Silent { on: true });
    driver.ring(&[0]);
    driver.rig.pass(60);
    assert_eq!(driver.take(), []);
    driver.rig.hba.inject(Fault::Silent { on: false });
    driver.done(&[0]);
}

#[test]
fn whether_a_reset_sends_a_logout_is_a_switch() {
    for logout_at_reset in [true, false] {
        let switches = Switches { logout_at_reset, ..Switches::default() };
        let mut driver = Driver::target_with(switches);
        assert!(driver.rig.is_logged_in(BASE.wwpn));
        driver.reset();
        driver.rig.settle();
        assert_eq!(driver.rig.is_logged_in(BASE.wwpn), !logout_at_reset);
    }
}

#[test]
fn the_update_can_come_after_the_state() {
    let switches = Switches { ready_before_update: true, ..Switches::default() };
    let mut driver = Driver::new(switches);
    driver.boot();
    driver.start(Mode::Target);
    driver.rig.pass(1);
    driver.ring(&[0x69]);
    let seen = driver.take();
    let [.., Seen::Mailbox(state), Seen::Event(0x8014, _)] = &seen[..] else {
        panic!("{seen:?}")
    };
    assert_eq!(state.at(1), 3);
}

#[test]
fn a_vport_whose_logout_the_link_cuts_off_is_answered() {
    let mut driver = Driver::target();
    enable(&mut driver, 1);
    // The doorbell is rung; the logout has not reached the fabric yet.
    driver.push(&[disable(1)]);
    driver.rig.cable(false);
    let seen = driver.take();
    let [Seen::Response(answer), Seen::Event(0x8012, _)] = seen[..] else {
        panic!("{seen:?}")
    };
    assert_eq!((answer.kind(), answer.u16(10)), (kind::VP_CONTROL, 0));
}
