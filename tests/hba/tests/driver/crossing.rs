//! Logins that both ports begin, and logins that are there already.

use understudy_hba::chip::iocb::kind;
use understudy_hba::fields::{Entry, Fields, id_bytes};
use understudy_hba::firmware::{Switches, YieldedLogin};

use crate::driver::{Mode, Seen};
use crate::initiator::ended;
use crate::pair::{HANDLE, OTHER, Pair};

/// PLOGI only where the other port is not logged in.
const CONDITIONAL: u16 = 1 << 4;
/// PRLI alone.
const PRLI: u16 = 1;
/// The port is known by another handle, which follows.
const PORT_ID_USED: u32 = 0x1a;
/// The login failed, and more follows.
const COMMAND_FAILED: u32 = 0x04;
/// The login was rejected by the other port, with this reason: one is in progress.
const REJECTED: u32 = 0x18;
const IN_PROGRESS: u32 = 0x0e_0000;

/// Returns entries that log in: one to the target, one to the initiator.
pub fn login(handle: u16, flags: u16, to: &mut Pair) -> [Entry; 2] {
    let target = to.target().id(0);
    let initiator = to.target().rig.id_of(OTHER.wwpn);
    [target, initiator].map(|id| {
        let mut entry = Entry::new(kind::LOGIN_OUT);
        entry.set_u16(10, handle);
        entry.set_u16(12, flags);
        entry.set(16, &id_bytes(id));
        entry
    })
}

/// Returns whether a command of the initiator's reaches the target.
pub fn is_served(pair: &mut Pair) -> bool {
    let entry = pair.command(7, [0; 16], 0);
    pair.initiator().push(&[entry]);
    matches!(pair.target().take()[..], [Seen::Atio(atio)] if atio.kind() == kind::ATIO)
}

#[test]
fn of_two_logins_that_cross_the_higher_name_goes_on() {
    let mut pair = Pair::offline(Mode::Both, 2048);
    let [to_target, to_initiator] = login(HANDLE, 0, &mut pair);
    pair.target().push(&[to_initiator]);
    pair.initiator().push(&[to_target]);
    let seen = pair.target().take();
    let [Seen::Response(given_up), Seen::Atio(notice)] = seen[..] else {
        panic!("{seen:?}")
    };
    assert_eq!((notice.kind(), notice.u8(18)), (kind::IMMEDIATE_NOTIFY, 0x03));
    let handle = u32::from(notice.u16(8));
    assert_eq!((given_up.u32(20), given_up.u32(24)), (PORT_ID_USED, handle));
    assert_eq!(pair.initiator().take(), [], "the lower name's PLOGI is no notice");
    pair.target().put_back(Seen::Atio(notice));
    pair.finish_login();
    assert!(is_served(&mut pair));
}

/// Has the target's driver log in to the initiator just before, or just after, the
/// initiator's PLOGI comes. Returns why that failed, and leaves the notice to be taken.
fn yielded(pair: &mut Pair, first: bool) -> (u32, u32) {
    let [to_target, to_initiator] = login(HANDLE, 0, pair);
    if first {
        pair.target().push(&[to_initiator]);
    }
    pair.initiator().push(&[to_target]);
    if !first {
        let notice = pair.target().one();
        pair.target().put_back(Seen::Atio(notice));
        pair.target().push(&[to_initiator]);
    }
    let seen = pair.target().take();
    let answer = seen.iter().find_map(|seen| match seen {
        Seen::Response(answer) => Some((answer.u32(20), answer.u32(24))),
        _ => None,
    });
    let notices = seen.into_iter().filter(|seen| matches!(seen, Seen::Atio(_)));
    notices.for_each(|notice| pair.target().put_back(notice));
    answer.unwrap()
}

