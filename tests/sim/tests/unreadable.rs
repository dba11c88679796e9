//! What cannot be read is not taken for absent: for each attribute whose silence would be
//! believed, what a verb says and does where the kernel refuses to show it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use common::{Node, Setup, pair};
use nix::errno::Errno;
use understudy_core::action::failure::Kind;
use understudy_core::disks::identity::Identity;
use understudy_core::fc::{self, VirtualPort, VportState};
use understudy_core::kernel::Kernel;
use understudy_core::run_files::watch;
use understudy_core::verbs::check::{self, Verdict};
use understudy_core::verbs::{Health, Level, health, status};

/// A node that serves a group, some time after its initiators have logged in.
fn serving(setup: &Setup) -> Node {
    let (a, _) = pair(setup);
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    a
}

fn spoil(node: &Node, end: &str) {
    node.kernel.make_unreadable(end, Errno::EIO);
}

const WHY: &str = "I/O error";

/// Returns how long a stop takes where this attribute cannot be read.
fn stop_without(end: &str) -> Duration {
    let a = serving(&Setup::new(1, 1));
    // Without an account of commands a stop listens.
    a.flush(&a.setup.ports[0]);
    spoil(&a, end);
    let begun = a.kernel.now();
    a.stop().unwrap();
    a.kernel.now() - begun
}

#[test]
fn a_port_whose_frames_cannot_be_counted_is_not_quiet() {
    let usual = stop_without("nothing");
    for counter in ["statistics/rx_frames", "statistics/tx_frames"] {
        let took = stop_without(counter);
        assert!(took > usual + Duration::from_secs(2), "{counter}: {took:?}, {usual:?}");
    }
}

/// Such an initiator may still have to send the data of a WRITE, so the stop waits
/// longer.
#[test]
fn initiators_that_cannot_be_listed_were_not_heard() {
    let (took, usual) = (stop_without("fc_remote_ports"), stop_without("nothing"));
    assert!(took > usual + Duration::from_secs(1), "{took:?}, {usual:?}");
    let took = stop_without("rport-3:0-0/port_state");
    assert!(took > usual + Duration::from_secs(1), "{took:?}, {usual:?}");
}

