//! The simulated kernel refuses what a real one refuses, takes as long, and stops a test
//! that does what would hang a real one or cost an initiator an I/O error.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{INITIATORS, Node, Setup, initiators, pair};
use nix::errno::Errno;
use understudy_core::kernel::{Done, Kernel, KernelError, Op};

const CORE: &str = "/sys/kernel/config/target/core/iblock_1";
const PORT: &str = "/sys/kernel/config/target/fc/20:01:00:25:b5:00:00:0a";

fn node() -> Node {
    pair(&Setup::new(2, 1)).0
}

fn run(node: &Node, op: Op) -> Result<Done, KernelError> {
    node.kernel.run(&[vec![op]], node.budget().end).remove(0).into_last()
}

fn make(node: &Node, path: &str) -> Result<Done, KernelError> {
    run(node, Op::MakeDir(path.into()))
}

fn remove(node: &Node, path: &str) -> Result<Done, KernelError> {
    run(node, Op::RemoveDir(path.into()))
}

fn write(node: &Node, path: &str, text: &str) -> Result<Done, KernelError> {
    run(node, Op::Write { path: path.into(), text: text.into() })
}

fn link(node: &Node, at: &str, to: &str) -> Result<Done, KernelError> {
    run(node, Op::Link { at: at.into(), to: to.into() })
}

fn refused(answer: Result<Done, KernelError>, errno: Errno) {
    let error = answer.unwrap_err();
    assert!(error.is(errno), "{error}");
}

/// A backstore on `sda`, and one LUN of it that the first initiator sees.
fn export(node: &Node) {
    let initiator = INITIATORS[0];
    for dir in [CORE, &format!("{CORE}/lun_0")] {
        make(node, dir).unwrap();
    }
    write(node, &format!("{CORE}/lun_0/control"), "udev_path=/dev/sda").unwrap();
    write(node, &format!("{CORE}/lun_0/enable"), "1").unwrap();
    let fabric = Path::new(PORT).parent().unwrap().to_str().unwrap();
    let tpg = format!("{PORT}/tpgt_1");
    let acl = format!("{tpg}/acls/{initiator}");
    for dir in [fabric, PORT, &tpg, &format!("{tpg}/lun/lun_0"), &acl] {
        make(node, dir).unwrap();
    }
    make(node, &format!("{acl}/lun_0")).unwrap();
    link(node, &format!("{tpg}/lun/lun_0/x"), &format!("{CORE}/lun_0")).unwrap();
    link(node, &format!("{acl}/lun_0/x"), &format!("{tpg}/lun/lun_0")).unwrap();
}

fn vport(node: &Node, attribute: &str, names: &str) -> Result<Done, KernelError> {
    write(node, &format!("/sys/class/fc_host/host2/{attribute}"), names)
}

const NAMES: &str = "20010025b500000a:20000025b500000a";

#[test]
fn a_mkdir_takes_only_what_the_kernel_knows() {
    let node = node();
    let target = "/sys/kernel/config/target";
    for name in ["/fc/x", "/core/iblock_1/lun_0"] {
        refused(make(&node, &format!("{target}{name}")), Errno::ENOENT);
    }
    make(&node, &format!("{target}/fc")).unwrap();
    for name in [
        "/iscsi",
        "/core/fileio",
        "/core/iblock_x",
        "/fc/20:01:00:25:B5:00:00:0A",
        "/fc/naa.20010025b500000a",
    ] {
        refused(make(&node, &format!("{target}{name}")), Errno::EINVAL);
    }
    make(&node, PORT).unwrap();
    refused(make(&node, &format!("{PORT}/tpgt_2")), Errno::EINVAL);
    make(&node, &format!("{PORT}/tpgt_1")).unwrap();
    refused(make(&node, &format!("{PORT}/tpgt_1/attrib")), Errno::EPERM);
    refused(remove(&node, &format!("{PORT}/tpgt_1/lun")), Errno::EPERM);
}

