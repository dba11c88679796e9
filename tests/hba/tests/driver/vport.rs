//! Virtual ports: traces C, D and E.

use understudy_fabric::wwn::Wwn;
use understudy_hba::chip::iocb::kind;
use understudy_hba::fields::{Entry, Fields, id_at};
use understudy_hba::firmware::{Fault, Switches};
use understudy_hba::initiator::Session;
use understudy_hba::wire::Names;

use crate::crossing::login;
use crate::driver::{Driver, Mode, Seen};
use crate::pair::{HANDLE, Pair};
use crate::rig::BASE;
use crate::target::with_data;

/// The names of the virtual port.
pub const VPORT: Names =
    Names { wwpn: Wwn(0x2001_7564_0000_000a), wwnn: Wwn(0x2000_7564_0000_000a) };

/// Where a notice of a PRLI has service parameter word 3.
const WORD3: usize = 32;

/// Returns a VP_CONFIG of a target.
pub fn configure(vp: u8) -> Entry {
    let mut entry = Entry::new(kind::VP_CONFIG);
    entry.set(12, &[1, 1, vp]);
    entry.set(16, &[0x08]);
    entry.set(20, &VPORT.wwpn.0.to_be_bytes());
    entry.set(28, &VPORT.wwnn.0.to_be_bytes());
    entry
}

/// Returns a VP_CTRL that disables a port and logs it out everywhere.
pub fn disable(vp: u8) -> Entry {
    let mut entry = Entry::new(kind::VP_CONTROL);
    entry.set_u32(4, 99);
    entry.set_u16(12, 0x0b);
    entry.set_u16(14, 1);
    entry.set(16, &(1_u128 << (vp - 1)).to_le_bytes());
    entry
}

/// Enables a virtual port, and returns the report of its address.
pub fn enable(driver: &mut Driver, vp: u8) -> Entry {
    let answer = driver.by_mailbox(&configure(vp));
    assert_eq!(answer.u16(10), 0);
    let report = driver.one();
    assert_eq!((report.kind(), report.u8(10)), (kind::REPORT_ID, vp));
    report
}

/// Enables a virtual port, and lets it serve an initiator.
fn serve(driver: &mut Driver) {
    enable(driver, 1);
    driver.log_in_to_name_server(1);
    driver.register(1);
    driver.take();
    driver.admit(VPORT);
}

/// Disables a virtual port while a write waits for its data. Returns what the chip tells.
fn disabled_in_a_write(driver: &mut Driver) -> Vec<Seen> {
    serve(driver);
    driver.rig.initiator.hold_data(true);
    driver.rig.initiator.send(0, &[0x2a; 10], 0, &[1; 512]).unwrap();
    let atio = driver.one();
    driver.push(&[with_data(&atio, 1, 512)]);
    driver.push(&[disable(1)]);
    driver.take()
}

#[test]
fn a_port_comes_and_goes() {
    let mut driver = Driver::target();
    let report = enable(&mut driver, 1);
    assert_eq!(report.u8(11), 0);
    assert!(driver.rig.is_logged_in(VPORT.wwpn));
    assert_eq!(driver.id(1), id_at(&report, 12));
    let scr = [0x70, 3, 0, 0, 0, 0, 0, 0, 0, 1];
    driver.done(&scr);
    driver.log_in_to_name_server(1);
    driver.register(1);
    driver.push(&[disable(1)]);
    let answer = driver.one();
    assert_eq!(
        (answer.kind(), answer.handle(), answer.u16(10)),
        (kind::VP_CONTROL, 99, 0)
    );
    assert!(!driver.rig.is_logged_in(VPORT.wwpn));
    assert!(driver.rig.is_logged_in(BASE.wwpn));
    assert!(!driver.mailbox(&scr).is_ok(), "its login has ended");
    assert_eq!(enable(&mut driver, 1).u8(11), 0);
}

#[test]
fn a_disabled_port_ends_its_commands_first_and_logs_initiators_out() {
    let mut driver = Driver::target();
    let seen = disabled_in_a_write(&mut driver);
    let [Seen::Response(command), Seen::Response(answer)] = seen[..] else {
        panic!("{seen:?}")
    };
    assert_eq!((command.kind(), command.u16(8)), (kind::CTIO, 0x29));
    assert_eq!((answer.kind(), answer.u16(10)), (kind::VP_CONTROL, 0));
    assert_eq!(driver.rig.initiator.session(), Session::None, "it got a LOGO");
}

