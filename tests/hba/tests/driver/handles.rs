//! Handles of ports that log in, and logouts that name one too late.

use understudy_hba::chip::iocb::kind;
use understudy_hba::fields::{Entry, Fields, id_bytes};
use understudy_hba::firmware::Switches;

use crate::crossing::is_served;
use crate::driver::{Driver, Mode};
use crate::pair::Pair;
use crate::rig::{BASE, INITIATOR};

/// How many handles there are: 0 to 7EEh.
const HANDLES: usize = 0x7ef;
/// LOGO without a frame.
const IMPLICIT_LOGO: u16 = 0x98;
/// The port with this handle is not logged in.
const NOT_LOGGED_IN: u32 = 9;

/// Lets the initiator without a driver log in and out again. Returns the handle that it
/// had.
fn visit(target: &mut Driver) -> u16 {
    let handle = target.admit(BASE);
    target.rig.initiator.log_out();
    let notice = target.one();
    target.acknowledge(&notice);
    target.one();
    handle
}

#[test]
fn what_a_late_logout_ends_is_a_switch() {
    let in_turn = Switches { handles_in_turn: true, ..Switches::default() };
    let names_port = Switches { logout_names_port: true, ..Switches::default() };
    for (switches, handle, ended) in [
        (Switches::default(), 0x7ee, true),
        (in_turn, 0x7ed, false),
        (names_port, 0x7ee, false),
    ] {
        let mut pair = Pair::offline(Mode::Initiator, 2048);
        let target = pair.target();
        *target.rig.hba.switches() = switches;
        let before = visit(target);
        pair.initiator().take();
        pair.log_in(0);
        assert_eq!((before, pair.handle), (0x7ee, handle), "{switches:?}");
        let target = pair.target();
        let mut logout = Entry::new(kind::LOGIN_OUT);
        logout.set_u16(10, before);
        logout.set_u16(12, IMPLICIT_LOGO);
        logout.set(16, &id_bytes(target.rig.id_of(INITIATOR.wwpn)));
        target.push(&[logout]);
        let answer = target.one();
        let reason = if ended { 0 } else { NOT_LOGGED_IN };
        assert_eq!(answer.u32(20), reason, "{switches:?}");
        assert_eq!(is_served(&mut pair), !ended, "{switches:?}");
    }
}

#[test]
fn handles_in_turn_come_again_after_all_others() {
    let mut driver = Driver::target();
    driver.register(0);
    driver.rig.hba.switches().handles_in_turn = true;
    let handles: Vec<u16> = (0..=HANDLES).map(|_| visit(&mut driver)).collect();
    assert_eq!(handles[..3], [0x7ee, 0x7ed, 0x7ec]);
    assert_eq!(handles[HANDLES - 1..], [0, 0x7ee]);
}
