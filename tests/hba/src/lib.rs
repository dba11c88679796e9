//! A software Fibre Channel HBA for QEMU guests.

pub mod wire;
