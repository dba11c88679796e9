//! Zoning: what a port hears of others, and whose frames pass.

use understudy_fabric::control::What;
use understudy_fabric::ct::{Reject, Request};

use crate::login::{A, B, V};
use crate::node::FCP;
use crate::program::Program;

#[test]
fn ports_of_different_zones_do_not_know_of_one_another() {
    let program = Program::start();
    let (mut a, mut b) = (program.node("a"), program.node("b"));
    program.client().set_zones(Some(vec![vec![A, V], vec![B]])).unwrap();
    let (from, to) = (a.join(A), b.join(B));
    a.assert_quiet();
    let vport = b.join_virtual(V);
    assert_eq!(a.rscn(), [vport]);
    b.assert_quiet();
    for request in [Request::GpnId { fcid: to }, Request::GffId { fcid: to }] {
        assert_eq!(a.ct(from, &request), Err(Reject::NO_PORT));
    }
    assert_eq!(a.ct(from, &Request::GidPn { wwpn: B }), Err(Reject::NO_PORT_NAME));
    let list = a.ct(from, &Request::GpnFt { fc4: FCP }).unwrap();
    assert_eq!(list.len(), 2 * 16, "itself and {V}");
    a.data(from, to, b"to a port of another zone");
    a.data(from, vport, b"good");
    assert_eq!(b.take_data(from, vport), b"good");
    assert_eq!(program.client().links().unwrap()[0].discarded, 1);
}

#[test]
fn who_gains_or_loses_sight_of_a_port_is_told() {
    let program = Program::start();
    let (mut a, mut b) = (program.node("a"), program.node("b"));
    let from = a.join(A);
    let to = b.join(B);
    assert_eq!(a.rscn(), [to]);
    let mut client = program.client();
    client.set_zones(Some(vec![vec![A], vec![B]])).unwrap();
    assert_eq!((a.rscn(), b.rscn()), (vec![to], vec![from]));
    client.set_zones(Some(vec![vec![A, V], vec![B, V]])).unwrap();
    a.assert_quiet();
    client.set_zones(None).unwrap();
    assert_eq!((a.rscn(), b.rscn()), (vec![to], vec![from]));
    let zoned = client.events(0).unwrap();
    assert_eq!(zoned.iter().filter(|event| event.event == What::Zoned).count(), 3);
}
