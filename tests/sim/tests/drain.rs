//! The drain of a stop: what is in flight is waited for, by the account of commands or by
//! listening, and no port logs out before.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use common::{Node, Setup};
use understudy_core::kernel::account::Account;
use understudy_core::kernel::{Cause, Done, Kernel, Op};
use understudy_core::verbs::{Health, Level, release};
use understudy_core::wwn::Wwn;
use understudy_sim::{Deed, Fault, Nft, SimKernel};

fn pair() -> (Node, Node) {
    common::pair(&Setup::new(3, 2))
}

/// Has every initiator write to a LUN of each port.
fn write(node: &Node) {
    for port in &node.setup.ports {
        let port: Wwn = port.parse().unwrap();
        for (initiator, (lun, disk)) in
            common::initiators().into_iter().zip(&node.setup.disks)
        {
            node.san.borrow_mut().write_from(initiator, port, *lun, disk);
        }
    }
}

fn account(node: &Node) -> Account {
    let question = vec![vec![Op::ReadAccount("eth1".into())]];
    let until = node.kernel.now() + Duration::from_secs(1);
    match node.kernel.run(&question, until).remove(0).into_last() {
        Ok(Done::Account(account)) => account,
        other => panic!("{other:?}"),
    }
}

/// The frames of a VLAN leave by the interface below it, where they carry their tag beside
/// them. Of any other interface, whatever is above or below, they leave by itself.
#[test]
fn responses_are_counted_where_they_leave() {
    for (kind, out) in [("DEVTYPE=vlan\nINTERFACE=eth1\n", "eth0"), ("", "eth1")] {
        let (a, _) = pair();
        a.kernel.set("/sys/class/net/eth1/uevent", kind);
        a.kernel.set("/sys/class/net/eth1/lower_eth0/uevent", "");
        a.kernel.plan(None);
        a.start().unwrap();
        let begins = |deed: &Deed| {
            matches!(deed, Deed::Op(Op::BeginAccount { link, out: by, .. })
                if link == "eth1" && by == out)
        };
        let deeds = a.kernel.deeds();
        assert_eq!(deeds.iter().filter(|deed| begins(deed)).count(), 2, "{deeds:?}");
    }
}

/// What fails may be another's change of nftables that came between. A stop needs the
/// account.
#[test]
fn an_account_that_does_not_begin_is_begun_again() {
    let begins = |deed: &Deed| matches!(deed, Deed::Op(Op::BeginAccount { .. }));
    let deeds = |at| {
        let (a, _) = pair();
        a.kernel.plan(at);
        a.start().unwrap();
        (a.kernel.deeds(), account(&a).ports.len())
    };
    let (all, ports) = deeds(None);
    assert_eq!((all.iter().filter(|deed| begins(deed)).count(), ports), (2, 2));
    for (at, deed) in all.iter().enumerate().filter(|(_, deed)| begins(deed)) {
        for fault in deed.faults() {
            assert_eq!(deeds(Some((at, fault.clone()))).1, 2, "{deed:?}: {fault:?}");
        }
    }
}

/// Flushes, requests that a blocked device holds back, and all of them where `iostats` is 0
/// are in no counter of a disk.
#[test]
fn a_stop_waits_for_what_no_counter_shows() {
    let mut waited = 0;
    for seed in 0..60 {
        let (a, _) = pair();
        a.san.borrow_mut().vary(seed);
        write(&a);
        a.san.borrow_mut().unseen = true;
        a.start().unwrap();
        a.kernel.sleep(Duration::from_millis(3000 + 37 * seed));
        let open = account(&a).commands.len();
        waited += usize::from(open > 0);
        a.stop().unwrap();
        assert_eq!(account(&a), Account::default());
        assert_eq!(a.leavings(), [""; 0]);
    }
    assert!(waited > 20, "{waited}");
}

/// A command that tcm_fc never ends is not waited for: every second until the fence is one of
/// the initiators' patience.
#[test]
fn a_stop_says_at_once_that_a_command_is_lost() {
    let (a, _) = pair();
    write(&a);
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(3));
    while account(&a).commands.is_empty() {
        a.kernel.sleep(Duration::from_millis(1));
    }
    a.san.borrow_mut().lose(0);
    let begun = a.kernel.now();
    let failure = a.stop().unwrap_err().to_string();
    assert!(failure.contains("given up by their initiators"), "{failure}");
    assert!(failure.contains("of 0x010300 with 0x010200"), "{failure}");
    assert!(a.kernel.now() - begun < Duration::from_secs(1));
    assert!(a.owns_all());
}

