//! A software Fibre Channel fabric for machines without Fibre Channel.
//!
//! It is an FCoE forwarder with its F_Ports, fabric controller and name server, for stock
//! Linux nodes in QEMU guests. Each guest's Ethernet interface is a unix stream socket
//! (`-netdev stream`), and each socket is a link of this fabric. The fabric loses no frame,
//! keeps one login for each WWPN, and writes down who was logged in when.
//!
//! # Map
//!
//! - Wire formats, each with its inverse: [`frame`] (Ethernet, FCoE, FC header), [`fip`],
//!   [`els`], [`ct`].
//! - The fabric: [`fabric`], a pure state machine over [`port`]s and their name server
//!   entries.
//! - The program: [`link`] (socket buffers), [`server`] (poll loop), [`options`].
//! - For tests: [`control`] (requests, replies, events), [`client`].
//! - For programs of this kind: [`socket`] (listening), [`console`] (a control socket's
//!   clients), [`journal`] (the event log), [`program`] (errors, and what ends a program).
//!
//! # Invariants
//!
//! - A frame between two live ports is never dropped, and frames of one pair keep their
//!   order.
//! - Nothing passes from or to a port after its login has ended.
//! - At any time a WWPN has at most one login; its end is in the log before the next one.
//! - Arrows point one way: program, then fabric, then formats. The fabric knows no socket
//!   and no clock.
//!
//! # Deliberately absent
//!
//! - Zones by switch port, classes 1 and 2, several switches, VLAN discovery and FDMI: Linux
//!   does not need them to log in, and no test of ours asks for them.
//! - Server-provided MACs and VN2VN: neither has NPIV.

pub mod addr;
pub mod bytes;
pub mod client;
pub mod console;
pub mod control;
mod crc;
pub mod ct;
pub mod els;
mod event;
pub mod fabric;
pub mod fip;
pub mod frame;
pub mod journal;
pub mod link;
mod nameserver;
pub mod options;
pub mod pcap;
pub mod port;
pub mod program;
pub mod server;
pub mod socket;
mod wires;
pub mod wwn;
pub mod zoning;
