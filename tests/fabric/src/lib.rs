//! A software Fibre Channel fabric for machines without Fibre Channel.
//!
//! An FCoE forwarder with its F_Ports, fabric controller and name server, for stock Linux
//! nodes in QEMU guests: each guest's Ethernet interface is a unix stream socket
//! (`-netdev stream`), each socket is a link of this fabric. It is lossless, keeps one
//! login a WWPN, and writes down who was logged in when.

pub mod addr;
pub mod bytes;
pub mod client;
mod console;
pub mod control;
mod crc;
pub mod ct;
pub mod els;
mod event;
pub mod fabric;
pub mod fip;
pub mod frame;
mod journal;
pub mod link;
mod nameserver;
pub mod options;
pub mod pcap;
pub mod port;
pub mod server;
mod socket;
mod wires;
pub mod wwn;
