//! The chip as the driver sees it: registers, mailboxes, the latch of events, flash, rings.
//!
//! The chip stores and shows; what a command means is firmware's. Registers: struct
//! device_reg_24xx in drivers/scsi/qla2xxx/qla_fw.h.

mod flash;
pub mod iocb;
mod latch;
mod mailbox;
mod nvram;
mod ring;

pub use flash::{FLASH_BASE, FLASH_LEN, Flash};
pub use latch::{Event, Latch};
pub use mailbox::{Mailboxes, Status};
pub use ring::{Requests, Responses, Ring};

/// Where registers are in the BAR.
mod register {
    pub(super) const FLASH_ADDR: u64 = 0x00;
    pub(super) const FLASH_DATA: u64 = 0x04;
    pub(super) const CTRL_STATUS: u64 = 0x08;
    pub(super) const ICTRL: u64 = 0x0c;
    pub(super) const ISTATUS: u64 = 0x10;
    pub(super) const REQ_IN: u64 = 0x1c;
    pub(super) const REQ_OUT: u64 = 0x20;
    pub(super) const RSP_IN: u64 = 0x24;
    pub(super) const RSP_OUT: u64 = 0x28;
    pub(super) const ATIO_IN: u64 = 0x3c;
    pub(super) const ATIO_OUT: u64 = 0x40;
    pub(super) const HOST_STATUS: u64 = 0x44;
    pub(super) const HCCR: u64 = 0x48;
    pub(super) const GPIOD: u64 = 0x4c;
    pub(super) const GPIOE: u64 = 0x50;
    pub(super) const MAILBOX: u64 = 0x80;
    pub(super) const MAILBOX_END: u64 = 0xc0;
}

/// The bit of `ictrl` that lets events interrupt the host.
const ICTRL_ENABLE: u32 = 1 << 3;
/// The bit of `istatus` that says that an event is visible.
const ISTATUS_EVENT: u32 = 1 << 3;
/// The bit of `ctrl_status` that resets the chip. It reads 0 again at once.
const CTRL_SOFT_RESET: u32 = 1;
/// The bits of `ctrl_status` that are stored: flash writes, burst size, DMA shutdown.
const CTRL_STORED: u32 = 0x0001_0032;
/// Commands in the upper four bits of `hccr`.
const HCCR_SET_RESET: u32 = 1;
const HCCR_MAILBOX: u32 = 5;
const HCCR_CLEAR_EVENT: u32 = 0xa;

/// What a write to a register asks firmware for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doorbell {
    /// Forget everything and start over.
    Reset,
    /// Carry out a mailbox command.
    Mailbox(Mailboxes),
    /// Take the request ring's entries up to this one.
    Requests(u32),
    /// Room has come up in the response ring: its entries up to this one are read.
    Responses(u32),
    /// Room has come up in the ATIO ring: its entries up to this one are read.
    Atios(u32),
}

/// The registers and what stands behind them.
#[derive(Debug)]
pub struct Chip {
    latch: Latch,
    flash: Flash,
    /// What the driver writes.
    host_bank: Mailboxes,
    flash_addr: u32,
    flash_data: u32,
    ctrl_status: u32,
    ictrl: u32,
    request_in: u32,
    request_out: u32,
    response_out: u32,
    atio_in: u32,
    atio_out: u32,
    gpio: [u32; 2],
    interrupt: bool,
}

impl Chip {
    /// Returns a chip with this flash, as it is after power-on.
    pub fn new(flash: Flash) -> Self {
        Self {
            latch: Latch::default(),
            flash,
            host_bank: Mailboxes::default(),
            flash_addr: 0,
            flash_data: 0,
            ctrl_status: 0,
            ictrl: 0,
            request_in: 0,
            request_out: 0,
            response_out: 0,
            atio_in: 0,
            atio_out: 0,
            gpio: [0; 2],
            interrupt: false,
        }
    }

    /// Forgets everything but the flash.
    pub fn reset(&mut self) {
        let flash = std::mem::take(&mut self.flash);
        *self = Self::new(flash);
    }

    /// Queues an event. It interrupts the host when it becomes visible.
    pub fn post(&mut self, event: Event) {
        if self.latch.post(event) {
            self.signal();
        }
    }

    /// Returns whether the host is to be interrupted since the last call.
    pub fn take_interrupt(&mut self) -> bool {
        std::mem::take(&mut self.interrupt)
    }

    /// Notes how far firmware has taken the request ring.
    pub fn set_request_out(&mut self, out: u32) {
        self.request_out = out;
    }

    /// Returns a word of the flash by its number, for commands that read in bulk. Beyond
    /// the end all is erased.
    pub fn read_flash(&self, word: u32) -> u32 {
        self.flash.word(word)
    }