/// An account that was flushed and begun again by another group's start knows nothing of
/// what came before.
#[test]
fn an_account_that_is_not_whole_is_not_believed() {
    let (a, _) = pair();
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    let (kept, gone) = (&a.setup.ports[0], &a.setup.ports[1]);
    a.flush(gone);
    assert_eq!(account(&a).ports, [kept.parse().unwrap()].into());
    a.kernel.plan(None);
    a.stop().unwrap();
    // Who listens asks for echoes.
    let listens = |deed: &Deed| matches!(deed, Deed::Op(Op::Echo(_)));
    assert!(a.kernel.deeds().iter().any(listens));
    assert_eq!(a.leavings(), [""; 0]);
}

#[test]
fn a_stop_waits_for_what_is_in_flight() {
    let (a, _) = pair();
    a.start().unwrap();
    a.kernel.keep_busy(Duration::from_secs(3));
    let before = a.kernel.now();
    a.stop().unwrap();
    assert!(a.kernel.now() - before >= Duration::from_secs(3));
}

/// Somebody has turned the counters off by which a stop without an account drains: a start
/// turns them on.
#[test]
fn a_stop_counts_on_disks_whose_counters_were_off() {
    let (a, _) = pair();
    for (_, disk) in &a.setup.disks {
        a.san.borrow_mut().shows(0, disk, "queue/iostats", "0");
    }
    a.start().unwrap();
    a.setup.ports.iter().for_each(|port| a.flush(port));
    a.kernel.keep_busy(Duration::from_secs(3));
    let before = a.kernel.now();
    a.stop().unwrap();
    assert!(a.kernel.now() - before >= Duration::from_secs(3));
}

/// The queues of disks that are served, and of those that come by a reload, are as a target
/// needs them: each request is counted, and no write is held back for reads.
#[test]
fn queues_are_set_as_a_target_needs_them() {
    const SET: [(&str, &str, &str); 2] =
        [("queue/iostats", "0", "1"), ("queue/wbt_lat_usec", "75000", "0")];
    let (mut a, _) = pair();
    let own: Vec<_> = a.setup.disks.iter().map(|(_, disk)| disk.clone()).collect();
    let all = own.iter().map(String::as_str).chain(common::SPARE);
    for disk in all.clone() {
        for (attribute, before, _) in SET {
            a.san.borrow_mut().shows(0, disk, attribute, before);
        }
    }
    let check = |node: &Node, disk: &str| {
        for (attribute, _, after) in SET {
            let path = format!("/sys/class/block/{disk}/{attribute}");
            let now = node.kernel.read(path.as_ref()).unwrap();
            assert_eq!(now.trim(), after, "{path}");
        }
    };
    a.start().unwrap();
    own.iter().for_each(|disk| check(&a, disk));
    let mut more = a.setup.clone();
    more.disks.extend((60..).zip(common::SPARE.map(str::to_owned)));
    a.reload(&more).unwrap();
    all.for_each(|disk| check(&a, disk));
}

/// A command that was accepted before the LUNs turned commands away may reach a disk at
/// any moment, and stay there for longer than a bar lasts. Without an account nothing shows it
/// before that.
#[test]
fn a_stop_waits_for_what_comes_between_two_looks() {
    let looks = (0..40).flat_map(|look| [(look, 40), (look, 4000)]);
    for (when, busy) in looks {
        let (a, _) = pair();
        a.start().unwrap();
        a.setup.ports.iter().for_each(|port| a.flush(port));
        let backstore = understudy_core::lio::backstore_path(
            a.setup.wwnn.parse().unwrap(),
            a.setup.disks[0].0,
        );
        let state = backstore.join("alua/default_tg_pt_gp/alua_access_state");
        let (other, looks) = (SimKernel::enter(&a.san, 0), Cell::new(0));
        let pause = |time: Duration| {
            if time.is_zero() && other.read(&state).is_ok_and(|s| s.trim() == "15") {
                looks.set(looks.get() + 1);
                if looks.get() == when {
                    other.keep_busy(Duration::from_millis(busy));
                }
            }
            let mut san = a.san.borrow_mut();
            let to = san.now() + time;
            san.advance(to);
        };
        let kernel = SimKernel::enter(&a.san, 0).paused_by(&pause);
        release(&mut a.action_on(&kernel), &a.scope_with(&[])).unwrap();
        assert!(looks.get() > 40, "{}", looks.get());
    }
}