#[test]
fn the_status_of_commands_that_a_disable_ends_is_a_switch() {
    let switches = Switches { logged_out_at_disable: false, ..Switches::default() };
    let mut driver = Driver::target_with(switches);
    let seen = disabled_in_a_write(&mut driver);
    assert!(matches!(seen[..], [Seen::Response(command), _] if command.u16(8) == 2));
}

#[test]
fn handles_of_all_ports_differ() {
    let mut driver = Driver::target();
    driver.register(0);
    enable(&mut driver, 1);
    driver.log_in_to_name_server(1);
    driver.register(1);
    driver.take();
    let handles = [driver.admit(BASE), driver.admit(VPORT)];
    assert_eq!(handles, [0x7ee, 0x7ed], "from the top down");
}

#[test]
fn a_refused_port_is_told_as_such() {
    let mut driver = Driver::target();
    driver.rig.hba.inject(Fault::RefuseVports { count: 1 });
    let report = enable(&mut driver, 1);
    assert_eq!((report.u8(11), report.u8(34)), (1, 3), "failed, a logical error");
    assert!(!driver.rig.is_logged_in(VPORT.wwpn));
}

#[test]
fn what_nobody_knows_is_a_switch() {
    let mut driver = Driver::target();
    driver.push(&[disable(5)]);
    assert_eq!(driver.one().u16(10), 0);
    driver.rig.hba.switches().disable_disabled = 5;
    driver.push(&[disable(5)]);
    assert_eq!(driver.one().u16(10), 5);
    enable(&mut driver, 1);
    assert_eq!(driver.by_mailbox(&configure(1)).u16(10), 1, "it is not disabled");
    *driver.rig.hba.switches() =
        Switches { configure_enabled: true, ..Switches::default() };
    assert_eq!(driver.by_mailbox(&configure(1)).u16(10), 0);
}

#[test]
fn the_status_of_a_disable_without_link_is_a_switch() {
    for status in [0, 5] {
        let mut driver = Driver::target();
        driver.rig.hba.switches().disable_without_link = status;
        enable(&mut driver, 1);
        driver.rig.cable(false);
        driver.take();
        driver.push(&[disable(1)]);
        let answer = driver.one();
        let failed = if status == 0 { 0 } else { 1 };
        assert_eq!((answer.u16(10), answer.u16(8)), (status, failed));
    }
}

#[test]
fn indexes_out_of_range_are_refused() {
    let mut driver = Driver::target();
    for vp in [0, 64, 255] {
        assert_eq!(driver.by_mailbox(&configure(vp)).u16(10), 2, "{vp}");
    }
}

#[test]
fn a_setup_that_does_not_enable_is_refused() {
    let mut driver = Driver::target();
    let mut entry = configure(1);
    entry.set(12, &[0]);
    assert_eq!(driver.by_mailbox(&entry).u16(10), 3);
    driver.rig.pass(1);
    assert!(!driver.rig.is_logged_in(VPORT.wwpn));
}

#[test]
fn a_failed_disable_names_the_port_that_was_not_enabled() {
    let mut driver = Driver::target();
    driver.rig.hba.switches().disable_disabled = 5;
    enable(&mut driver, 1);
    let mut entry = disable(2);
    entry.set(16, &[0b11]);
    driver.push(&[entry]);
    let answer = driver.one();
    assert_eq!((answer.u16(10), answer.u16(8)), (5, 2));
    enable(&mut driver, 1);
    driver.push(&[disable(1)]);
    let answer = driver.one();
    assert_eq!((answer.u16(10), answer.u16(8)), (0, 0));
}

#[test]
fn a_virtual_port_calls_itself_what_the_driver_made_it() {
    for (options, initiator) in [(0x38, 0x20), (0x28, 0)] {
        let mut pair = Pair::offline(Mode::Initiator, 2048);
        pair.enable_vport(options);
        let [mut to_target, _] = login(HANDLE, 0, &mut pair);
        to_target.set(14, &[1]);
        pair.initiator().push(&[to_target]);
        let target = pair.target();
        let notice = target.one();
        target.acknowledge(&notice);
        let seen = target.take();
        let [Seen::Response(_), Seen::Atio(notice)] = seen[..] else {
            panic!("{seen:?}")
        };
        assert_eq!(notice.u8(18), 0x20);
        assert_eq!(notice.u16(WORD3) & 0x20, initiator, "options {options:#x}");
    }
}
