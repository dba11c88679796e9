//! A guest that writes nonsense: the server goes on, and touches nothing else.

use std::os::unix::fs::FileExt;
use std::time::Duration;

use proptest::prelude::*;
use understudy_fabric::addr::Fcid;
use understudy_hba::chip::iocb::kind;
use understudy_hba::fields::{Entry, Fields, id_bytes};
use understudy_hba::firmware::{Report, Switches};
use understudy_hba::pci::{Device, GuestMemory};

use crate::driver::{
    DATA, Driver, GUARD, MEMORY, MEMORY_LEN, Mode, Seen, dma, plogi, segment,
};
use crate::rig::INITIATOR;
use crate::trouble::seek;

/// How long one of these tests may look for trouble.
const LIMIT: Duration = Duration::from_secs(8);

/// The handle of the initiator, where it is logged in.
const ADMITTED: u16 = 0x7ee;

/// What a guest does.
#[derive(Debug, Clone)]
enum Act {
    Write(u64, Vec<u8>),
    Read(u64, usize),
    Mailbox(Vec<u16>),
    Entries(Vec<Entry>),
    Seconds(u64),
    Cable(bool),
    Reset,
    Admit,
}

fn address() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => MEMORY..MEMORY + MEMORY_LEN,
        2 => MEMORY + MEMORY_LEN - 600..MEMORY + MEMORY_LEN + 600,
        1 => MEMORY - 100..MEMORY + 100,
        1 => any::<u64>(),
        1 => Just(u64::MAX),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let kinds = prop_oneof![
        9 => prop::sample::select(vec![
            kind::MARKER, kind::NOTIFY_ACK, kind::CTIO, kind::CT, kind::VP_CONTROL,
            kind::VP_CONFIG, kind::MAILBOX, kind::LOGIN_OUT, kind::ELS, kind::ABORT,
            kind::ABORT_RESPONSE, kind::COMMAND_7, kind::TASK_MANAGEMENT,
            kind::CONTINUE,
        ]),
        1 => any::<u8>(),
    ];
    let noise = prop::array::uniform32(any::<u8>());
    let count = prop_oneof![5 => Just(1_u8), 1 => any::<u8>()];
    (kinds, count, noise, noise, address(), 0..3_u32, any::<bool>()).prop_map(
        |(kind, count, a, b, address, exchange, tame)| {
            let mut entry = Entry::new(kind);
            entry.set(8, &a);
            entry.set(40, &b);
            entry.set(0, &[kind, count]);
            if tame {
                // Nearly right: a port, an exchange and a segment that may exist.
                entry.set(14, &[u8::try_from(exchange).unwrap_or(0)]);
                entry.set_u32(20, exchange);
                entry.set(40, &address.to_le_bytes());
                entry.set_u32(48, 300);
                entry.set(52, &address.to_le_bytes());
                entry.set_u32(60, 300);
            }
            if tame && matches!(kind, kind::COMMAND_7 | kind::TASK_MANAGEMENT) {
                // The initiator's handle; its address is set when the entry is sent.
                entry.set_u32(4, exchange);
                entry.set_u16(8, ADMITTED);
                entry.set_u16(12, 1);
                entry.set_u16(24, 1 << (exchange & 1));
                entry.set_u32(44, 300);
                entry.set(51, &[0]);
            }
            if tame && kind == kind::ABORT {
                entry.set_u32(12, exchange);
            }
            entry
        },
    )
}

fn act() -> impl Strategy<Value = Act> {
    let command = prop_oneof![
        prop::sample::select(vec![
            0x02, 0x08, 0x0c, 0x20, 0x48, 0x54, 0x60, 0x64, 0x69, 0x6a, 0x70, 0x75, 0x7c,
        ]),
        0..0x80_u16,
    ];
    let values = prop::collection::vec(any::<u16>(), 31);
    let mailbox = (command, values, address(), any::<bool>()).prop_map(
        |(command, values, address, tame)| {
            let mut all = if tame { dma(command, address, &[]) } else { vec![command] };
            if !tame {
                all.extend(values);
            }
            Act::Mailbox(all)
        },
    );
    let bytes = prop::collection::vec(any::<u8>(), 0..9);
    prop_oneof![
        3 => (0..0x200_u64, bytes).prop_map(|(at, bytes)| Act::Write(at, bytes)),
        1 => (any::<u64>(), 0..40_usize).prop_map(|(at, len)| Act::Read(at, len)),
        4 => mailbox,
        6 => prop::collection::vec(entry(), 1..4).prop_map(Act::Entries),
        2 => (0..30_u64).prop_map(Act::Seconds),
        1 => any::<bool>().prop_map(Act::Cable),
        1 => Just(Act::Reset),
        1 => Just(Act::Admit),
    ]
}