#[test]
fn configfs_dictates_the_order_of_a_teardown() {
    let node = node();
    export(&node);
    let tpg = format!("{PORT}/tpgt_1");
    let acl = format!("{tpg}/acls/{}", INITIATORS[0]);
    refused(remove(&node, PORT), Errno::ENOTEMPTY);
    refused(remove(&node, &format!("{acl}/lun_0")), Errno::ENOTEMPTY);
    refused(remove(&node, &format!("{CORE}/lun_0")), Errno::EBUSY);
    refused(remove(&node, CORE), Errno::ENOTEMPTY);
    for (link, dir) in [
        (format!("{acl}/lun_0/x"), format!("{acl}/lun_0")),
        (format!("{tpg}/lun/lun_0/x"), format!("{tpg}/lun/lun_0")),
    ] {
        run(&node, Op::Unlink(PathBuf::from(link))).unwrap();
        remove(&node, &dir).unwrap();
    }
    for dir in [&acl, &tpg, PORT, &format!("{CORE}/lun_0"), CORE] {
        remove(&node, dir).unwrap();
    }
}

#[test]
fn a_backstore_has_one_disk_and_a_disk_one_backstore() {
    let node = node();
    export(&node);
    let second = format!("{CORE}/lun_1");
    make(&node, &second).unwrap();
    refused(write(&node, &format!("{second}/enable"), "1"), Errno::EINVAL);
    write(&node, &format!("{second}/control"), "udev_path=/dev/sda").unwrap();
    refused(write(&node, &format!("{second}/enable"), "1"), Errno::EBUSY);
    refused(write(&node, &format!("{CORE}/lun_0/enable"), "1"), Errno::EEXIST);
    let serial = format!("{CORE}/lun_0/wwn/vpd_unit_serial");
    refused(write(&node, &serial, "other"), Errno::EINVAL);
    let lun = format!("{PORT}/tpgt_1/lun/lun_1");
    make(&node, &lun).unwrap();
    refused(link(&node, &format!("{lun}/x"), &second), Errno::ENODEV);
    let mapped = format!("{PORT}/tpgt_1/acls/{}/lun_1", INITIATORS[0]);
    make(&node, &mapped).unwrap();
    refused(link(&node, &format!("{mapped}/x"), &lun), Errno::EINVAL);
}

#[test]
fn a_virtual_port_is_made_once_and_in_one_spelling() {
    let node = node();
    refused(vport(&node, "vport_create", &format!("0x{NAMES}")), Errno::EINVAL);
    refused(vport(&node, "vport_delete", NAMES), Errno::ENODEV);
    vport(&node, "vport_create", NAMES).unwrap();
    refused(vport(&node, "vport_create", NAMES), Errno::EINVAL);
    node.kernel.set("/sys/class/fc_host/host2/max_npiv_vports", "1\n");
    let other = NAMES.replacen("2001", "2002", 1);
    refused(vport(&node, "vport_create", &other), Errno::ENOSPC);
    let state = Path::new("/sys/class/fc_vports/vport-2:0-0/vport_state");
    assert_eq!(node.kernel.read(state).unwrap(), "Initializing\n");
    node.kernel.sleep(Duration::from_millis(200));
    assert_eq!(node.kernel.read(state).unwrap(), "Active\n");
}

/// An export that an initiator writes to.
fn under_load() -> Node {
    let node = node();
    export(&node);
    let port = PORT.rsplit('/').next().unwrap().parse().unwrap();
    let initiator = *initiators().first().unwrap();
    node.san.borrow_mut().write_from(initiator, port, 0, "sda");
    vport(&node, "vport_create", NAMES).unwrap();
    node.kernel.sleep(Duration::from_secs(10));
    assert!(node.san.borrow().acknowledged().sum::<u64>() > 10);
    // Until a command is with the disk.
    let inflight = Path::new("/sys/class/block/sda/inflight");
    while !node.kernel.read(inflight).unwrap().contains('1') {
        node.kernel.sleep(Duration::from_micros(500));
    }
    node
}

