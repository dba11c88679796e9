//! Mailbox commands.
//!
//! | file | commands |
//! | --- | --- |
//! | `chip` | tests, loads and starts; versions and limits |
//! | `start` | the start of the firmware, its state |
//! | `fabric` | addresses, names, state changes, entries that come by mailbox |
//! | `lists` | who is logged in |
//! | `counts` | frames that came and went |
//!
//! Numbers: drivers/scsi/qla2xxx/qla_def.h and qla_fw.h.

mod chip;
mod counts;
mod fabric;
mod lists;
mod start;

use crate::chip::{Mailboxes, Status};

use super::Hba;

/// Commands by number.
mod command {
    pub(super) const NOP: u16 = 0x00;
    pub(super) const EXECUTE: u16 = 0x02;
    pub(super) const REGISTER_TEST: u16 = 0x06;
    pub(super) const VERIFY_CHECKSUM: u16 = 0x07;
    pub(super) const VERSION: u16 = 0x08;
    pub(super) const LOAD_RAM: u16 = 0x0b;
    pub(super) const DUMP_RAM: u16 = 0x0c;
    pub(super) const STOP: u16 = 0x14;
    pub(super) const ABORT_COMMAND: u16 = 0x15;
    pub(super) const ADDRESS: u16 = 0x20;
    pub(super) const RETRY_COUNT: u16 = 0x22;
    pub(super) const SET_OPTIONS: u16 = 0x38;
    pub(super) const RESOURCES: u16 = 0x42;
    pub(super) const START_WITH_VPORTS: u16 = 0x48;
    pub(super) const ENTRY: u16 = 0x54;
    pub(super) const DATA_RATE: u16 = 0x5d;
    pub(super) const START: u16 = 0x60;
    pub(super) const LIP: [u16; 3] = [0x62, 0x6c, 0x72];
    pub(super) const PORT_DATABASE: u16 = 0x64;
    pub(super) const STATE: u16 = 0x69;
    pub(super) const PORT_NAME: u16 = 0x6a;
    pub(super) const COUNTS: u16 = 0x6d;
    pub(super) const STATE_CHANGES: u16 = 0x70;
    pub(super) const PORT_LIST: u16 = 0x75;
    pub(super) const ID_LIST: u16 = 0x7c;
    /// Commands whose failure costs the driver a line in its log: trace, SFP, driver
    /// version, login template, speed of a port, LEDs.
    pub(super) const REFUSED: [u16; 13] =
        [0x0d, 0x0f, 0x1a, 0x27, 0x28, 0x2a, 0x30, 0x31, 0x3b, 0x52, 0x59, 0x5a, 0x6b];
}

/// How a mailbox command ends: its status and the mailboxes that the answer sets, or
/// nothing for now, where an answer of somebody else's has to come first.
type Outcome = Option<(Status, Vec<(u64, u16)>)>;

/// Returns the outcome of a command that is done.
fn done(values: &[(u64, u16)]) -> Outcome {
    Some((Status::Complete, values.to_vec()))
}

/// Returns the outcome of a command that failed.
fn failed(status: Status) -> Outcome {
    Some((status, Vec::new()))
}

impl Hba {
    /// Carries out a mailbox command.
    pub(super) fn mailbox(&mut self, mailboxes: Mailboxes) {
        log::debug!("mailbox {mailboxes:04x?}");
        let starts =
            matches!(mailboxes.command(), command::START | command::START_WITH_VPORTS);
        let tells_state = mailboxes.command() == command::STATE;
        if let Some((status, values)) = self.carry_out(&mailboxes) {
            self.answer_mailbox(mailboxes.answer(status, &values));
            if starts && status == Status::Complete {
                self.begin_login();
            }
        }
        if tells_state && self.state.update_owed {
            self.tell_update();
        }
    }

    fn carry_out(&mut self, mailboxes: &Mailboxes) -> Outcome {
        match mailboxes.command() {
            command::NOP
            | command::REGISTER_TEST
            | command::VERIFY_CHECKSUM
            | command::LOAD_RAM
            | command::ABORT_COMMAND
            | command::SET_OPTIONS => done(&[]),
            command::EXECUTE => self.execute(),
            command::VERSION => self.version(),
            command::DUMP_RAM => self.dump_ram(mailboxes),
            command::STOP => self.stop(),
            command::RESOURCES => self.resources(),
            command::START | command::START_WITH_VPORTS => self.start(mailboxes),
            command::STATE => done(&[
                (1, self.firmware_state()),
                (2, 0),
                (3, 0),
                (4, 0),
                (5, 0),
                (6, 0),
            ]),
            command::RETRY_COUNT => self.retry_count(),
            command::ADDRESS => self.address(mailboxes),
            command::DATA_RATE => self.data_rate(),
            command::PORT_NAME => self.port_name(mailboxes),
            command::COUNTS => self.counts(mailboxes),
            command::STATE_CHANGES => self.register_state_changes(mailboxes),
            command::ENTRY => self.entry_by_mailbox(mailboxes),
            command::PORT_DATABASE => self.port_database(mailboxes),
            command::PORT_LIST => self.port_list(mailboxes),
            command::ID_LIST => self.id_list(mailboxes),
            number if command::LIP.contains(&number) => done(&[]),
            number if command::REFUSED.contains(&number) => failed(Status::Error),
            _ => failed(Status::Invalid),
        }
    }

    /// Carries out a mailbox command that came as an entry of the request ring. Returns
    /// the mailboxes of the answer, or `None` for one that is allowed by mailbox only.
    pub(super) fn mailbox_by_entry(
        &mut self,
        mailboxes: &Mailboxes,
    ) -> Option<Mailboxes> {
        let allowed = matches!(
            mailboxes.command(),
            command::COUNTS
                | command::PORT_DATABASE
                | command::PORT_LIST
                | command::ID_LIST
        );
        let (status, values) = allowed.then(|| self.carry_out(mailboxes)).flatten()?;
        Some(mailboxes.answer(status, &values))
    }
}
