//! Probe and start: traces A and B.

use std::num::NonZeroU32;

use understudy_fabric::addr::Fcid;
use understudy_fabric::ct::{self, Request, one_type};
use understudy_hba::chip::iocb::kind;
use understudy_hba::fields::{Entry, Fields};
use understudy_hba::firmware::{Report, Switches};

use crate::driver::{DATA, Driver, Guest, Mode, Seen, dma, plogi, segment};
use crate::rig::{BASE, INITIATOR, Rig};

/// Reads a word of the flash, as the driver does: it polls for the highest bit.
fn flash(driver: &mut Driver, word: u32) -> u32 {
    driver.write(0, 0x7ff0_0000 | word);
    assert_eq!(driver.read(0) >> 31, 1);
    driver.read(4)
}

#[test]
fn the_settings_have_the_names() {
    let mut driver = Driver::new(Switches::default());
    let words: Vec<u32> = (0..128).map(|i| flash(&mut driver, 0x4_8080 + i)).collect();
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(&bytes[..4], b"ISP ");
    assert_eq!((bytes.name(20), bytes.name(28)), (BASE.wwpn.0, BASE.wwnn.0));
    assert_eq!(words.iter().fold(0, |sum: u32, word| sum.wrapping_add(*word)), 0);
    // In bulk it is the same.
    driver.boot();
    driver.done(&dma(0x0c, DATA, &[(1, 0x8080), (8, 0x7ff4), (5, 128)]));
    assert_eq!(driver.peek(DATA, 512), bytes);
}

#[test]
fn the_image_has_two_segments_that_the_driver_takes_for_firmware() {
    let mut driver = Driver::new(Switches::default());
    let mut at = 0x2_0000;
    for load in [0x10_0000, 0x11_0000] {
        let word = |driver: &mut Driver, i: u32| flash(driver, at + i).swap_bytes();
        assert_eq!((word(&mut driver, 2), word(&mut driver, 3)), (load, 16));
        let version: Vec<u32> = (4..8).map(|i| word(&mut driver, i)).collect();
        assert!(
            version.iter().any(|v| *v != 0) && version.iter().any(|v| *v != u32::MAX)
        );
        at += 16;
    }
}

#[test]
fn the_link_comes_up_in_the_order_that_satisfies_the_driver() {
    let mut driver = Driver::new(Switches::default());
    driver.boot();
    assert_eq!(driver.done(&[0x69]).at(1), 0, "waits for its start");
    driver.start(Mode::Initiator);
    driver.rig.pass(1);
    // The state is asked for before the events are taken: they still come first.
    driver.ring(&[0x69]);
    let seen = driver.take();
    let [
        Seen::Event(0x8030, _),
        Seen::Response(report),
        Seen::Event(0x8011, [4, ..]),
        Seen::Event(0x8014, [0xffff, 6, 0]),
        Seen::Mailbox(state),
    ] = &seen[..]
    else {
        panic!("{seen:?}")
    };
    assert_eq!(state.at(1), 3);
    assert_eq!((report.kind(), report.u8(10), report.u8(11)), (kind::REPORT_ID, 0, 0));
    assert_eq!((report.u8(15), report.u8(17) & 0xe), (1, 6), "an F_Port");
    let id = driver.rig.ports().iter().find(|p| p.wwpn == BASE.wwpn).unwrap().fcid;
    assert_eq!(understudy_hba::fields::id_at(report, 12), id);
    let answer = driver.done(&[0x20]);
    assert_eq!((answer.at(1), answer.at(6), answer.at(7) & 0x400), (0xffff, 3, 0x400));
    assert_eq!(driver.id(0), id);
    // The F_Port has a name.
    let name = driver.done(&[0x6a, 0x7fe]);
    assert_ne!((name.at(2), name.at(7)), (0, 0));
}

#[test]
fn the_port_is_in_the_name_server_as_the_driver_registers_it() {
    let mut driver = Driver::target();
    driver.done(&[0x70, 3]);
    let answer = driver.by_mailbox(&plogi(Fcid::MANAGEMENT, 0x7ef, 0));
    assert_eq!((answer.u16(8), answer.u32(20)), (0x31, 4), "refused at once");
    let fcid = driver.id(0);
    driver.ct(0, &Request::RftId { fcid, types: one_type(8) });
    driver.ct(0, &Request::RffId { fcid, features: 1, fc4: 8 });
    driver.ct(0, &Request::RnnId { fcid, wwnn: BASE.wwnn });
    let list =
        ct::decode_answer(&driver.ct(0, &Request::GpnFt { fc4: 8 })).unwrap().unwrap();
    assert!(list.chunks(16).any(|entry| entry[8..] == BASE.wwpn.0.to_be_bytes()));
    let ports = driver.rig.ports();
    let port = ports.iter().find(|port| port.wwpn == BASE.wwpn).unwrap();
    assert!(port.state_changes);
    assert_eq!(port.fc4[0].features, Some(1));
}

