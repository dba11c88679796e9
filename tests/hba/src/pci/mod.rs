//! The PCI function as a QEMU sees it through vfio-user: config space, one BAR, interrupts,
//! and the guest's memory.
//!
//! Protocol: docs/interop/vfio-user.rst in QEMU. QEMU connects (`-device vfio-user-pci`),
//! asks what the device has, hands over its guest's memory as file descriptors, and then
//! sends each access to a register as a message.

mod client;
mod config;
mod interrupts;
mod memory;
mod message;

pub use client::{Client, ProtocolError};
pub use interrupts::Interrupts;
pub use memory::{Fault, GuestMemory, MapError};

use config::Config;

/// The size of BAR 1, in bytes: as on the hardware.
pub const BAR_SIZE: u64 = 0x4000;

/// The device behind the PCI function.
pub trait Device {
    /// Fills `data` with what the guest reads at an offset in BAR 1.
    fn read(&mut self, offset: u64, data: &mut [u8]);
    /// Takes what the guest writes at an offset in BAR 1.
    fn write(&mut self, offset: u64, data: &[u8]);
    /// Puts the device into the state after power-on.
    fn reset(&mut self);
    /// Returns the guest's memory, for the maps that come and go.
    fn memory(&mut self) -> &mut GuestMemory;
}

/// A PCI function without the device behind it.
#[derive(Debug, Default)]
pub struct Function {
    config: Config,
    /// The ways to interrupt the guest.
    pub interrupts: Interrupts,
}
