//! A software Fibre Channel HBA for QEMU guests: an ISP2532 on which the stock drivers of
//! Linux run, qla2xxx and tcm_qla2xxx.
//!
//! ```text
//!  QEMU guest                      this program                       fabric
//!  qla2xxx ──vfio-user──▶ pci ──▶ chip ──▶ firmware ──▶ wire ──FCoE──▶ understudy-fabric
//!            registers,    BAR,    latch,   logins,      exchanges,
//!            guest memory  MSI     rings    sessions     frames
//! ```
//!
//! # A command
//!
//! ```text
//!  as a target                              as an initiator
//!
//!  driver        firmware       fabric      driver           firmware       fabric
//!    ◀── ATIO ─────┼── FCP_CMND ◀──           ── COMMAND_7 ──▶ ┼── FCP_CMND ──▶
//!    ── CTIO ────▶ ┼── FCP_XFER_RDY ──▶       memory ────────▶ ┼── FCP_XFER_RDY ◀──
//!    memory ◀──────┼── FCP_DATA ◀──                            ┼── FCP_DATA ──▶
//!    memory ─────▶ ┼── FCP_DATA ──▶           memory ◀─────────┼── FCP_DATA ◀──
//!    ── CTIO ────▶ ┼── FCP_RSP ──▶            ◀── STATUS ──────┼── FCP_RSP ◀──
//! ```
//!
//! # Map
//!
//! - [`pci`]: the function on the guest's bus, as QEMU sees it; the guest's memory.
//! - [`chip`]: registers, mailboxes, the latch of events, rings, their entries, flash.
//! - [`firmware`]: what the chip's firmware does. It stands between chip and wire.
//! - [`wire`]: the HBA's side of the fabric. It knows nothing of chips and guests.
//! - [`initiator`]: a small initiator without a chip, for tests.
//! - The program: [`server`] (poll loop), [`options`], [`control`] (requests and replies).
//!
//! # Invariants
//!
//! - `chip`, `firmware` and `wire` are pure: no socket, no clock, no thread. All happens
//!   in one thread.
//! - The guest's memory is touched by [`pci::GuestMemory`] alone, which checks every
//!   access.
//! - An entry of the driver's is answered once. A reset of the chip leaves it unanswered.
//! - Nothing that a guest or a fabric sends ends the program.
//! - An HBA without work sleeps.

pub mod chip;
pub mod control;
pub mod els;
pub mod fields;
pub mod firmware;
pub mod initiator;
pub mod options;
pub mod pci;
pub mod server;
pub mod wire;
