//! A software Fibre Channel HBA for QEMU guests.

pub mod chip;
pub mod fields;
pub mod pci;
pub mod wire;