/// Two LUNs with serial numbers of their own, and an initiator that writes to the first.
/// Their backstores, and what leads to each, can be made again in another way.
fn two_luns() -> Node {
    let node = node();
    export(&node);
    let (tpg, initiator) = (format!("{PORT}/tpgt_1"), INITIATORS[0]);
    let (lun, mapped) =
        (format!("{tpg}/lun/lun_1"), format!("{tpg}/acls/{initiator}/lun_1"));
    for dir in [&format!("{CORE}/lun_1"), &lun, &mapped] {
        make(&node, dir).unwrap();
    }
    write(&node, &format!("{CORE}/lun_1/control"), "udev_path=/dev/sdb").unwrap();
    write(&node, &format!("{CORE}/lun_1/wwn/vpd_unit_serial"), "b").unwrap();
    write(&node, &format!("{CORE}/lun_1/enable"), "1").unwrap();
    link(&node, &format!("{lun}/x"), &format!("{CORE}/lun_1")).unwrap();
    link(&node, &format!("{mapped}/x"), &lun).unwrap();
    let port = PORT.rsplit('/').next().unwrap().parse().unwrap();
    node.san.borrow_mut().write_from(initiator.parse().unwrap(), port, 0, "sda");
    node
}

/// Lets the initiators find the port, and write for a while.
fn serve(node: &Node) {
    vport(node, "vport_create", NAMES).unwrap();
    node.kernel.sleep(Duration::from_secs(10));
}

/// As of a table of disks that somebody has mixed up: the numbers and the serials are right.
#[test]
#[should_panic(expected = "which is sda, reaches sdb")]
fn a_write_to_another_luns_disk_is_caught() {
    let node = two_luns();
    for (lun, disk) in [(0, "sdb"), (1, "sda")] {
        let control = format!("{CORE}/lun_{lun}/control");
        write(&node, &control, &format!("udev_path=/dev/{disk}")).unwrap();
    }
    serve(&node);
}

/// Links of two LUNs that somebody has swapped while initiators use them.
#[test]
#[should_panic(expected = "knows LUN 0 of 20:01:00:25:b5:00:00:0a as , and it is b now")]
fn another_serial_number_under_a_lun_is_caught() {
    let node = two_luns();
    serve(&node);
    let lun = format!("{PORT}/tpgt_1/lun/lun_0/x");
    node.san.borrow_mut().unused.0 = [0, 1].into();
    for disk in [0, 1] {
        let alua = "alua/default_tg_pt_gp/alua_access_state";
        write(&node, &format!("{CORE}/lun_{disk}/{alua}"), "15").unwrap();
    }
    run(&node, Op::Unlink(lun.clone().into())).unwrap();
    link(&node, &lun, &format!("{CORE}/lun_1")).unwrap();
    node.kernel.sleep(Duration::from_secs(10));
}

/// A disk that was put back to an earlier state by its array, say.
#[test]
#[should_panic(expected = "is acknowledged, and there is None")]
fn a_disk_that_loses_what_was_written_is_caught() {
    let node = two_luns();
    serve(&node);
    node.san.borrow_mut().disks.empties("sda");
    node.kernel.sleep(Duration::from_secs(10));
}

#[test]
#[should_panic(expected = "the kernel hangs for good")]
fn a_logout_with_a_command_in_flight_is_caught() {
    let _ = vport(&under_load(), "vport_delete", NAMES);
}

#[test]
#[should_panic(expected = "under the live port")]
fn a_lun_that_is_unmapped_under_a_live_port_is_caught() {
    let link = format!("{PORT}/tpgt_1/lun/lun_0/x");
    let _ = run(&under_load(), Op::Unlink(link.into()));
}