fn carry_out(driver: &mut Driver, act: Act) {
    match act {
        Act::Write(at, bytes) => driver.rig.hba.write(at, &bytes),
        Act::Read(at, len) => driver.rig.hba.read(at, &mut vec![0; len]),
        Act::Mailbox(values) => driver.ring(&values),
        Act::Entries(mut entries) => {
            let id = driver.rig.id_of(INITIATOR.wwpn);
            for entry in entries.iter_mut().filter(|entry| entry.u16(8) == ADMITTED) {
                entry.set(48, &id_bytes(id));
            }
            driver.push(&entries);
        }
        Act::Seconds(seconds) => driver.rig.pass(seconds),
        Act::Cable(plugged) => driver.rig.cable(plugged),
        Act::Reset => {
            driver.reset();
            driver.ring(&[0]);
        }
        Act::Admit => driver.rig.initiator.log_in(crate::rig::BASE.wwpn),
    }
    driver.rig.settle();
    // Events are consumed blindly: their content is not the question here.
    for _ in 0..10 {
        driver.write(0x48, 0xa000_0000);
    }
}

#[test]
fn no_guest_is_too_strange() {
    seek(LIMIT, &prop::collection::vec(act(), 1..60), survives);
}

/// Does what a guest does, and looks at what is left.
fn survives(acts: Vec<Act>) -> Result<(), TestCaseError> {
    let mut driver = Driver::target();
    let noise = [0xa5; GUARD as usize];
    driver.guest.file.write_all_at(&noise, 0).unwrap();
    driver.guest.file.write_all_at(&noise, GUARD + MEMORY_LEN).unwrap();
    for act in acts {
        carry_out(&mut driver, act);
    }
    let mut guard = vec![0; GUARD as usize];
    for at in [0, GUARD + MEMORY_LEN] {
        driver.guest.file.read_exact_at(&mut guard, at).unwrap();
        prop_assert!(guard == noise, "memory outside the guest's was written");
    }
    prop_assert_eq!(driver.guest.file.metadata().unwrap().len(), 2 * GUARD + MEMORY_LEN);
    // The HBA still works for a driver that starts over.
    driver.rig.cable(false);
    driver.rig.cable(true);
    driver.boot();
    driver.start(Mode::Target);
    driver.rig.pass(5);
    prop_assert_eq!(driver.done(&[0x69]).at(1), 3);
    Ok(())
}

#[test]
fn entries_of_a_type_that_does_not_exist_are_given_back() {
    let mut driver = Driver::target();
    driver.push(&[Entry::new(0xee)]);
    let answer = driver.one();
    assert_eq!((answer.kind(), answer.0[3]), (0xee, 4));
    let mut cut = Entry::new(kind::CTIO);
    cut.set(1, &[9]);
    driver.push(&[cut]);
    assert_eq!(driver.take(), [] as [Seen; 0]);
}

#[test]
fn an_entry_by_mailbox_is_answered_whatever_it_is() {
    let mut driver = Driver::target();
    for kind in [
        kind::MARKER,
        kind::NOTIFY_ACK,
        kind::CTIO,
        kind::CT,
        kind::MAILBOX,
        kind::ELS,
        kind::ABORT_RESPONSE,
    ] {
        let mut entry = Entry::new(kind);
        entry.set_u32(4, 0x0fff_ffff);
        // Where CT and ELS have their request: no memory of the guest's.
        segment(&mut entry, 40, u64::MAX, 8);
        assert_eq!(driver.by_mailbox(&entry).kind(), kind);
    }
}

#[test]
fn a_prlo_that_is_not_sent_does_not_succeed() {
    let mut driver = Driver::target();
    let mut prlo = plogi(Fcid(0x01_0203), 5, 0);
    prlo.set_u16(12, 0x09);
    let answer = driver.by_mailbox(&prlo);
    assert_eq!((answer.u16(8), answer.u32(20)), (0x31, 0x19));
    prlo.set_u16(12, 0x19);
    assert_eq!(driver.by_mailbox(&prlo).u16(8), 0, "an implicit one needs no frame");
}

