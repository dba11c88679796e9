//! Ends of an initiator's commands by something else than a response or an abort.

use understudy_hba::chip::iocb::kind;
use understudy_hba::fields::{Entry, Fields, id_bytes};

use crate::driver::{Driver, Mode, Seen};
use crate::initiator::ended;
use crate::pair::{HANDLE, OTHER, Pair};
use crate::target::ctio;
use crate::vport::disable;

const STATUS: u16 = 1 << 15;
/// LOGINOUT_PORT: PLOGI without PRLI, PRLI, LOGO, implicit LOGO, implicit PRLO.
const PLOGI: u16 = 0x20;
const PRLI: u16 = 0x01;
const LOGO: u16 = 0x08;
const IMPLICIT_LOGO: u16 = 0x98;
const IMPLICIT_PRLO: u16 = 0x19;

/// Returns an entry that logs the initiator in to the target, or out of it.
fn log(pair: &mut Pair, flags: u16) -> Entry {
    let id = pair.target().id(0);
    let mut entry = Entry::new(kind::LOGIN_OUT);
    entry.set_u16(10, HANDLE);
    entry.set_u16(12, flags);
    entry.set(16, &id_bytes(id));
    entry
}

/// Returns an entry that logs the target in to the initiator, or out of it.
fn log_back(pair: &mut Pair, flags: u16) -> Entry {
    let id = pair.initiator().id(0);
    let target = pair.target();
    let ports = target.rig.hba.ports();
    let handle = ports[0].sessions.iter().find(|session| session.fcid == id);
    let mut entry = Entry::new(kind::LOGIN_OUT);
    entry.set_u16(10, handle.unwrap().handle);
    entry.set_u16(12, flags);
    entry.set(16, &id_bytes(id));
    entry
}

/// Asserts that a command has ended in a certain way, and returns what came after that.
fn after_end(driver: &mut Driver, handle: u32, completion: u16) -> Vec<Seen> {
    let mut seen = driver.take();
    let Seen::Response(status) = seen.remove(0) else { panic!("{seen:?}") };
    assert_eq!(ended(&status), (handle, completion, 0));
    seen
}

#[test]
fn a_logout_of_the_target_ends_commands_before_the_driver_hears_of_it() {
    let mut pair = Pair::new();
    pair.send(7, 0, 0);
    let logo = log_back(&mut pair, LOGO);
    pair.target().push(&[logo]);
    let rest = after_end(pair.initiator(), 7, 0x29);
    assert!(matches!(rest[..], [Seen::Event(0x8014, [HANDLE, 7, _])]), "{rest:?}");
}

#[test]
fn a_logout_ends_commands_of_a_target_that_is_an_initiator_as_well() {
    let mut pair = Pair::with(Mode::Both, 2048);
    pair.send(7, 0, 0);
    let logo = log_back(&mut pair, LOGO);
    pair.target().push(&[logo]);
    let rest = after_end(pair.initiator(), 7, 0x29);
    assert!(
        matches!(rest[..], [Seen::Atio(notice)] if notice.u8(18) == 0x05),
        "the driver has not answered it yet: {rest:?}"
    );
}

#[test]
fn a_login_of_the_target_ends_commands() {
    let mut pair = Pair::with(Mode::Both, 2048);
    pair.send(7, 0, 0);
    let plogi = log_back(&mut pair, PLOGI);
    pair.target().push(&[plogi]);
    let rest = after_end(pair.initiator(), 7, 0x2a);
    assert!(matches!(rest[..], [Seen::Atio(notice)] if notice.u8(18) == 0x03));
}

#[test]
fn a_login_of_the_drivers_own_ends_older_commands() {
    let mut pair = Pair::new();
    pair.send(7, 0, 0);
    let plogi = log(&mut pair, PLOGI);
    pair.initiator().push(&[plogi]);
    let target = pair.target();
    let notice = target.one();
    assert_eq!(notice.u8(18), 0x03);
    target.acknowledge(&notice);
    target.one();
    let rest = after_end(pair.initiator(), 7, 0x2a);
    assert!(matches!(rest[..], [Seen::Response(answer)] if answer.u16(8) == 0));
}

#[test]
fn a_logout_without_a_frame_ends_commands_first() {
    for flags in [IMPLICIT_LOGO, IMPLICIT_PRLO] {
        let mut pair = Pair::new();
        let atio = pair.send(7, 0, 0);
        let logout = log(&mut pair, flags);
        pair.initiator().push(&[logout]);
        let rest = after_end(pair.initiator(), 7, 0x29);
        let [Seen::Response(answer)] = rest[..] else { panic!("{rest:?}") };
        assert_eq!((answer.kind(), answer.u16(8)), (kind::LOGIN_OUT, 0));
        // The target knows nothing of it. Its response is for nobody.
        pair.target().push(&[ctio(&atio, STATUS)]);
        assert_eq!(pair.initiator().take(), []);
    }
}