#[test]
#[should_panic(expected = "never asks again")]
fn an_acl_that_comes_after_the_login_is_caught() {
    let _ = make(&under_load(), &format!("{PORT}/tpgt_1/acls/{}", INITIATORS[1]));
}

#[test]
#[should_panic(expected = "reservation conflict")]
fn a_disk_that_is_taken_from_under_an_export_is_caught() {
    let setup = Setup::new(2, 1);
    let (a, b) = pair(&setup);
    a.start().unwrap();
    let port = setup.ports[0].parse().unwrap();
    a.san.borrow_mut().write_from(initiators()[0], port, 0, "sda");
    a.kernel.sleep(Duration::from_secs(2));
    let disk = PathBuf::from("/dev/sda");
    let key = common::key_of;
    run(&b, Op::Register { disk: disk.clone(), key: key("b") }).unwrap();
    let preempt = Op::PreemptAndAbort { disk, key: key("b"), other: key("a") };
    run(&b, preempt).unwrap();
    a.kernel.sleep(Duration::from_secs(2));
}

/// Who has a disk open that leaves keeps its name from others, and gets errors.
#[test]
fn a_disk_that_has_left_answers_nothing() {
    let node = two_luns();
    let port = PORT.rsplit('/').next().unwrap().parse().unwrap();
    node.san.borrow_mut().write_from(initiators()[0], port, 1, "sdb");
    serve(&node);
    let disk = PathBuf::from("/dev/sda");
    let ask = || run(&node, Op::ReadReservation(disk.clone()));
    ask().unwrap();
    let written = || node.san.borrow().acknowledged().collect::<Vec<_>>();
    node.san.borrow_mut().leaves(0, "sda");
    refused(ask(), Errno::ENOENT);
    refused(run(&node, Op::LoadState(disk.clone())), Errno::ENOENT);
    refused(run(&node, Op::ReadDisk(disk.clone())), Errno::ENOENT);
    let at = PathBuf::from("/run/understudy/kept/x");
    refused(run(&node, Op::Keep { device: disk.clone(), at }), Errno::ENOENT);
    let before = written();
    node.kernel.sleep(Duration::from_secs(30));
    let since = written();
    assert!(node.san.borrow().errors > 1);
    assert!(since[0] == before[0] && since[1] > before[1], "{before:?}, {since:?}");
    let mut san = node.san.borrow_mut();
    assert!(san.clings(0, "sda") && !san.clings(0, "sdb"));
    assert_eq!(san.comes_back_as(0, "sda").unwrap(), "sdz0");
    assert_eq!(san.name_of(0, "sda").unwrap(), "sdz0");
    assert!(san.exports(0, "sda") && !san.writers("sda").contains(&0));
}

/// A keeper does one thing after another, however long its device takes: an earlier text of
/// LIO's is never written over a later one.
#[test]
fn a_keeper_writes_in_the_order_in_which_it_was_asked() {
    let (a, b) = pair(&Setup::new(1, 1).keeping());
    let (san, port) = (|| a.san.borrow_mut(), a.setup.ports[0].parse().unwrap());
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    // The keeper looks at the device just before that answers again.
    san().stall(0, Duration::from_micros(2_001_500));
    let asked = initiators().into_iter().map(|initiator| {
        let id = san().asks_to_register(initiator, port, 0, 7).unwrap();
        a.kernel.sleep(Duration::from_millis(500));
        (id, Some(true))
    });
    let asked: Vec<_> = asked.collect();
    a.kernel.sleep(Duration::from_secs(2));
    assert_eq!(san().answers, asked);

    a.stop().unwrap();
    b.start().unwrap();
    b.kernel.sleep(Duration::from_secs(1));
    assert_eq!(san().registered(port, initiators()[0], 0).len(), asked.len());
}