#[test]
fn memory_is_written_whole_or_not_at_all() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(0x3000).unwrap();
    let mut memory = GuestMemory::default();
    let part = || Some(file.try_clone().unwrap());
    // Two maps side by side, in the other order in the file; the third is not writable.
    memory.map(0x1000, 0x1000, 0x1000, part(), true).unwrap();
    memory.map(0x2000, 0x1000, 0, part(), true).unwrap();
    memory.map(0x3000, 0x1000, 0x2000, part(), false).unwrap();
    memory.write(0x1ffc, &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    let mut back = [0; 8];
    memory.read(0x1ffc, &mut back).unwrap();
    assert_eq!(back, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(memory.write(0x2ffc, &[9; 8]).is_err());
    memory.read(0x2ff8, &mut back).unwrap();
    assert_eq!(back, [0; 8], "the first half was not written either");
    assert!(memory.read(0x3ffc, &mut back).is_err());
    assert!(memory.read(u64::MAX - 3, &mut back).is_err());
    assert!(memory.map(0x1fff, 1, 0, part(), true).is_err(), "it is mapped");
    assert!(memory.map(0x9000, 0x1000, 0x2001, part(), true).is_err(), "beyond the file");
    assert!(memory.map(u64::MAX, 2, 0, None, true).is_err());
    assert!(memory.unmap(0x1000, 0x2000));
    assert!(memory.read(0x1000, &mut back).is_err());
}

#[test]
fn a_start_without_usable_rings_is_refused() {
    let mut driver = Driver::new(Switches::default());
    driver.boot();
    assert!(!driver.mailbox(&dma(0x48, DATA, &[])).is_ok());
    assert!(!driver.mailbox(&dma(0x48, 0x10, &[])).is_ok());
    let (lengths, addresses) = ([36, 38, 78], [44, 52, 80]);
    let mut block = vec![0; 132];
    block[92] = 0x10;
    for (length, address) in lengths.into_iter().zip(addresses) {
        block[length] = 64;
        block[address..address + 8].copy_from_slice(&MEMORY.to_le_bytes());
    }
    for address in addresses {
        let mut beyond = block.clone();
        beyond[address..address + 8].copy_from_slice(&(u64::MAX - 99).to_le_bytes());
        driver.poke(DATA, &beyond);
        assert!(!driver.mailbox(&dma(0x48, DATA, &[])).is_ok(), "{address}");
    }
    driver.poke(DATA, &block);
    driver.done(&dma(0x48, DATA, &[]));
}

#[test]
fn requests_wait_for_a_driver_that_reads_no_answers() {
    let mut driver = Driver::target();
    let mut pushed = 0_u32;
    let mut given = 0;
    // Far more than fits anywhere. The driver looks only how far the ring is taken.
    while given < 200 {
        let mut marker = Entry::new(kind::MARKER);
        marker.set_u32(4, pushed);
        driver.push(&[marker; 32]);
        pushed += 32;
        driver.rig.hba.tick();
        given += 1;
        if driver.read(0x20) != driver.read(0x1c) {
            break;
        }
    }
    assert!((130..200).contains(&given), "{given} times 32 were taken");
    let mut answers = 0;
    loop {
        let seen = driver.take();
        if seen.is_empty() {
            break;
        }
        answers += seen.len();
        driver.rig.pass(1);
    }
    assert_eq!(answers, usize::try_from(pushed).unwrap());
}

#[test]
fn an_index_outside_of_the_ring_is_ignored() {
    let mut driver = Driver::target();
    for index in [64, 1000, u32::MAX] {
        driver.write(0x1c, index);
        let now = driver.rig.now;
        assert!(driver.rig.hba.deadline().is_none_or(|due| due > now), "{index}");
    }
    driver.push(&[Entry::new(kind::MARKER)]);
    assert_eq!(driver.one().kind(), kind::MARKER);
}

#[test]
fn a_ring_that_begins_in_its_middle_is_empty_at_first() {
    let mut driver = Driver::new(Switches::default());
    driver.boot();
    driver.initialize(Mode::Target, 5);
    driver.rig.pass(1);
    let told = driver.rig.hba.take_reports();
    let nonsense = |report: &Report| matches!(report, Report::Nonsense { .. });
    assert!(!told.iter().any(nonsense), "entries that nobody wrote: {told:?}");
}

#[test]
fn a_guest_cannot_fill_the_event_log() {
    let mut driver = Driver::target();
    driver.rig.hba.take_reports();
    for _ in 0..40 {
        driver.push(&[Entry::new(0xee); 32]);
        assert_eq!(driver.take().len(), 32);
    }
    assert_eq!(driver.rig.hba.take_reports().len(), 1000);
    driver.rig.hba.power_off();
    driver.ring(&dma(0x54, DATA, &[]));
    assert!(matches!(driver.rig.hba.take_reports()[..], [.., Report::Nonsense { .. }]));
}

#[test]
fn events_that_nobody_takes_are_bounded() {
    let mut driver = Driver::target();
    for _ in 0..10_000 {
        driver.ring(&[0]);
    }
    assert!(driver.take().len() < 5000);
    driver.done(&[0]);
}
