//! The driver's side: registers, mailboxes, rings.

use std::fs::File;
use std::os::unix::fs::FileExt;

use understudy_fabric::addr::Fcid;
use understudy_hba::chip::Mailboxes;
use understudy_hba::chip::iocb::kind;
use understudy_hba::fields::{Entry, Fields, id_bytes};
use understudy_hba::firmware::{Hba, Switches};
use understudy_hba::pci::Device;
use understudy_hba::wire::Names;

use crate::rig::{BASE, Rig};

/// Where the guest's memory begins, and its size.
pub const MEMORY: u64 = 0x1000_0000;
pub const MEMORY_LEN: u64 = 0x20_0000;
/// How much of the file there is before and after: nobody may touch that.
pub const GUARD: u64 = 0x1000;

const CONTROL_BLOCK: u64 = MEMORY;
const BUFFER: u64 = MEMORY + 0x1000;
const REQUESTS: u64 = MEMORY + 0x2000;
const RESPONSES: u64 = MEMORY + 0x4000;
const ATIOS: u64 = MEMORY + 0x6000;
/// Entries in each ring.
const LENGTH: u32 = 64;
/// A place for data.
pub const DATA: u64 = MEMORY + 0x1_0000;

/// What marks an entry of the ATIO ring that the driver has taken.
const TAKEN: u32 = 0xdead_dead;

/// Something that the chip has told the driver.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    Event(u16, [u16; 3]),
    Response(Entry),
    Atio(Entry),
    Mailbox(Mailboxes),
}

/// What a driver starts the firmware as.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    Target,
    Initiator,
    Both,
}

/// A driver, with the rig that its HBA is in.
pub struct Driver {
    pub rig: Rig,
    pub guest: Guest,
}

/// What a driver has beside its HBA.
pub struct Guest {
    names: Names,
    pub file: File,
    seen: Vec<Seen>,
    request_in: u32,
    response_out: u32,
    atio_out: u32,
}

impl Guest {
    /// Returns a guest whose memory an HBA can reach.
    pub fn new(names: Names, hba: &mut Hba) -> Self {
        let file = tempfile::tempfile().unwrap();
        file.set_len(GUARD + MEMORY_LEN + GUARD).unwrap();
        let handed = Some(file.try_clone().unwrap());
        hba.memory().map(MEMORY, MEMORY_LEN, GUARD, handed, true).unwrap();
        let seen = Vec::new();
        Self { names, file, seen, request_in: 0, response_out: 0, atio_out: 0 }
    }
}

impl Driver {
    /// Returns a driver that has not touched its HBA.
    pub fn new(switches: Switches) -> Self {
        let mut rig = Rig::new(switches);
        let guest = Guest::new(BASE, &mut rig.hba);
        Self { rig, guest }
    }

    /// Returns a driver whose base port is logged in, as a target.
    pub fn target() -> Self {
        Self::target_with(Switches::default())
    }

    /// Returns a driver as [`Self::target`] does, on an HBA with these switches.
    pub fn target_with(switches: Switches) -> Self {
        let mut driver = Self::new(switches);
        driver.boot();
        driver.go_online(Mode::Target);
        driver
    }

    /// Starts the firmware, and logs in to the name server.
    pub fn go_online(&mut self, mode: Mode) {
        self.start(mode);
        self.rig.pass(1);
        self.take();
        self.log_in_to_name_server(0);
    }

    pub fn read(&mut self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.rig.hba.read(offset, &mut data);
        u32::from_le_bytes(data)
    }

    pub fn write(&mut self, offset: u64, value: u32) {
        self.rig.hba.write(offset, &value.to_le_bytes());
    }

    pub fn peek(&self, address: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.guest.file.read_exact_at(&mut bytes, address - MEMORY + GUARD).unwrap();
        bytes
    }

    pub fn poke(&self, address: u64, bytes: &[u8]) {
        self.guest.file.write_all_at(bytes, address - MEMORY + GUARD).unwrap();
    }