    /// Fills `data` with what the driver reads at an offset.
    pub fn read(&self, offset: u64, data: &mut [u8]) {
        let mut at = offset;
        for byte in data {
            let [a, b, c, d] = self.register(at & !3).to_le_bytes();
            *byte = match at & 3 {
                0 => a,
                1 => b,
                2 => c,
                _ => d,
            };
            at = at.wrapping_add(1);
        }
    }

    /// Takes what the driver writes at an offset. Returns what firmware has to do. Only
    /// mailboxes may be written by halves; any other odd access is ignored.
    pub fn write(&mut self, offset: u64, data: &[u8]) -> Option<Doorbell> {
        if (register::MAILBOX..register::MAILBOX_END).contains(&offset) && offset & 1 == 0
        {
            let first = (offset - register::MAILBOX) / 2;
            for (index, half) in (first..).zip(data.chunks_exact(2)) {
                if let [low, high] = half {
                    self.host_bank.set_at(index, u16::from_le_bytes([*low, *high]));
                }
            }
            return None;
        }
        match <[u8; 4]>::try_from(data) {
            Ok(word) if offset & 3 == 0 => {
                self.write_word(offset, u32::from_le_bytes(word))
            }
            _ => {
                log::debug!("odd write of {} bytes at {offset:#x}", data.len());
                None
            }
        }
    }

    fn register(&self, at: u64) -> u32 {
        match at {
            register::FLASH_ADDR => self.flash_addr,
            register::FLASH_DATA => self.flash_data,
            register::CTRL_STATUS => self.ctrl_status,
            register::ICTRL => self.ictrl,
            register::ISTATUS if self.latch.is_visible() => ISTATUS_EVENT,
            register::REQ_IN => self.request_in,
            register::REQ_OUT => self.request_out,
            register::RSP_IN => self.latch.response_in(),
            register::RSP_OUT => self.response_out,
            register::ATIO_IN => self.atio_in,
            register::ATIO_OUT => self.atio_out,
            register::HOST_STATUS => self.latch.host_status(),
            register::GPIOD => self.gpio[0],
            register::GPIOE => self.gpio[1],
            register::MAILBOX..register::MAILBOX_END => {
                let first = (at - register::MAILBOX) / 2;
                let bank = self.latch.bank();
                let (low, high) = (bank.at(first), bank.at(first + 1));
                u32::from(low) | u32::from(high) << 16
            }
            _ => 0,
        }
    }

    fn write_word(&mut self, offset: u64, value: u32) -> Option<Doorbell> {
        match offset {
            register::FLASH_ADDR => self.access_flash(value),
            register::FLASH_DATA => self.flash_data = value,
            register::CTRL_STATUS => {
                self.ctrl_status = value & CTRL_STORED;
                if value & CTRL_SOFT_RESET != 0 {
                    return Some(Doorbell::Reset);
                }
            }
            register::ICTRL => {
                let was = self.ictrl & ICTRL_ENABLE;
                self.ictrl = value & ICTRL_ENABLE;
                if was == 0 && self.latch.is_visible() {
                    self.signal();
                }
            }
            register::REQ_IN => {
                self.request_in = value;
                return Some(Doorbell::Requests(value));
            }
            register::REQ_OUT => self.request_out = value,
            register::RSP_OUT => {
                self.response_out = value;
                return Some(Doorbell::Responses(value));
            }
            register::ATIO_IN => self.atio_in = value,
            register::ATIO_OUT => {
                self.atio_out = value;
                return Some(Doorbell::Atios(value));
            }
            register::HCCR => return self.command(value >> 28),
            register::GPIOD => self.gpio[0] = value,
            register::GPIOE => self.gpio[1] = value,
            _ => {}
        }
        None
    }

    fn command(&mut self, command: u32) -> Option<Doorbell> {
        match command {
            HCCR_SET_RESET => return Some(Doorbell::Reset),
            HCCR_MAILBOX => return Some(Doorbell::Mailbox(self.host_bank.clone())),
            HCCR_CLEAR_EVENT if self.latch.consume() => self.signal(),
            _ => {}
        }
        None
    }

    /// Reads or writes a word of the flash, as the highest bit of the address says. That
    /// bit is then turned round, which the driver polls for.
    fn access_flash(&mut self, value: u32) {
        const DONE: u32 = 1 << 31;
        if value & DONE == 0 {
            self.flash_data = self.flash.read(value);
            self.flash_addr = value | DONE;
        } else {
            self.flash.write(value & !DONE, self.flash_data);
            self.flash_addr = value & !DONE;
        }
    }

    fn signal(&mut self) {
        self.interrupt |= self.ictrl & ICTRL_ENABLE != 0;
    }
}