/// A keeper that waits for its device answers no question, however often it looks whether
/// the device is back.
#[test]
fn a_keeper_answers_a_question_when_it_has_written() {
    let (a, _) = pair(&Setup::new(1, 1).keeping());
    let (san, port) = (|| a.san.borrow_mut(), a.setup.ports[0].parse().unwrap());
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    san().stall(0, Duration::from_secs(3));
    let id = san().asks_to_register(initiators()[0], port, 0, 7).unwrap();
    a.kernel.sleep(Duration::from_millis(950));
    let kept = Path::new("/run/understudy/kept");
    let keeper = kept.join(a.kernel.list(kept).unwrap().remove(0));
    run(&a, Op::HearKeeper(keeper)).unwrap();
    assert_eq!(san().answers, [(id, Some(true))]);
}

/// Times measured for 256 LUNs on a stock kernel, side by side: 1.0 s to build, 10.4 s to
/// take down, and 1.0 s for both where grace periods are expedited. The cost is that
/// grace periods wait for one another.
#[test]
fn time_goes_into_grace_periods() {
    for (expedite, measured) in [("no", 10_400), ("yes", 1_000)] {
        let (node, _) = pair(&Setup::new(256, 1));
        let change = [("expedite", expedite)];
        let begun = node.kernel.now();
        node.start_with(&change).unwrap();
        let served = node.kernel.now();
        assert!(served - begun < Duration::from_secs(1), "{:?}", served - begun);
        // As it was measured: a stop that listens.
        node.flush(&node.setup.ports[0]);
        node.stop_with(&change).unwrap();
        let took = node.kernel.now() - served;
        let measured = Duration::from_millis(measured);
        assert!(took.abs_diff(measured) < measured / 5, "{took:?}");
    }
}

const QLA_PORT: &str = "/sys/kernel/config/target/qla2xxx/20:01:00:25:b5:00:00:0a";
const QLA_BASE: &str = "/sys/kernel/config/target/qla2xxx/20:00:52:54:00:00:00:00";

fn qla2xxx() -> Node {
    pair(&Setup::new(2, 1).on_qla2xxx()).0
}

/// A virtual port with its target, and nothing in it.
fn bound() -> Node {
    let node = qla2xxx();
    vport(&node, "vport_create", NAMES).unwrap();
    for dir in [QLA_PORT, &format!("{QLA_PORT}/tpgt_1")] {
        make(&node, dir).unwrap();
    }
    write(&node, &format!("{QLA_PORT}/tpgt_1/attrib/generate_node_acls"), "0").unwrap();
    node
}

/// Times measured on the stock driver with the emulated HBA: only a logout makes an agent
/// wait, while the driver ends its sessions.
#[test]
fn a_logout_of_qla2xxx_takes_time_and_a_login_takes_none() {
    let node = bound();
    let vport = "/sys/class/fc_vports/vport-2:0-0/vport_disable";
    let enable = format!("{QLA_PORT}/tpgt_1/enable");
    for (path, text, measured) in
        [(enable.as_str(), "1", 4), (vport, "1", 128), (vport, "0", 3)]
    {
        let (begun, measured) = (node.kernel.now(), Duration::from_millis(measured));
        write(&node, path, text).unwrap();
        let took = node.kernel.now() - begun;
        assert!(took.abs_diff(measured) <= measured / 2, "{path} {text}: {took:?}");
    }
}