    /// Takes all events that are visible, one after the other.
    pub fn poll(&mut self) {
        loop {
            let status = self.read(0x44);
            if status & 0x8000 == 0 {
                return;
            }
            let mailbox = |this: &mut Self, index: u64| {
                let mut data = [0; 2];
                this.rig.hba.read(0x80 + 2 * index, &mut data);
                u16::from_le_bytes(data)
            };
            match status & 0xff {
                0x01 | 0x02 | 0x10 | 0x11 => {
                    let values: Vec<u16> = (0..32).map(|i| mailbox(self, i)).collect();
                    self.guest.seen.push(Seen::Mailbox(Mailboxes::new(&values)));
                }
                0x12 => {
                    let more = [1, 2, 3].map(|index| mailbox(self, index));
                    let code = u16::try_from(status >> 16).unwrap();
                    self.guest.seen.push(Seen::Event(code, more));
                }
                0x13 => self.take_responses(),
                0x1c => self.take_atios(),
                code => panic!("event {code:#x}"),
            }
            self.write(0x48, 0xa000_0000);
        }
    }

    fn take_responses(&mut self) {
        let end = self.read(0x24);
        while self.guest.response_out != end {
            let at = RESPONSES + 64 * u64::from(self.guest.response_out);
            let entry = Entry(self.peek(at, 64).try_into().unwrap());
            self.guest.seen.push(Seen::Response(entry));
            self.guest.response_out = (self.guest.response_out + 1) % LENGTH;
        }
        self.write(0x28, end);
    }

    fn take_atios(&mut self) {
        loop {
            let at = ATIOS + 64 * u64::from(self.guest.atio_out);
            let entry = Entry(self.peek(at, 64).try_into().unwrap());
            if entry.u32(60) == TAKEN {
                break;
            }
            self.poke(at + 60, &TAKEN.to_le_bytes());
            self.guest.seen.push(Seen::Atio(entry));
            self.guest.atio_out = (self.guest.atio_out + 1) % LENGTH;
        }
        self.write(0x40, self.guest.atio_out);
    }

    /// Returns what the chip has told since the last call.
    pub fn take(&mut self) -> Vec<Seen> {
        self.rig.settle();
        self.poll();
        self.rig.settle();
        std::mem::take(&mut self.guest.seen)
    }

    /// Has [`Self::take`] return this again.
    pub fn put_back(&mut self, seen: Seen) {
        self.guest.seen.push(seen);
    }

    /// Returns the entry that the chip has brought. Nothing else may have come.
    pub fn one(&mut self) -> Entry {
        match self.take()[..] {
            [Seen::Response(entry) | Seen::Atio(entry)] => entry,
            ref other => panic!("{other:?}"),
        }
    }

    /// Writes a mailbox command, and rings for it.
    pub fn ring(&mut self, values: &[u16]) {
        let mailboxes = Mailboxes::new(values);
        for index in 0..32 {
            let value = mailboxes.at(index).to_le_bytes();
            self.rig.hba.write(0x80 + 2 * index, &value);
        }
        self.write(0x48, 0x5000_0000);
    }

    /// Has a mailbox command carried out. What else comes is kept for [`Self::take`].
    pub fn mailbox(&mut self, values: &[u16]) -> Mailboxes {
        self.ring(values);
        let seen = self.take();
        let (answers, others): (Vec<_>, Vec<_>) =
            seen.into_iter().partition(|seen| matches!(seen, Seen::Mailbox(_)));
        self.guest.seen = others;
        match &answers[..] {
            [Seen::Mailbox(answer)] => answer.clone(),
            other => panic!("command {:#x}: {other:?}", values[0]),
        }
    }

    /// Has a mailbox command carried out that must succeed.
    pub fn done(&mut self, values: &[u16]) -> Mailboxes {
        let answer = self.mailbox(values);
        assert!(answer.is_ok(), "command {:#x}: {answer:04x?}", values[0]);
        answer
    }

    /// Has an entry carried out by mailbox, and returns what has become of it.
    pub fn by_mailbox(&mut self, entry: &Entry) -> Entry {
        self.poke(BUFFER, &entry.0);
        self.done(&dma(0x54, BUFFER, &[]));
        Entry(self.peek(BUFFER, 64).try_into().unwrap())
    }