#[test]
fn how_a_login_ends_that_the_other_port_goes_before_is_a_switch() {
    for first in [true, false] {
        for (yielded_login, expected) in [
            (YieldedLogin::PortIdUsed, (PORT_ID_USED, 0x7ee)),
            (YieldedLogin::Completed, (COMMAND_FAILED, 0x0606)),
            (YieldedLogin::Answered, (REJECTED, IN_PROGRESS)),
        ] {
            let mut pair = Pair::offline(Mode::Both, 2048);
            *pair.target().rig.hba.switches() =
                Switches { yielded_login, ..Switches::default() };
            assert_eq!(yielded(&mut pair, first), expected, "{yielded_login:?} {first}");
            pair.finish_login();
            assert!(is_served(&mut pair), "{yielded_login:?} {first}");
        }
    }
}

#[test]
fn a_login_on_condition_leaves_one_that_is_there_as_it_is() {
    for target in [false, true] {
        let mut pair = Pair::new();
        let handle = if target { pair.handle } else { HANDLE };
        let [to_target, to_initiator] = login(handle, CONDITIONAL, &mut pair);
        if target {
            pair.target().push(&[to_initiator]);
            assert_eq!(pair.target().one().u16(8), 0);
            assert_eq!(pair.initiator().take(), []);
        } else {
            pair.initiator().push(&[to_target]);
            let answer = pair.initiator().one();
            assert_eq!((answer.u16(8), answer.u32(20) & 0x10), (0, 0x10));
            assert_eq!(pair.target().take(), []);
        }
        assert!(is_served(&mut pair));
    }
}

#[test]
fn whether_a_login_on_condition_leaves_one_that_is_there_is_a_switch() {
    for condition_counts in [true, false] {
        let mut pair = Pair::new();
        *pair.initiator().rig.hba.switches() =
            Switches { condition_counts, ..Switches::default() };
        pair.send(7, 0, 0);
        let [to_target, _] = login(HANDLE, CONDITIONAL, &mut pair);
        pair.initiator().push(&[to_target]);
        if condition_counts {
            assert_eq!(pair.initiator().one().u16(8), 0);
            assert_eq!(pair.target().take(), []);
        } else {
            pair.target().accept_login();
            let seen = pair.initiator().take();
            let [Seen::Response(command), Seen::Response(answer)] = seen[..] else {
                panic!("{seen:?}")
            };
            assert_eq!(ended(&command), (7, 0x2a, 0), "the other login is gone");
            assert_eq!((answer.kind(), answer.u16(8)), (kind::LOGIN_OUT, 0));
        }
    }
}

#[test]
fn whether_a_second_prli_that_the_driver_refuses_ends_the_first_is_a_switch() {
    for refused_prli_ends_login in [false, true] {
        let mut pair = Pair::new();
        *pair.target().rig.hba.switches() =
            Switches { refused_prli_ends_login, ..Switches::default() };
        let [to_target, _] = login(HANDLE, PRLI, &mut pair);
        pair.initiator().push(&[to_target]);
        let notice = pair.target().one();
        assert_eq!((notice.kind(), notice.u8(18)), (kind::IMMEDIATE_NOTIFY, 0x20));
        pair.target().terminate(&notice);
        let stage = if refused_prli_ends_login { 4 } else { 6 };
        assert_eq!(pair.target().stage(notice.u16(8)), Some(stage));
        assert_eq!(is_served(&mut pair), !refused_prli_ends_login);
    }
}

#[test]
fn a_login_to_a_port_that_is_logging_in_fails_with_its_handle() {
    let mut pair = Pair::offline(Mode::Initiator, 2048);
    let [to_target, to_initiator] = login(HANDLE, 0, &mut pair);
    pair.initiator().push(&[to_target]);
    let notice = pair.target().one();
    let mut entry = to_initiator;
    entry.set_u16(10, notice.u16(8));
    entry.set_u16(12, CONDITIONAL);
    pair.target().push(&[entry]);
    let answer = pair.target().one();
    let handle = u32::from(notice.u16(8));
    assert_eq!((answer.u32(20), answer.u32(24)), (PORT_ID_USED, handle));
    assert_eq!(pair.initiator().take(), []);
    pair.target().put_back(Seen::Atio(notice));
    pair.finish_login();
    assert!(is_served(&mut pair));
}
