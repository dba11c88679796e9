//! The ways to interrupt the guest: an eventfd of QEMU's for MSI, and one for the pin.

use std::fs::File;
use std::io::Write;

use super::message::{IrqAction, SetIrqs};

/// VFIO's index of the interrupt pin.
pub(super) const INTX: u32 = 0;
/// VFIO's index of MSI.
pub(super) const MSI: u32 = 1;

/// The eventfds of the interrupts that QEMU has turned on.
#[derive(Debug, Default)]
pub struct Interrupts {
    pin: Option<File>,
    msi: Option<File>,
    /// Whether the pin was raised and has not been unmasked since. QEMU masks it when it
    /// is raised.
    pin_masked: bool,
    /// Whether the pin is to be raised as soon as it is unmasked.
    pin_waits: bool,
}

impl Interrupts {
    /// Interrupts the guest, by MSI where that is on, else by the pin.
    pub fn raise(&mut self) {
        let pin_busy = self.msi.is_none() && self.pin_masked;
        self.pin_waits = pin_busy;
        if pin_busy {
            return;
        }
        self.pin_masked = self.msi.is_none();
        let eventfd = self.msi.as_mut().or(self.pin.as_mut());
        if let Some(eventfd) = eventfd {
            // An eventfd that cannot count further is signalled already.
            let _ = eventfd.write_all(&1_u64.to_ne_bytes());
        }
    }

    /// Does what a SET_IRQS asks for. Returns whether this device can do it.
    pub(super) fn set(&mut self, request: &SetIrqs, files: Vec<File>) -> bool {
        match (request.index, request.action) {
            (INTX, IrqAction::Unmask) => {
                self.pin_masked = false;
                if self.pin_waits {
                    self.raise();
                }
                true
            }
            (INTX | MSI, IrqAction::Mask) => true,
            (INTX, IrqAction::Trigger) => {
                self.pin = files.into_iter().next();
                self.pin_masked = false;
                true
            }
            (MSI, IrqAction::Trigger) => {
                self.msi = files.into_iter().next();
                true
            }
            // Kinds that the device does not have can only be turned off.
            (_, IrqAction::Trigger) => files.is_empty(),
            _ => false,
        }
    }

    /// Forgets all eventfds.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