#[test]
fn a_stop_that_cannot_drain_fails_and_keeps_the_port() {
    let (a, _) = pair();
    a.start().unwrap();
    a.kernel.keep_busy(Duration::from_secs(100));
    let failure = a.stop().unwrap_err().to_string();
    assert!(failure.contains("drain") && failure.contains("sda"), "{failure}");
    assert!(a.owns_all());
    assert_eq!(a.kernel.list(Path::new("/sys/class/fc_vports")).unwrap().len(), 2);
    // The group is in transition now, and a monitor must not call that running.
    assert!(matches!(a.health(Level::Port), Health::Failed(_)));
}

#[test]
fn a_bar_that_is_refused_is_set_again() {
    let is_bar = |deed: &Deed| matches!(deed, Deed::Op(Op::Bar { .. }));
    let served = |fault: Option<usize>| {
        let (a, _) = common::pair(&Setup::new(1, 1));
        a.start().unwrap();
        a.kernel.plan(fault.map(|at| (at, Fault::Fails(Cause::Device("busy".into())))));
        a.stop().unwrap();
        a.kernel.deeds()
    };
    let first = served(None).iter().position(is_bar).unwrap();
    let bars = served(Some(first)).iter().filter(|deed| is_bar(deed)).count();
    assert_eq!(bars, 2);
}

/// No stop depends on nftables, which get at most a fifth of its time.
#[test]
fn a_node_without_nft_stops_clean() {
    // How long a stop takes, and how many bars it lifts.
    let stop_with = |nft| {
        let (a, _) = pair();
        a.start().unwrap();
        a.kernel.sleep(Duration::from_secs(1));
        a.san.borrow_mut().nft = nft;
        a.kernel.plan(None);
        let begun = a.kernel.now();
        a.stop().unwrap();
        let took = a.kernel.now() - begun;
        assert_eq!(a.leavings(), [""; 0], "{nft:?}");
        let lifts = a.kernel.deeds().into_iter();
        let lifts = lifts.filter(|deed| matches!(deed, Deed::Op(Op::LiftBar(_))));
        (took, lifts.count())
    };
    let (usual, lifts) = stop_with(Nft::Works);
    assert_eq!(lifts, 2);
    // The first `nft` since a boot is slow and is waited for: the ports were barred.
    assert_eq!(stop_with(Nft::Cold).1, 2);
    let fifth = pair().0.budget().length() / 5;
    for nft in [Nft::Missing, Nft::Refused, Nft::Hangs] {
        let (took, lifts) = stop_with(nft);
        assert!(took < usual + fifth, "{nft:?}: {took:?}");
        // Where nothing was barred there is nothing to lift.
        assert_eq!(lifts, 0, "{nft:?}");
    }
}

/// An operation that only makes a stop quicker or surer never fails it, however it goes
/// wrong.
#[test]
fn no_stop_fails_by_what_is_best_effort() {
    let is_best_effort = |deed: &Deed| {
        let Deed::Op(op) = deed else { return *deed == Deed::Discard };
        let bar = matches!(op, Op::ReadyNft | Op::Bar { .. } | Op::LiftBar(_));
        let account = matches!(op, Op::ReadAccount(_) | Op::EndAccount { .. });
        bar || account || matches!(op, Op::Echo(_) | Op::Expedite | Op::Relax)
    };
    let served = || common::served(&Setup::new(1, 1));
    let a = served();
    a.stop().unwrap();
    let deeds = a.kernel.deeds();
    let best_effort = deeds.iter().enumerate().filter(|(_, deed)| is_best_effort(deed));
    let mut points = 0;
    for (at, deed) in best_effort {
        for fault in deed.faults().into_iter().filter(|fault| *fault != Fault::Dies) {
            let a = served();
            let name = format!("{deed:?}: {fault:?}");
            a.kernel.plan(Some((at, fault)));
            a.stop().unwrap_or_else(|failure| panic!("{name}: {failure}"));
            if *deed == Deed::Discard {
                // The entry of a port that is gone: a stop again removes it.
                assert_eq!(a.health(Level::Disk), Health::NotRunning, "{name}");
                a.stop().unwrap();
            }
            assert_eq!(a.leavings(), [""; 0], "{name}");
            points += 1;
        }
    }
    assert!(points > 30, "{points}");
}

/// Returns a node that serves a group with a state disk, and the first port and initiator.
fn keeping(setup: Setup) -> (Node, Wwn, Wwn) {
    let node = common::served(&setup.keeping());
    let port = node.setup.ports[0].parse().unwrap();
    (node, port, common::initiators()[0])
}