#[test]
fn the_firmware_of_an_initiator_asks_for_state_changes_itself() {
    for (mode, asks) in [(Mode::Initiator, true), (Mode::Both, false)] {
        let mut driver = Driver::new(Switches::default());
        driver.boot();
        driver.start(mode);
        driver.rig.pass(1);
        let ports = driver.rig.ports();
        let port = ports.iter().find(|port| port.wwpn == BASE.wwpn).unwrap();
        assert_eq!(port.state_changes, asks, "{mode:?}");
    }
}

#[test]
fn a_ct_request_by_mailbox_is_answered_there() {
    let mut driver = Driver::target();
    let fcid = driver.id(0);
    let bytes = Request::RnnId { fcid, wwnn: BASE.wwnn }.encode();
    driver.poke(DATA, &bytes);
    let mut entry = Entry::new(kind::CT);
    entry.set_u16(10, 0x7fc);
    segment(&mut entry, 40, DATA, u32::try_from(bytes.len()).unwrap());
    segment(&mut entry, 52, DATA + 0x1000, 0x1000);
    let answer = driver.by_mailbox(&entry);
    assert_eq!((answer.u16(8), answer.u32(32)), (0, 16));
    let payload = driver.peek(DATA + 0x1000, 16);
    assert_eq!(ct::decode_answer(&payload).unwrap(), Ok(Vec::new()));
}

/// A stop of the agent waits until these counts stand still.
#[test]
fn frames_are_counted_as_the_driver_asks() {
    let mut driver = Driver::target();
    let mut counts = || {
        ask_for_counts(&mut driver, 128);
        let bytes = driver.peek(DATA, 512);
        let frames = [33, 34].map(|word: usize| bytes.u32(4 * word));
        driver.log_in_to_name_server(0);
        frames
    };
    let ([sent, received], after) = (counts(), counts());
    assert!(sent > 0 && received > 0);
    // The login is one frame each way.
    assert_eq!(after, [sent + 1, received + 1]);
    // A driver that has less room gets no more than that.
    driver.poke(DATA, &[0xee; 16]);
    ask_for_counts(&mut driver, 2);
    assert_eq!(driver.peek(DATA, 16)[8..], [0xee; 8]);
}

/// Asks for the counts by an entry, as the driver does (`qla24xx_send_mb_cmd`).
fn ask_for_counts(driver: &mut Driver, words: u16) {
    let mut entry = Entry::new(kind::MAILBOX);
    let mailboxes = dma(0x6d, DATA, &[(8, words)]);
    for (at, value) in (8..64).step_by(2).zip(mailboxes) {
        entry.set_u16(at, value);
    }
    driver.push(&[entry]);
    assert_eq!(driver.one().u16(8), 0x4000);
}

#[test]
fn commands_that_do_not_exist_are_refused() {
    let mut driver = Driver::new(Switches::default());
    driver.boot();
    assert_eq!(driver.mailbox(&[0x99]).at(0), 0x4001);
    assert_eq!(driver.mailbox(&[0x6b]).at(0), 0x4005);
    assert_eq!(driver.mailbox(&[0x20]).at(1), 7, "no link");
    assert!(!driver.mailbox(&dma(0x54, DATA, &[])).is_ok(), "before the start");
}

#[test]
fn no_driver_no_traffic() {
    let mut driver = Driver::new(Switches::default());
    driver.boot();
    driver.rig.hba.take_frames();
    driver.rig.pass(100);
    assert!(!driver.rig.is_logged_in(BASE.wwpn));
    assert!(!driver.rig.hba.take_interrupt());
    assert_eq!(driver.rig.hba.take_reports(), [] as [Report; 0]);
}

#[test]
fn an_interrupt_comes_for_each_event_once_they_are_enabled() {
    let mut driver = Driver::new(Switches::default());
    driver.boot();
    driver.ring(&[0]);
    assert!(!driver.rig.hba.take_interrupt(), "interrupts are off");
    driver.write(0x0c, 8);
    assert!(driver.rig.hba.take_interrupt(), "the event was waiting");
    driver.ring(&[0]);
    assert!(!driver.rig.hba.take_interrupt(), "the first event is still visible");
    driver.write(0x48, 0xa000_0000);
    assert!(driver.rig.hba.take_interrupt());
    driver.write(0x48, 0xa000_0000);
    assert!(!driver.rig.hba.take_interrupt());
    assert_eq!(driver.read(0x44), 0);
}

#[test]
fn when_a_port_asks_again_that_was_refused_is_a_switch() {
    let again = |ms| Switches { retry_login_ms: ms, ..Switches::default() };
    for (switches, times) in
        [(Switches::default(), 4), (again(NonZeroU32::new(1000)), 10), (again(None), 1)]
    {
        let mut rig = Rig::new(switches);
        // The fabric has a port of that name already.
        let guest = Guest::new(INITIATOR, &mut rig.hba);
        let mut driver = Driver { rig, guest };
        driver.boot();
        driver.start(Mode::Target);
        driver.rig.pass(9);
        let refused = |report: &Report| matches!(report, Report::Refused { .. });
        let reports = driver.rig.hba.take_reports();
        assert_eq!(reports.into_iter().filter(refused).count(), times, "{switches:?}");
        assert_eq!(driver.done(&[0x69]).at(1), 2, "it waits for its login");
    }
}