    /// Puts entries into the request ring.
    pub fn push(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.poke(REQUESTS + 64 * u64::from(self.guest.request_in), &entry.0);
            self.guest.request_in = (self.guest.request_in + 1) % LENGTH;
        }
        self.write(0x1c, self.guest.request_in);
    }

    /// Resets the chip, tests it and loads firmware: traces A and B of the stock driver up
    /// to the start.
    pub fn boot(&mut self) {
        self.reset();
        let echo =
            self.done(&[6, 0xaaaa, 0x5555, 0xaa55, 0x55aa, 0xa5a5, 0x5a5a, 0x2525]);
        assert_eq!((echo.at(1), echo.at(7)), (0xaaaa, 0x2525));
        for _ in 0..2 {
            self.done(&dma(0x0b, DATA, &[(1, 0), (8, 0x10), (5, 16)]));
        }
        self.done(&[7, 0x10, 0]);
        self.done(&[2, 0x10, 0]);
        assert!(!self.mailbox(&dma(0x31, DATA, &[])).is_ok());
        let version = self.done(&[8]);
        assert_eq!(version.at(6) & 4, 4, "virtual ports");
        assert_eq!(self.done(&[0x42]).at(11), 63);
        assert!(!self.mailbox(&[0x27]).is_ok());
    }

    /// The reset loop of the stock driver: all that it polls for must come at once.
    pub fn reset(&mut self) {
        self.write(0x0c, 0);
        self.write(0x08, 0x1_0030);
        assert_eq!(self.read(0x08) & 0x2_0000, 0);
        self.write(0x08, 0x1_0031);
        assert_eq!((self.read(0x80) & 0xffff, self.read(0x08) & 1), (0, 0));
        for command in [1, 4, 2] {
            self.write(0x48, command << 28);
            self.read(0x48);
        }
        assert_eq!(self.read(0x80) & 0xffff, 0);
        (self.guest.request_in, self.guest.response_out, self.guest.atio_out) = (0, 0, 0);
        self.guest.seen.clear();
    }

    /// Starts the firmware.
    pub fn start(&mut self, mode: Mode) {
        self.initialize(mode, 0);
        for register in [0x1c, 0x28, 0x3c, 0x40] {
            self.write(register, 0);
        }
        self.write(0x0c, 8);
    }

    /// Hands the init control block over. The request ring begins at entry `first`.
    pub fn initialize(&mut self, mode: Mode, first: u16) {
        for index in 0..u64::from(LENGTH) {
            self.poke(ATIOS + 64 * index + 60, &TAKEN.to_le_bytes());
        }
        let names = self.guest.names;
        let mut block = vec![0; 0x1000];
        let mut put =
            |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(12, &names.wwpn.0.to_be_bytes());
        put(20, &names.wwnn.0.to_be_bytes());
        put(30, &first.to_le_bytes());
        for (at, ring) in
            [(36, 52), (38, 44), (78, 80)].into_iter().zip([RESPONSES, REQUESTS, ATIOS])
        {
            put(at.0, &LENGTH.to_le_bytes()[..2]);
            put(at.1, &ring.to_le_bytes());
        }
        let options: u32 = match mode {
            Mode::Target => 0x4030,
            Mode::Initiator => 0x4000,
            Mode::Both => 0x4010,
        };
        put(92, &options.to_le_bytes());
        put(96, &0x4010_u32.to_le_bytes());
        self.poke(CONTROL_BLOCK, &block);
        self.done(&[0x38, 0, 0x10]);
        self.done(&dma(0x48, CONTROL_BLOCK, &[]));
    }
}

/// Returns a mailbox command with an address.
pub fn dma(command: u16, address: u64, others: &[(usize, u16)]) -> Vec<u16> {
    let mut values = vec![0; 32];
    values[0] = command;
    for (index, shift) in [(2, 16), (3, 0), (6, 48), (7, 32)] {
        values[index] = u16::try_from(address >> shift & 0xffff).unwrap();
    }
    for (index, value) in others {
        values[*index] = *value;
    }
    values
}

/// Returns an entry that logs a port of the HBA in to another port, without PRLI.
pub fn plogi(id: Fcid, handle: u16, vp: u8) -> Entry {
    let mut entry = Entry::new(kind::LOGIN_OUT);
    entry.set_u16(10, handle);
    entry.set_u16(12, 0x20);
    entry.set(14, &[vp]);
    entry.set(16, &id_bytes(id));
    entry
}

/// Writes a segment into an entry.
pub fn segment(entry: &mut Entry, at: usize, address: u64, len: u32) {
    entry.set(at, &address.to_le_bytes());
    entry.set_u32(at + 8, len);
}
