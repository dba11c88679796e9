//! understudy's core moves a Fibre Channel port identity and its disks between two storage
//! nodes: one node fails, and its partner serves the same port. This page is for a program
//! that does this without Pacemaker. ARCHITECTURE.md has the map of the rooms.
//!
//! # The order of things
//!
//! **The configuration** comes first. [`Group::of`](config::group::Group::of) reads a group
//! from the parameters of `ocf:understudy:vport`: a node name, ports, disks and initiators. It
//! looks at nothing else, so its answer is the same on every node. An error names everything
//! that is wrong.
//!
//! **The node** is next. [`Node::here`] is the one that the program runs on, and only root may
//! have it. The keys that a node registers on disks are made of its name. So no two nodes may
//! share a name, and a node has the same name in every call.
//!
//! **The kernel** is behind one door, the trait [`Kernel`](kernel::Kernel). `Node::here` brings
//! the real one. [`Node::with`] takes any other: a simulated one, or
//! [`RealKernel::new`](kernel::RealKernel::new) on a tree of files. What changes a node is done
//! in a child process, because a write may hang in the kernel for good. So each call returns
//! soon after its time is over ([`Node::within`]). A program with more threads than one has not
//! been tried.
//!
//! **The verbs** are methods of [`Node`]. Those that look change nothing: [`check`] says whether
//! a takeover would succeed here, [`plan`] what it would do, [`status`] what the node serves,
//! [`health`] whether a group is served. Those that change a group are [`takeover`],
//! [`reload`] and [`release`]. Each may be called again: what is done already is left alone.
//!
//! **Answers** are about the kernel. A takeover has succeeded when each port is logged in with
//! every LUN behind it. A release has succeeded when the node has nothing left by which it
//! could serve. [`Health::NotRunning`](verbs::Health::NotRunning) means that nothing of the
//! group is on the node. [`Health::Failed`](verbs::Health::Failed) means that something is, and
//! is not well: release the group.
//!
//! # What to do on a failure
//!
//! A [`Failure`](action::failure::Failure) prints as one line. Its
//! [`kind`](action::failure::Failure::kind) says where to try again: with `Configuration`
//! nowhere, with `Node` on another node, with any other kind on this one too.
//!
//! - After a takeover that failed, release the group here before another node takes it over.
//! - After a release that failed, cut the node's power before another node takes the group
//!   over: the node may still serve.
//! - After a reload of the kind `Refused`, the group is served as it was before.
//!
//! The library does not decide where a group is served. The caller sees to it that one node at
//! a time is asked to, and that a node that does not answer is fenced. Reservations keep a
//! second node from the disks. They do not keep it from the port names.
//!
//! # A whole example
//!
//! A simulated node serves a group, and lets go of it.
//!
//! ```
//! use std::{cell::RefCell, rc::Rc};
//!
//! use understudy_core::{Node, config::group::Group};
//! use understudy_sim::{San, SimKernel};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let initiator = "20:00:52:54:00:75:03:01";
//! let group = Group::of(
//!     "group-a",
//!     [
//!         ("wwnn", "20:00:75:64:00:00:00:0a"),
//!         ("ports", "20:01:75:64:00:00:00:0a"),
//!         ("disks", "0=/dev/disk/by-id/wwn-sda 1=/dev/disk/by-id/wwn-sdb"),
//!         ("initiators", initiator),
//!     ],
//! )?;
//!
//! let san = San::new(&["sda", "sdb"], &[initiator.parse()?]);
//! let kernel = SimKernel::boot(&Rc::new(RefCell::new(san)));
//! let node = Node::with(&kernel, "array-a");
//!
//! let phases = node.takeover(&group)?;
//! println!("taken over in {phases}");
//!
//! let status = node.status()?;
//! assert!(status.is_healthy());
//! for served in &status.groups {
//!     for lun in &served.luns {
//!         println!("{} LUN {}: {}, {:?}", served.group, lun.lun, lun.device, lun.owner);
//!     }
//! }
//!
//! // On an error the node would have to be fenced.
//! node.release(&group)?;
//! assert!(node.status()?.groups.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! On a real node, `check` says what would keep a group from being served there:
//!
//! ```no_run
//! use understudy_core::{Node, config::group::Group, verbs::check::Verdict};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let group = Group::of(
//!     "group-a",
//!     [
//!         ("wwnn", "20:00:75:64:00:00:00:0a"),
//!         ("ports", "20:01:75:64:00:00:00:0a"),
//!         ("disks", "0=naa.600140575de500000000000000000001"),
//!         ("initiators", "20:00:52:54:00:75:03:01"),
//!     ],
//! )?;
//! for finding in Node::here()?.check(&group) {
//!     if finding.verdict == Verdict::Bad {
//!         println!("{}: {}. {}", finding.what, finding.found, finding.advice);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`check`]: Node::check
//! [`health`]: Node::health
//! [`plan`]: Node::plan
//! [`release`]: Node::release
//! [`reload`]: Node::reload
//! [`status`]: Node::status
//! [`takeover`]: Node::takeover

#![warn(unreachable_pub)]

pub mod action;
pub mod config;
mod digest;
pub mod disks;
pub mod fc;
pub mod kernel;
pub mod lio;
mod node;
#[cfg(feature = "python")]
mod python;
pub mod run_files;
pub mod saved_reservations;
pub mod situation;
pub mod text;
pub mod verbs;
pub mod wwn;

pub use node::Node;