#[test]
fn commands_need_a_prli_after_a_prlo_without_a_frame() {
    let mut pair = Pair::new();
    let prlo = log(&mut pair, IMPLICIT_PRLO);
    pair.initiator().push(&[prlo]);
    pair.initiator().one();
    let entry = pair.command(7, [0; 16], 0);
    pair.initiator().push(&[entry]);
    assert_eq!(ended(&pair.initiator().one()), (7, 0x29, 0));
    assert_eq!(pair.target().take(), []);
    let prli = log(&mut pair, PRLI);
    pair.initiator().push(&[prli]);
    let target = pair.target();
    let notice = target.one();
    target.acknowledge(&notice);
    target.one();
    assert_eq!(pair.initiator().one().u16(8), 0);
    pair.send(8, 0, 0);
}

#[test]
fn a_cable_that_is_pulled_ends_commands() {
    let mut pair = Pair::new();
    pair.send(7, 0, 0);
    let initiator = pair.initiator();
    initiator.rig.cable(false);
    let rest = after_end(initiator, 7, 0x28);
    assert!(matches!(rest[..], [Seen::Event(0x8012, _)]), "{rest:?}");
    let entry = pair.command(8, [0; 16], 0);
    let initiator = pair.initiator();
    initiator.push(&[entry]);
    assert_eq!(ended(&initiator.one()), (8, 0x29, 0));
}

#[test]
fn a_login_that_the_fabric_ends_ends_commands() {
    let mut pair = Pair::new();
    pair.send(7, 0, 0);
    let initiator = pair.initiator();
    initiator.rig.drop_port(OTHER.wwpn);
    let rest = after_end(initiator, 7, 0x28);
    assert!(matches!(rest[..], [Seen::Event(0x8012, _)]), "{rest:?}");
}

#[test]
fn a_port_that_is_disabled_ends_its_commands_first() {
    let mut pair = Pair::with_vport();
    let mut entry = pair.command(7, [0; 16], 0);
    entry.set(51, &[1]);
    pair.initiator().push(&[entry]);
    pair.target().one();
    pair.initiator().push(&[disable(1)]);
    let rest = after_end(pair.initiator(), 7, 0x29);
    let [Seen::Response(answer)] = rest[..] else { panic!("{rest:?}") };
    assert_eq!((answer.kind(), answer.u16(10)), (kind::VP_CONTROL, 0));
    let logo = pair.target().one();
    assert_eq!((logo.kind(), logo.u8(18)), (kind::IMMEDIATE_NOTIFY, 0x05));
}

#[test]
fn a_reset_forgets_commands_without_a_word() {
    let mut pair = Pair::new();
    let atio = pair.send(7, 2, 512);
    let initiator = pair.initiator();
    initiator.reset();
    initiator.rig.settle();
    pair.target().push(&[ctio(&atio, STATUS)]);
    let initiator = pair.initiator();
    assert_eq!(initiator.take(), []);
    initiator.rig.pass(100);
    assert_eq!(initiator.take(), []);
    initiator.boot();
    initiator.go_online(Mode::Initiator);
    pair.target().take();
    pair.log_in(0);
    let atio = pair.send(7, 0, 0);
    pair.target().push(&[ctio(&atio, STATUS)]);
    assert_eq!(ended(&pair.initiator().one()), (7, 0, 0));
}

#[test]
fn an_abort_is_answered_where_the_session_ends_first() {
    let mut pair = Pair::new();
    pair.send(7, 0, 0);
    let mut abort = Entry::new(kind::ABORT);
    abort.set_u32(12, 7);
    let logout = log(&mut pair, IMPLICIT_LOGO);
    pair.initiator().push(&[abort, logout]);
    let rest = after_end(pair.initiator(), 7, 0x29);
    let [Seen::Response(abort), Seen::Response(logout)] = rest[..] else {
        panic!("{rest:?}")
    };
    assert_eq!((abort.kind(), abort.u16(8)), (kind::ABORT, 0));
    assert_eq!(logout.kind(), kind::LOGIN_OUT);
}

#[test]
fn commands_beyond_the_exchanges_are_given_back() {
    let mut pair = Pair::with(Mode::Initiator, 4);
    let entries: Vec<Entry> =
        (0..6).map(|handle| pair.command(handle, [0; 16], 0)).collect();
    pair.initiator().push(&entries);
    assert_eq!(pair.target().take().len(), 4);
    let seen = pair.initiator().take();
    let [Seen::Response(first), Seen::Response(second)] = seen[..] else {
        panic!("{seen:?}")
    };
    assert_eq!([ended(&first), ended(&second)], [(4, 0x2c, 0), (5, 0x2c, 0)]);
}