fn faults(health: Health) -> String {
    match health {
        Health::Failed(faults) => faults.join("; "),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_link_that_cannot_be_seen_is_not_a_lost_link() {
    let a = serving(&Setup::new(1, 1).on_qla2xxx());
    let vport = a.kernel.list("/sys/class/fc_vports".as_ref()).unwrap().remove(0);
    a.kernel.set(&format!("/sys/class/fc_vports/{vport}/vport_state"), "Linkdown\n");
    spoil(&a, "fc_host/host2/port_state");
    let scope = a.scope_with(&[("link_loss", "degraded")]);
    let seen = faults(health(&a.action(), &scope, Level::Port));
    assert!(seen.contains("is Linkdown") && seen.contains(WHY), "{seen}");
}

#[test]
fn a_fabric_that_cannot_be_seen_is_not_a_lost_fabric() {
    let ports = "2001002500000001@1000000000000001 2002002500000001@1000000000000002";
    let change = [("ports", ports), ("link_loss", "degraded")];
    let (a, _) = pair(&Setup::new(1, 1));
    a.start_with(&change).unwrap();
    let look = || {
        let scope = a.scope_with(&change);
        health(&a.action(), &scope, Level::Port)
    };
    assert!(matches!(look(), Health::Degraded(_)));
    spoil(&a, "fc_host/host2/fabric_name");
    let seen = faults(look());
    assert!(seen.contains(WHY), "{seen}");
}

#[test]
fn a_virtual_port_whose_host_cannot_be_read_has_one() {
    let a = serving(&Setup::new(1, 1));
    spoil(&a, "fc_host/host3/port_name");
    let seen = faults(a.health(Level::Port));
    assert!(seen.contains(WHY) && !seen.contains("no fc_host"), "{seen}");
}

#[test]
fn a_session_that_cannot_be_read_is_not_absent() {
    let a = serving(&Setup::new(1, 1));
    let look = || status(&a.action());
    assert!(look().unwrap().is_healthy());
    for end in ["rport-3:0-0/port_state", "host2/port_state", "host3/port_name"] {
        spoil(&a, end);
        let said = look().map(|status| format!("{status:?}")).unwrap_err().to_string();
        assert!(said.contains(WHY), "{end}: {said}");
    }
}

/// A port that cannot be read must not make its node seem to have fewer ports: the
/// cluster would move groups away.
#[test]
fn a_physical_port_that_cannot_be_read_is_not_counted() {
    let (a, _) = pair(&Setup::new(1, 1));
    watch::begin(&a.kernel, "fcport").unwrap();
    let look = || watch::look(&a.kernel, "fcport", Duration::ZERO, &|_| true);
    assert!(look().is_ok());
    for end in ["port_state", "port_name", "fabric_name", "fcoe/devices/ctlr_0/enabled"] {
        spoil(&a, end);
        let said = look().unwrap_err().to_string();
        assert!(said.contains(WHY), "{end}: {said}");
    }
}

#[test]
fn a_start_says_what_it_could_not_read() {
    for end in ["host2/port_state", "host2/max_npiv_vports", "host2/proc_name"] {
        let (a, _) = pair(&Setup::new(1, 1));
        spoil(&a, end);
        let failure = a.start().unwrap_err();
        assert!(failure.to_string().contains(WHY), "{end}: {failure}");
        assert_ne!(failure.kind, Kind::Configuration, "{end}: {failure}");
    }
}

/// Returns a group that has the physical port's own names.
fn own() -> Setup {
    Setup {
        wwnn: "10:00:52:54:00:00:00:00".into(),
        ports: vec!["20:00:52:54:00:00:00:00".into()],
        ..Setup::new(1, 1)
    }
}

/// The failure is this node's alone: another node may have a port with the right names.
#[test]
fn a_node_name_that_cannot_be_read_is_no_wrong_configuration() {
    let (a, _) = pair(&own());
    a.kernel.set("/sys/bus/fcoe/devices/ctlr_0/enabled", "0\n");
    a.kernel.set("/sys/class/fc_host/host2/port_state", "Linkdown\n");
    spoil(&a, "host2/node_name");
    let failure = a.start().unwrap_err();
    assert!(failure.to_string().contains(WHY), "{failure}");
    assert_eq!(failure.kind, Kind::Node, "{failure}");
}

/// A port that is turned off without a logout stays in the fabric for another 20 seconds.
#[test]
fn a_physical_port_that_cannot_log_out_is_not_turned_off() {
    let (a, _) = pair(&own());
    let wwpn = a.setup.ports.first().unwrap().parse().unwrap();
    let host = || "host2".to_owned();
    let state = VportState::Active;
    let port = VirtualPort { vport: host(), parent: host(), wwpn, wwnn: wwpn, state };
    assert_eq!(fc::delete(&a.kernel, &port).unwrap().len(), 2);
    for end in ["host2/port_id", "host2/device"] {
        spoil(&a, end);
        let said = fc::delete(&a.kernel, &port).unwrap_err().to_string();
        assert!(said.contains(WHY), "{end}: {said}");
    }
}

/// A network interface that is down refuses to say whether it has a link (`carrier_show`).
#[test]
fn a_dark_port_is_counted_where_its_link_is_known() {
    let (a, _) = pair(&own());
    a.kernel.set("/sys/bus/fcoe/devices/ctlr_0/enabled", "0\n");
    a.kernel.set("/sys/class/net/eth1/carrier", "1\n");
    let comes = || {
        let ports = fc::physical_ports(&a.kernel)?;
        ports
            .iter()
            .map(|port| fc::can_come(&a.kernel, port))
            .collect::<Result<Vec<_>, _>>()
    };
    assert_eq!(comes(), Ok(vec![true]));
    a.kernel.make_unreadable("eth1/carrier", Errno::EINVAL);
    assert_eq!(comes(), Ok(vec![false]));
    spoil(&a, "eth1/carrier");
    assert!(comes().unwrap_err().to_string().contains(WHY));
}

#[test]
fn a_doubt_that_cannot_be_looked_into_stays_one() {
    let (a, _) = pair(&Setup::new(1, 1).on_qla2xxx());
    let base = "20:00:52:54:00:00:00:00/tpgt_1/attrib/generate_node_acls";
    spoil(&a, base);
    let scope = a.scope_with(&[]);
    let findings = check::check(&a.action(), &scope);
    let doubts = findings.iter().filter(|found| found.verdict == Verdict::Doubtful);
    assert!(doubts.into_iter().any(|doubt| doubt.found.contains(WHY)), "{findings:?}");
}

/// If they were compared, two nodes would seem to have different ways to a disk.
#[test]
fn limits_that_cannot_be_read_are_not_compared() {
    let (a, _) = pair(&Setup::new(1, 1));
    let scope = a.scope_with(&[]);
    let identity = || Identity::of(&a.kernel, scope.group.as_ref().unwrap()).to_string();
    assert_eq!(identity().split(':').count(), 5, "{}", identity());
    spoil(&a, "queue/write_cache");
    assert_eq!(identity().split(':').count(), 4, "{}", identity());
}