/// A PERSISTENT RESERVE OUT waits for its keeper, and no counter shows it.
#[test]
fn a_stop_waits_for_what_a_keeper_writes() {
    for setup in [Setup::new(2, 1), Setup::new(2, 1).on_qla2xxx()] {
        for flushed in [false, true] {
            let (a, port, initiator) = keeping(setup.clone());
            let san = || a.san.borrow_mut();
            if flushed {
                a.flush(&a.setup.ports[0]);
            }
            assert!(san().keeper_stands_still(0, "sdz", Duration::from_secs(3)));
            let id = san().asks_to_register(initiator, port, 0, 7).unwrap();
            let since = a.kernel.now();
            a.stop().unwrap();
            assert!(a.kernel.now() - since > Duration::from_secs(3));
            assert_eq!(san().answers, [(id, Some(true))]);
            assert_eq!(a.leavings(), [""; 0]);
        }
    }
}

/// To end the keeper would have LIO answer, and nothing would be saved. Where nobody waits for
/// it, it is ended.
#[test]
fn a_stop_fails_for_what_a_keeper_does_not_write() {
    for setup in [Setup::new(2, 1), Setup::new(2, 1).on_qla2xxx()] {
        let (a, port, initiator) = keeping(setup.clone());
        let san = || a.san.borrow_mut();
        assert!(san().keeper_stands_still(0, "sdz", Duration::from_secs(1000)));
        san().asks_to_register(initiator, port, 0, 7).unwrap();
        let failure = a.stop().unwrap_err().to_string();
        assert!(failure.contains("still in flight"), "{failure}");
        assert!(san().answers.is_empty() && san().has_port(0, port));
        assert!(matches!(a.health(Level::Port), Health::Failed(_)));
    }
    let (a, ..) = keeping(Setup::new(2, 1));
    assert!(a.san.borrow_mut().keeper_stands_still(0, "sdz", Duration::from_secs(1000)));
    assert!(matches!(a.health(Level::Owner), Health::Failed(_)));
    a.stop().unwrap();
    assert_eq!(a.leavings(), [""; 0]);
}

/// A keeper that has died is not waited for, by a stop or by LIO: what comes to it is refused
/// at once, even if its device does not answer.
#[test]
fn a_stop_does_not_wait_for_a_dead_keeper() {
    for setup in [Setup::new(2, 1), Setup::new(2, 1).on_qla2xxx()] {
        let (a, port, initiator) = keeping(setup);
        let san = || a.san.borrow_mut();
        a.flush(&a.setup.ports[0]);
        san().keeper_dies(0, "sdz");
        san().stall(0, Duration::from_secs(3));
        let id = san().asks_to_register(initiator, port, 0, 7).unwrap();
        a.stop().unwrap();
        assert_eq!(san().answers, [(id, Some(false))]);
        assert_eq!(a.leavings(), [""; 0]);
    }
}

/// A port whose commands nothing counts is never taken for quiet: drivers show 2^64 - 1 for
/// what they cannot ask their HBA for.
#[test]
fn what_is_not_counted_does_not_stand_still() {
    let took = |setup: Setup, counter: Option<(&str, &str)>| {
        let a = common::served(&setup);
        a.san.borrow_mut().nft = Nft::Missing;
        if let Some((path, text)) = counter {
            a.kernel.read(Path::new(path)).unwrap();
            a.kernel.set(path, text);
        }
        let since = a.kernel.now();
        a.stop().unwrap();
        assert_eq!(a.leavings(), [""; 0]);
        a.kernel.now() - since
    };
    let (libfc, qla2xxx) = (Setup::new(1, 1), Setup::new(1, 1).on_qla2xxx());
    let host = "/sys/class/fc_host/host3/statistics/tx_frames";
    let lun = "/sys/kernel/config/target/qla2xxx/20:01:00:25:b5:00:00:0a/tpgt_1/lun/lun_0/\
               statistics/scsi_tgt_port/in_cmds";
    for (setup, path, text) in
        [(libfc, host, "0xffffffffffffffff\n"), (qla2xxx, lun, "none\n")]
    {
        let usual = took(setup.clone(), None);
        assert!(usual < Duration::from_secs(1), "{usual:?}");
        let unknown = took(setup, Some((path, text)));
        assert!(unknown > Duration::from_secs(3), "{unknown:?}");
    }
}
