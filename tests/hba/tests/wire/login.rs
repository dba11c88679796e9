//! Discovery, logins and logouts, losses.

use std::time::Duration;

use understudy_fabric::addr::{Fcid, Mac};
use understudy_fabric::ct::Request;
use understudy_fabric::els::{Login, Reject, command};
use understudy_fabric::fip::{Fip, LinkService, VnPort};
use understudy_hba::wire::{Event, LoggedIn, LogoutBy, Names, Refusal, Vp, WireError};

use crate::remote::{ENODE, LOCAL, Remote, SWITCH};
use crate::rig::{BASE, FCP, Rig, VPORT, names};

const OTHER: Vp = Vp(2);

/// Returns the ports that events say are logged in, in order.
fn entered(events: &[Event]) -> Vec<Vp> {
    let entered = events.iter().filter_map(|event| match event {
        Event::LoggedIn(login) => Some(login.vp),
        _ => None,
    });
    entered.collect()
}

fn logged_out(vp: Vp, by: LogoutBy) -> Event {
    Event::LoggedOut { vp, by }
}

#[test]
fn a_port_finds_the_fabric_and_logs_in() {
    let mut rig = Rig::new(1);
    let fabric = names(0, BASE).wwnn;
    assert!(
        matches!(rig.one(0), Event::FabricFound { fabric: found } if found != fabric)
    );
    rig.want(0, BASE);
    match rig.one(0) {
        Event::LoggedIn(LoggedIn { vp: BASE, id, npiv: true, .. }) => {
            assert_eq!(rig.wires[0].id(BASE), Some(id));
            assert_eq!(rig.wires[0].port_at(id), Some(BASE));
            assert_eq!(rig.fabric.ports(0.0)[0].fcid, id);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_ports_find_each_other_in_the_name_server() {
    let mut rig = Rig::new(2);
    let ids = [rig.register(0), rig.register(1)];
    let list = rig.ct(0, BASE, &Request::GpnFt { fc4: FCP }).unwrap();
    let found: Vec<Fcid> = list
        .chunks(16)
        .map(|entry| Fcid(u32::from_be_bytes([0, entry[1], entry[2], entry[3]])))
        .collect();
    assert_eq!(found, ids);
}

#[test]
fn virtual_ports_wait_for_the_physical_one() {
    let mut rig = Rig::new(1);
    rig.want(0, VPORT);
    rig.want(0, OTHER);
    rig.seconds(60);
    rig.take(0);
    rig.want(0, BASE);
    assert_eq!(entered(&rig.take(0)), [BASE, VPORT, OTHER]);
    assert_eq!(rig.logged_in(), [BASE, VPORT, OTHER].map(|vp| names(0, vp).wwpn));
}

#[test]
fn a_refusal_has_the_fabrics_reasons_and_is_final() {
    let mut rig = Rig::new(2);
    rig.login(0, BASE);
    rig.login(1, BASE);
    rig.take(1);
    rig.wires[1].login(VPORT, names(0, BASE), rig.now).unwrap();
    let refusal = Refusal::Rejected(Reject::NAME_IN_USE);
    assert_eq!(rig.one(1), Event::Refused { vp: VPORT, refusal });
    rig.seconds(600);
    assert_eq!(rig.take(1), []);
}

#[test]
fn without_npiv_a_virtual_port_is_refused() {
    let mut rig = Rig::new(1);
    rig.fabric.set_npiv(false, None).unwrap();
    rig.login(0, BASE);
    rig.want(0, VPORT);
    assert_eq!(rig.one(0), Event::Refused { vp: VPORT, refusal: Refusal::NoNpiv });
    // A wish that is older than the physical port's login fails in the same way.
    let mut rig = Rig::new(1);
    rig.fabric.set_npiv(false, None).unwrap();
    rig.want(0, VPORT);
    rig.take(0);
    rig.want(0, BASE);
    let refused = Event::Refused { vp: VPORT, refusal: Refusal::NoNpiv };
    assert_eq!(rig.take(0)[1..], [refused]);
}

#[test]
fn keep_alives_keep_all_ports_logged_in_and_cost_little() {
    let mut rig = Rig::new(1);
    rig.login(0, BASE);
    rig.login(0, VPORT);
    rig.ticks = 0;
    rig.seconds(3600);
    assert_eq!(rig.take(0), []);
    assert_eq!(rig.logged_in().len(), 2);
    // One beat in 8 s for the node, and one in 90 s for each port.
    assert!((450..600).contains(&rig.ticks), "{} ticks", rig.ticks);
}

#[test]
fn a_port_logs_out_and_stays_out() {
    let mut rig = Rig::new(1);
    rig.login(0, BASE);
    rig.login(0, VPORT);
    rig.wires[0].logout(VPORT, rig.now).unwrap();
    assert_eq!(rig.one(0), logged_out(VPORT, LogoutBy::Us));
    assert_eq!(rig.logged_in(), [names(0, BASE).wwpn]);
    rig.disconnect(0);
    rig.connect(0);
    rig.seconds(60);
    assert_eq!(rig.logged_in(), [names(0, BASE).wwpn]);
    rig.take(0);
    rig.wires[0].logout(VPORT, rig.now).unwrap();
    assert_eq!(rig.one(0), logged_out(VPORT, LogoutBy::Us));
}

#[test]
fn a_port_that_is_wanted_while_it_leaves_comes_back() {
    let mut rig = Rig::new(1);
    rig.login(0, BASE);
    let old = rig.login(0, VPORT);
    rig.wires[0].logout(VPORT, rig.now).unwrap();
    rig.want(0, VPORT);
    let events = rig.take(0);
    assert_eq!(events[0], logged_out(VPORT, LogoutBy::Us));
    assert_eq!(entered(&events), [VPORT]);
    assert_ne!(rig.wires[0].id(VPORT), Some(old));
}

#[test]
fn a_port_that_is_wanted_twice_logs_in_twice() {
    let mut rig = Rig::new(1);
    rig.login(0, BASE);
    let old = rig.login(0, VPORT);
    let new = rig.login(0, VPORT);
    assert_ne!(old, new);
    assert_eq!(rig.logged_in().len(), 2);
}

#[test]
fn the_physical_port_takes_virtual_ports_along() {
    let mut rig = Rig::new(1);
    rig.login(0, BASE);
    rig.login(0, VPORT);
    rig.wires[0].logout(BASE, rig.now).unwrap();
    assert_eq!(
        rig.take(0),
        [logged_out(VPORT, LogoutBy::Us), logged_out(BASE, LogoutBy::Us)]
    );
    rig.want(0, BASE);
    assert_eq!(entered(&rig.take(0)), [BASE, VPORT]);
}

#[test]
fn a_link_that_comes_back_brings_all_wanted_ports_back() {
    let mut rig = Rig::new(1);
    rig.login(0, BASE);
    rig.login(0, VPORT);
    rig.disconnect(0);
    assert_eq!(rig.take(0), [Event::LinkLost]);
    assert_eq!(rig.wires[0].deadline(), None);
    assert_eq!((rig.wires[0].id(BASE), rig.wires[0].id(VPORT)), (None, None));
    rig.connect(0);
    rig.pass(Duration::ZERO);
    assert_eq!(entered(&rig.take(0)), [BASE, VPORT]);
}

#[test]
fn a_forwarder_that_falls_silent_is_lost_after_two_and_a_half_periods() {
    let mut rig = Rig::new(1);
    rig.login(0, BASE);
    rig.cut(0);
    rig.seconds(11);
    assert_eq!(rig.take(0), []);
    rig.seconds(9);
    assert_eq!(rig.take(0), [Event::LinkLost]);
    rig.seconds(60);
    assert_eq!(rig.take(0), []);
    rig.restore(0);
    rig.seconds(2);
    assert_eq!(entered(&rig.take(0)), [BASE]);
}

#[test]
fn a_cut_that_is_noticed_only_by_the_fabric_ends_in_a_new_login() {
    let mut rig = Rig::new(1);
    rig.login(0, BASE);
    rig.login(0, VPORT);
    rig.cut(0);
    rig.seconds(5);
    rig.restore(0);
    let out = [VPORT, BASE].map(|vp| logged_out(vp, LogoutBy::Fabric));
    assert_eq!(rig.take(0), out);
    rig.seconds(2);
    assert_eq!(entered(&rig.take(0)), [BASE, VPORT]);
}

#[test]
fn a_port_that_the_fabric_drops_comes_back_after_a_second() {
    let mut rig = Rig::new(1);
    rig.login(0, BASE);
    rig.login(0, VPORT);
    rig.drop_port(names(0, VPORT).wwpn);
    assert_eq!(rig.one(0), logged_out(VPORT, LogoutBy::Fabric));
    rig.pass(Duration::from_millis(999));
    assert_eq!(rig.take(0), []);
    rig.pass(Duration::from_millis(1));
    assert_eq!(entered(&rig.take(0)), [VPORT]);
}

#[test]
fn firmware_may_keep_a_dropped_port_out() {
    let mut rig = Rig::new(1);
    rig.login(0, BASE);
    rig.drop_port(names(0, BASE).wwpn);
    rig.take(0);
    rig.wires[0].logout(BASE, rig.now).unwrap();
    rig.seconds(60);
    assert_eq!(rig.take(0), [logged_out(BASE, LogoutBy::Us)]);
}

#[test]
fn a_reset_leaves_the_fabric_and_forgets_everything() {
    let mut rig = Rig::new(2);
    let peer = rig.login(1, BASE);
    rig.login(0, BASE);
    rig.login(0, VPORT);
    let els = [command::PLOGI, 0, 0, 0];
    let exchange = rig.wires[0].send_els(BASE, peer, &els, rig.now).unwrap();
    rig.wires[0].reset(rig.now);
    assert!(!rig.wires[0].is_open(exchange));
    assert_eq!(rig.wires[0].exchanges_in_use(), 0);
    rig.seconds(60);
    assert_eq!(rig.take(0), []);
    assert_eq!(rig.logged_in(), [names(1, BASE).wwpn]);
    rig.login(0, BASE);
}

#[test]
fn a_reset_leaves_the_fabric_even_before_it_has_answered() {
    let mut rig = Rig::new(1);
    rig.wires[0].login(BASE, names(0, BASE), rig.now).unwrap();
    rig.wires[0].reset(rig.now);
    rig.seconds(60);
    assert_eq!(rig.logged_in(), []);
    assert_eq!(entered(&rig.take(0)), []);
}

#[test]
fn a_fabric_that_does_not_answer_is_asked_four_times() {
    let mut remote = Remote::new(|_| {});
    remote.advertise(true);
    remote.wire.take_events();
    remote.wire.login(BASE, names(0, BASE), remote.now).unwrap();
    assert_eq!(remote.pass(Duration::from_millis(7999)), []);
    assert_eq!(remote.services().len(), 4);
    let refused = Event::Refused { vp: BASE, refusal: Refusal::NoAnswer };
    assert_eq!(remote.pass(Duration::from_millis(1)), [refused]);
}

#[test]
fn nobody_logs_in_through_a_forwarder_that_was_not_asked() {
    let mut remote = Remote::new(|_| {});
    remote.wire.login(BASE, names(0, BASE), remote.now).unwrap();
    remote.advertise(false);
    assert_eq!(remote.wire.take_events(), []);
    // It is asked, at its own address.
    assert_eq!(remote.wire.take_frames()[0][..6], Mac::FCF.0);
    remote.advertise(true);
    assert_eq!(remote.pass(Duration::ZERO), [Event::FabricFound { fabric: SWITCH }]);
    assert_eq!(remote.services()[0].0, LinkService::Flogi);
}

#[test]
fn a_forwarder_has_an_address_of_its_own() {
    let advertisement = |fcf| Fip::Advertisement {
        solicited: true,
        fcf,
        switch: SWITCH,
        fabric: SWITCH,
        fka_ms: 8000,
        no_keep_alive: false,
    };
    let mut remote = Remote::new(|_| {});
    for (fcf, src) in [(Mac::FCF, ENODE), (Mac::ALL_FCFS, Mac::ALL_FCFS)] {
        let frame = advertisement(fcf).encode(ENODE, src);
        remote.wire.receive(&frame, remote.now);
        assert_eq!(remote.wire.take_events(), []);
    }
    remote.fip(&advertisement(Mac::FCF));
    assert_eq!(remote.event(), Event::FabricFound { fabric: SWITCH });
}

#[test]
fn an_accept_that_makes_no_sense_is_a_refusal() {
    let accept = Login::fabric_accept(SWITCH, SWITCH, true).encode();
    let mac = |id| Some(Mac::fabric_provided(id));
    for (id, els, mac) in [
        (Fcid::NONE, accept.clone(), mac(Fcid::NONE)),
        (Fcid::F_PORT, accept.clone(), mac(Fcid::F_PORT)),
        (LOCAL, accept.clone(), None),
        (LOCAL, accept.clone(), Some(Mac([2; 6]))),
        (LOCAL, accept[..112].to_vec(), mac(LOCAL)),
        (LOCAL, [&[command::FLOGI], &accept[1..]].concat(), mac(LOCAL)),
        (LOCAL, Vec::new(), mac(LOCAL)),
    ] {
        let mut remote = Remote::new(|_| {});
        remote.advertise(true);
        remote.wire.login(BASE, names(0, BASE), remote.now).unwrap();
        remote.wire.take_events();
        remote.answer(LinkService::Flogi, id, els, mac);
        let refused = Event::Refused { vp: BASE, refusal: Refusal::BadAnswer };
        assert_eq!(remote.event(), refused, "{id}");
    }
}

#[test]
fn two_ports_cannot_be_granted_one_address() {
    let mut remote = Remote::logged_in(|_| {});
    remote.wire.login(VPORT, names(0, VPORT), remote.now).unwrap();
    remote.grant(LinkService::Fdisc, LOCAL);
    let refused = Event::Refused { vp: VPORT, refusal: Refusal::BadAnswer };
    assert_eq!(remote.event(), refused);
    assert_eq!(remote.wire.port_at(LOCAL), Some(BASE));
}

#[test]
fn a_grant_that_nobody_wants_any_longer_is_given_back() {
    let mut remote = Remote::logged_in(|_| {});
    remote.wire.login(VPORT, names(0, VPORT), remote.now).unwrap();
    remote.wire.logout(VPORT, remote.now).unwrap();
    assert_eq!(remote.wire.take_events(), []);
    remote.grant(LinkService::Fdisc, Fcid(0x01_0009));
    assert_eq!(remote.wire.take_events(), []);
    remote.answer(
        LinkService::Logo,
        Fcid(0x01_0009),
        vec![command::LS_ACC, 0, 0, 0],
        None,
    );
    assert_eq!(remote.event(), logged_out(VPORT, LogoutBy::Us));
}

#[test]
fn a_logout_ends_even_if_its_answer_is_lost() {
    // With the link, and with the physical port alone.
    let link: fn(&mut Remote) = |remote| remote.wire.link(false, remote.now);
    let port: fn(&mut Remote) = |remote| {
        let (fcf, switch) = (Mac::FCF, SWITCH);
        remote.fip(&Fip::ClearVirtualLink { fcf, switch, ports: Vec::new() });
    };
    for lose in [link, port] {
        for granted in [false, true] {
            let mut remote = Remote::logged_in(|_| {});
            remote.wire.login(VPORT, names(0, VPORT), remote.now).unwrap();
            if granted {
                remote.grant(LinkService::Fdisc, Fcid(0x01_0009));
            }
            remote.wire.logout(VPORT, remote.now).unwrap();
            remote.wire.take_events();
            lose(&mut remote);
            let events = remote.wire.take_events();
            assert_eq!(events[0], logged_out(VPORT, LogoutBy::Us));
            assert_eq!(events.len(), 2);
        }
    }
}

#[test]
fn a_clear_virtual_link_must_come_from_the_right_switch_and_name_the_right_port() {
    let mut remote = Remote::logged_in(|_| {});
    let port = VnPort {
        mac: Mac::fabric_provided(LOCAL),
        fcid: LOCAL,
        wwpn: names(0, BASE).wwpn,
    };
    let clear =
        |switch, port| Fip::ClearVirtualLink { fcf: Mac::FCF, switch, ports: vec![port] };
    remote.fip(&clear(names(0, BASE).wwpn, port));
    remote.fip(&clear(SWITCH, VnPort { fcid: Fcid(1), ..port }));
    remote.fip(&clear(SWITCH, VnPort { wwpn: SWITCH, ..port }));
    assert_eq!(remote.wire.take_events(), []);
    remote.fip(&clear(SWITCH, port));
    assert_eq!(remote.event(), logged_out(BASE, LogoutBy::Fabric));
}

#[test]
fn there_is_no_port_beyond_the_limit() {
    let mut remote = Remote::logged_in(|options| options.vports = 3);
    let names = Names { wwpn: SWITCH, wwnn: SWITCH };
    assert_eq!(remote.wire.login(Vp(4), names, remote.now), Err(WireError::NoPort));
    assert_eq!(remote.wire.logout(Vp(255), remote.now), Err(WireError::NoPort));
    assert_eq!(remote.wire.login(Vp(3), names, remote.now), Ok(()));
}
