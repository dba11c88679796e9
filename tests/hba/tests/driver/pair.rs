//! Two HBAs on one fabric: a target's driver and an initiator's.

use understudy_fabric::addr::Fcid;
use understudy_fabric::frame::FcHeader;
use understudy_fabric::wwn::Wwn;
use understudy_hba::chip::iocb::kind;
use understudy_hba::fields::{Entry, Fields, id_bytes};
use understudy_hba::wire::Names;

use crate::driver::{DATA, Driver, Guest, Mode, segment};
use crate::vport::configure;

/// The names of the initiator's physical port.
pub const OTHER: Names =
    Names { wwpn: Wwn(0x2100_0024_ff00_0002), wwnn: Wwn(0x2000_0024_ff00_0002) };
/// The initiator's number for the target.
pub const HANDLE: u16 = 3;

/// A target and an initiator. One of the drivers is in front, with its HBA; the other's
/// guest is kept.
pub struct Pair {
    driver: Driver,
    behind: Guest,
    is_target: bool,
    /// The target's number for the initiator.
    pub handle: u16,
}

impl Pair {
    /// Returns an initiator that is logged in to a target.
    pub fn new() -> Self {
        Self::with(Mode::Initiator, 2048)
    }

    /// Returns an initiator that may be a target as well, and has so many exchanges.
    pub fn with(mode: Mode, exchanges: u16) -> Self {
        let mut pair = Self::offline(mode, exchanges);
        pair.log_in(0);
        pair
    }

    /// Returns an initiator whose virtual port is logged in to a target.
    pub fn with_vport() -> Self {
        let mut pair = Self::offline(Mode::Initiator, 2048);
        pair.enable_vport(0x38);
        pair.log_in(1);
        pair
    }

    /// Enables a virtual port of the initiator's HBA with these options: without 10h it is
    /// no initiator, with 20h no target.
    pub fn enable_vport(&mut self, options: u8) {
        let mut config = configure(1);
        config.set(16, &[options]);
        let initiator = self.initiator();
        assert_eq!(initiator.by_mailbox(&config).u16(10), 0);
        assert_eq!(initiator.one().kind(), kind::REPORT_ID);
    }

    /// Returns an initiator that is not logged in to the target.
    pub fn offline(mode: Mode, exchanges: u16) -> Self {
        let mut driver = Driver::target();
        driver.register(0);
        driver.rig.add(OTHER, exchanges);
        driver.rig.turn();
        let mut behind = Guest::new(OTHER, &mut driver.rig.hba);
        std::mem::swap(&mut driver.guest, &mut behind);
        driver.boot();
        driver.go_online(mode);
        Self { driver, behind, is_target: false, handle: 0 }
    }

    /// Returns the target's driver.
    pub fn target(&mut self) -> &mut Driver {
        self.turn_to(true)
    }

    /// Returns the initiator's driver.
    pub fn initiator(&mut self) -> &mut Driver {
        self.turn_to(false)
    }

    fn turn_to(&mut self, target: bool) -> &mut Driver {
        if self.is_target != target {
            self.is_target = target;
            self.driver.rig.turn();
            std::mem::swap(&mut self.driver.guest, &mut self.behind);
        }
        &mut self.driver
    }

    /// Logs a port of the initiator in to the target: PLOGI and PRLI.
    pub fn log_in(&mut self, vp: u8) {
        let id = self.target().id(0);
        let mut login = Entry::new(kind::LOGIN_OUT);
        login.set_u16(10, HANDLE);
        login.set(14, &[vp]);
        login.set(16, &id_bytes(id));
        self.initiator().push(&[login]);
        self.finish_login();
    }

    /// Has the target's driver accept a login, of which the initiator's driver is told.
    pub fn finish_login(&mut self) {
        self.handle = self.target().accept_login();
        let answer = self.initiator().one();
        assert_eq!((answer.kind(), answer.u16(8)), (kind::LOGIN_OUT, 0));
        assert_eq!(answer.u32(20) & 0x10, 0x10, "it is a target");
    }

    /// Returns a command of the initiator's that moves no data. `flags` say which way data
    /// goes: 1 is a write, 2 a read.
    pub fn command(&mut self, handle: u32, cdb: [u8; 16], flags: u16) -> Entry {
        let id = self.target().id(0);
        let mut entry = Entry::new(kind::COMMAND_7);
        entry.set_u32(4, handle);
        entry.set_u16(8, HANDLE);
        entry.set_u16(24, flags);
        entry.set(28, &turned(&cdb));
        entry.set(48, &id_bytes(id));
        entry
    }

    /// Sends a command of the initiator's with data in one piece. Returns the target's
    /// ATIO.
    pub fn send(&mut self, handle: u32, flags: u16, len: u32) -> Entry {
        let entry = with_one(self.command(handle, [0x28; 16], flags), len);
        self.initiator().push(&[entry]);
        let atio = self.target().one();
        assert_eq!(atio.kind(), kind::ATIO);
        atio
    }
}

/// Returns the header of a frame that answers a command: the only one of its sequence, and
/// not the last of the exchange.
pub fn answer(atio: &Entry, r_ctl: u8) -> FcHeader {
    let id =
        |at| Fcid(u32::from_be_bytes([0, atio.u8(at), atio.u8(at + 1), atio.u8(at + 2)]));
    FcHeader {
        r_ctl,
        d_id: id(13),
        cs_ctl: 0,
        s_id: id(9),
        fc_type: 8,
        f_ctl: 0x88_0008,
        seq_id: 0,
        df_ctl: 0,
        seq_cnt: 0,
        ox_id: u16::from_be_bytes(atio.array(24)),
        rx_id: 0xffff,
        parameter: 0,
    }
}

/// Returns bytes as the driver has them in an entry: the words turned round.
pub fn turned(bytes: &[u8]) -> Vec<u8> {
    bytes.chunks(4).flat_map(|word| word.iter().rev().copied()).collect()
}

/// Returns a command with its data in one piece.
pub fn with_one(mut entry: Entry, len: u32) -> Entry {
    if len > 0 {
        entry.set_u16(12, 1);
        entry.set_u32(44, len);
        segment(&mut entry, 52, DATA, len);
    }
    entry
}