#[test]
fn a_target_of_qla2xxx_takes_a_port_that_is_there() {
    let node = qla2xxx();
    refused(make(&node, QLA_PORT), Errno::EINVAL);
    refused(make(&node, &QLA_PORT.to_uppercase()), Errno::ENOENT);
    vport(&node, "vport_create", NAMES).unwrap();
    refused(vport(&node, "vport_create", NAMES), Errno::ENOTUNIQ);
    make(&node, QLA_PORT).unwrap();
    refused(make(&node, &format!("{QLA_PORT}/tpgt_2")), Errno::EINVAL);
    make(&node, &format!("{QLA_PORT}/tpgt_1")).unwrap();
    write(&node, &format!("{QLA_PORT}/tpgt_1/attrib/generate_node_acls"), "0").unwrap();
    let enable = format!("{QLA_PORT}/tpgt_1/enable");
    assert_eq!(node.kernel.read(enable.as_ref()).unwrap(), "0\n");
    assert_eq!(write(&node, &enable, "1").unwrap(), Done::Changed);
    assert_eq!(write(&node, &enable, "1").unwrap(), Done::Unchanged);

    let disable = "/sys/class/fc_vports/vport-2:0-0/vport_disable";
    refused(write(&node, disable, "0"), Errno::EALREADY);
    write(&node, disable, "1").unwrap();
    refused(write(&node, disable, "1"), Errno::EALREADY);
    node.kernel.sleep(Duration::from_secs(1));
    let wwpn = "20:01:00:25:b5:00:00:0a".parse().unwrap();
    assert!(node.san.borrow().logged_in_at(wwpn).is_empty());
    node.san.borrow_mut().reset_chip(0);
    node.kernel.sleep(Duration::from_secs(1));
    assert_eq!(node.san.borrow().logged_in_at(wwpn), [0]);
    refused(write(&node, disable, "0"), Errno::EALREADY);
}

#[test]
#[should_panic(expected = "lets anybody log in")]
fn a_target_that_lets_strangers_in_is_caught() {
    let node = bound();
    write(&node, &format!("{QLA_PORT}/tpgt_1/attrib/generate_node_acls"), "1").unwrap();
    write(&node, &format!("{QLA_PORT}/tpgt_1/enable"), "1").unwrap();
    node.kernel.sleep(Duration::from_secs(1));
}

#[test]
#[should_panic(expected = "the chip resets under 20:01:00:25:b5:00:00:0a")]
fn a_reset_of_the_hba_under_a_port_is_caught() {
    let node = bound();
    node.kernel.sleep(Duration::from_secs(1));
    let _ = write(&node, &format!("{QLA_BASE}/tpgt_1/enable"), "0");
}

#[test]
#[should_panic(expected = "while 20:01:00:25:b5:00:00:0b serves: the kernel crashes")]
fn a_target_that_is_removed_beside_another_is_caught() {
    let (node, _) = pair(&Setup::new(1, 1).on_qla2xxx().with_another());
    node.another().unwrap().start().unwrap();
    node.kernel.sleep(Duration::from_secs(1));
    vport(&node, "vport_create", NAMES).unwrap();
    make(&node, QLA_PORT).unwrap();
    let _ = remove(&node, QLA_PORT);
}

/// The physical port, too, has lost its target functions.
#[test]
#[should_panic(expected = "no target functions")]
fn a_command_after_the_last_target_was_removed_is_caught() {
    let setup = Setup::new(1, 1).on_qla2xxx();
    let (node, _) = pair(&setup);
    vport(&node, "vport_create", &NAMES.replace('a', "b")).unwrap();
    let other = QLA_PORT.replace("0a", "0b");
    make(&node, &other).unwrap();
    node.start().unwrap();
    node.stop().unwrap();
    remove(&node, &other).unwrap();
    node.start().unwrap();
    let port = setup.ports.first().unwrap().parse().unwrap();
    node.san.borrow_mut().write_from(initiators()[0], port, 0, "sda");
    node.kernel.sleep(Duration::from_secs(2));
}

#[test]
#[should_panic(expected = "has lost its port and is disabled: the kernel crashes")]
fn a_target_that_is_disabled_without_its_port_is_caught() {
    let node = bound();
    write(&node, &format!("{QLA_PORT}/tpgt_1/enable"), "1").unwrap();
    node.kernel.sleep(Duration::from_secs(1));
    vport(&node, "vport_delete", NAMES).unwrap();
    let _ = write(&node, &format!("{QLA_PORT}/tpgt_1/enable"), "0");
}
