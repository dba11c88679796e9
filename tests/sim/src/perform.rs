//! An operation on a simulated node: what it does, what it must not be asked for, and how
//! long it takes.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;

use super::configfs::{self, Item};
use super::keepers::{self, Keeper};
use super::san::San;
use understudy_core::kernel::nexus;
use understudy_core::kernel::{Cause, paths};
use understudy_core::kernel::{Done, Op};
use understudy_core::wwn::{Wwn, from_sysfs};

/// What the kernel does at once.
const QUICK: Duration = Duration::from_micros(200);
/// An RCU grace period, as measured: 18 ms on an idle machine.
const GRACE: Duration = Duration::from_millis(18);
/// An expedited grace period.
const EXPEDITED: Duration = Duration::from_millis(1);
/// What a disk's or a remote port's answer takes.
const ROUND_TRIP: Duration = Duration::from_millis(1);
/// A logout, with everything that the driver waits for.
const LOGOUT: Duration = Duration::from_millis(30);
/// A logout of qla2xxx, as measured: 119 to 133 ms. The driver looks every 100 ms whether
/// a session has ended (`qlt_free_session_done`).
const SESSIONS_END: Duration = Duration::from_millis(120);
/// An order to the firmware of a QLogic HBA, as measured: 2 to 4 ms.
const ORDER: Duration = Duration::from_millis(2);
/// After how long the kernel lifts a bar by itself.
const BAR: Duration = Duration::from_secs(5);

impl San {
    /// Carries out one operation on a node.
    pub(super) fn perform(&mut self, node: usize, op: &Op) -> Result<Done, Cause> {
        let errno = |errno: Errno| Cause::Errno(errno as i32);
        self.watch(node, op);
        if let Some(answer) = self.perform_qla2xxx(node, op) {
            return answer;
        }
        let (now, ends_at) = (self.now, self.ends_at);
        let Some(there) = self.nodes.get_mut(node) else { return Ok(Done::Unchanged) };
        let (tree, names) = (&mut there.tree, &there.names);
        let first = |disk: &Path| {
            let name = disk.file_name().unwrap_or_default().to_string_lossy();
            names.get(name.as_ref()).cloned().unwrap_or_else(|| name.into_owned())
        };
        match op {
            Op::MakeDir(path) => configfs::make_dir(tree, path).map_err(errno),
            Op::RemoveDir(path) => configfs::remove_dir(tree, path).map_err(errno),
            Op::Link { at, to } => configfs::make_link(tree, at, to),
            Op::Unlink(path) => configfs::unlink(tree, path).map_err(errno),
            Op::Write { path, text } if path.ends_with("vport_create") => {
                self.create_vport(node, text).map_err(errno)
            }
            Op::Write { path, text } if path.ends_with("vport_delete") => {
                self.delete_vport(node, text).map_err(errno)
            }
            Op::Write { path, text } if path.starts_with("/sys/bus/fcoe") => {
                self.turn(node, path, text).map_err(errno)
            }
            Op::Write { path, text } => {
                self.changes += u64::from(path.ends_with("enable"));
                configfs::write(tree, path, text).map_err(errno)
            }
            Op::WriteIfAny { path, .. } if !tree.exists(path) => Ok(Done::Unchanged),
            Op::WriteIfAny { path, text } if path.starts_with(paths::BLOCK) => {
                tree.file(path, text.as_str());
                Ok(Done::Changed)
            }
            Op::WriteIfAny { path, text } => {
                configfs::write_port(tree, path, text).map_err(errno)
            }
            Op::WriteAll { dir, values } => {
                for (name, text) in values {
                    configfs::write(tree, &dir.join(name), text).map_err(errno)?;
                }
                Ok(Done::Changed)
            }
            Op::ReadDisk(disk) => tree.read(disk).map(|_| Done::Unchanged).map_err(errno),
            Op::Identify(disk) if self.swapped.contains(disk) => {
                let words = "it is naa.6001405b, and this node knows it as naa.6001405a";
                Err(Cause::Device(words.into()))
            }
            Op::Identify(_) => Ok(Done::Unchanged),
            Op::KeepPaths { .. } if !self.multipathd => {
                Err(Cause::Device("multipathd goes on with the key none".into()))
            }
            Op::HearMultipathd if !self.multipathd => {
                let words = "its configuration has no reservation_key file";
                Err(Cause::Device(words.into()))
            }
            Op::HearMultipathd => Ok(Done::Unchanged),
            Op::KeepPaths { disk, key } => {
                self.disks.keep_paths(&first(disk), node, Some(*key));
                Ok(Done::Changed)
            }
            Op::Rescan(disk) => {
                let name = disk.file_name().unwrap_or_default().to_string_lossy();
                let sectors = self.disks.sectors(&first(disk));
                let Some(sectors) = sectors.filter(|_| tree.exists(disk)) else {
                    return Ok(Done::Unchanged);
                };
                let path = paths::block(&name, "size");
                let known =
                    tree.read(&path).ok().and_then(|text| text.trim().parse().ok());
                if known.unwrap_or(0) >= sectors {
                    return Ok(Done::Unchanged);
                }
                tree.file(path, format!("{sectors}\n"));
                Ok(Done::Changed)
            }
            Op::Echo(port) => {
                let name = port.file_name().unwrap_or_default();
                let remote = Path::new(paths::FC_REMOTE_PORTS).join(name);
                let name = tree.read(&remote.join("port_name")).map_err(errno)?;
                if let Some(initiator) = from_sysfs(name) {
                    self.echo(node, initiator);
                }
                Ok(Done::Unchanged)
            }
            Op::LogOut { wwpn, .. } => Ok(self.own_logs_out(node, *wwpn)),
            Op::LoadState(device) if !tree.exists(device) => Err(errno(Errno::ENOENT)),
            Op::LoadState(device) => Ok(Done::State(self.disks.state(&first(device)))),
            Op::Keep { device, at } => {
                let keeper = Keeper::new(self.disks.state(&first(device)), ends_at);
                let all = &mut there.keepers;
                keepers::keep(tree, all, (device, keeper), at).map_err(errno)
            }
            Op::HearKeeper(at) => keepers::hear(tree, &there.keepers, at).map_err(errno),
            Op::EndKeeper(at) => {
                let done = keepers::end(tree, &mut there.keepers, at);
                self.refuse(node, at);
                Ok(done)
            }
            // Which processes want it is the real kernel's side's business (`rcu.rs`).
            Op::Expedite => {
                tree.file(paths::RCU_EXPEDITED, "1\n");
                Ok(Done::Changed)
            }
            Op::Relax => {
                tree.file(paths::RCU_EXPEDITED, "0\n");
                Ok(Done::Changed)
            }
            Op::ReadyNft => self.nft.answer(op),
            Op::Bar { wwpn, .. } => {
                let done = self.nft.answer(op)?;
                self.bar_until(node, *wwpn, now + BAR);
                Ok(done)
            }
            Op::LiftBar(wwpn) => {
                let done = self.nft.answer(op)?;
                self.bar_until(node, *wwpn, now);
                Ok(done)
            }
            Op::BeginAccount { wwpn, .. } => {
                let done = self.nft.answer(op)?;
                if let Some(there) = self.nodes.get_mut(node) {
                    there.accounted.insert(*wwpn);
                }
                Ok(done)
            }
            Op::ReadAccount(_) => {
                self.nft.answer(op)?;
                Ok(Done::Account(self.account(node)))
            }
            Op::EndAccount { wwpn, .. } => {
                let done = self.nft.answer(op)?;
                if let Some(there) = self.nodes.get_mut(node) {
                    there.accounted.remove(wwpn);
                }
                Ok(done)
            }
            Op::ReadReservation(disk)
            | Op::Join { disk, .. }
            | Op::Register { disk, .. }
            | Op::Confirm { disk, .. }
            | Op::Unregister { disk, .. }
            | Op::Reserve { disk, .. }
            | Op::PreemptAndAbort { disk, .. } => {
                if !tree.exists(disk) {
                    return Err(errno(Errno::ENOENT));
                }
                let paths = nexus::of(tree, disk);
                let name = first(disk);
                if matches!(op, Op::Unregister { .. }) {
                    self.disks.keep_paths(&name, node, None);
                }
                let mut aborted = BTreeSet::new();
                let is_there: BTreeSet<_> = paths
                    .iter()
                    .filter(|p| tree.exists(&p.node))
                    .cloned()
                    .map(|p| p.node)
                    .collect();
                let answer = nexus::by_paths(op, paths, |path| {
                    // It has left, and its map has not heard of that.
                    if !is_there.contains(path) {
                        return Err(op.failed(errno(Errno::ENOENT)));
                    }
                    let (answer, ended) = self.disks.perform(node, &first(path), op);
                    aborted.extend(ended.into_iter().map(|nexus| nexus.node));
                    answer.map_err(|cause| op.failed(cause))
                });
                let answer = answer.map_err(|error| error.cause);
                for node in aborted {
                    self.abort(&name, node);
                }
                self.changes += u64::from(!matches!(op, Op::ReadReservation(_)));
                answer
            }
        }
    }

    /// Stops the test where the agent asks for what an initiator would suffer from.
    #[expect(clippy::panic, reason = "an initiator would suffer")]
    fn watch(&self, node: usize, op: &Op) {
        let live = |path: &Path| {
            let port = configfs::port_of(path);
            port.filter(|wwpn| {
                let port = self.nodes.get(node).and_then(|node| node.port(*wwpn));
                port.is_some_and(|port| port.is_target && !port.disabled)
            })
        };
        match op {
            Op::RemoveDir(path) | Op::Unlink(path) => {
                if let Some(port) = live(path).filter(|_| !self.may_go(node, path)) {
                    panic!("{op}, under the live port {port}: an I/O error");
                }
            }
            Op::MakeDir(path) => {
                let Some(Item::Acl(name)) = configfs::item(path) else { return };
                let Ok(initiator) = name.parse::<Wwn>() else { return };
                let late = live(path).filter(|p| self.too_late_for(node, *p, initiator));
                if let Some(port) = late {
                    panic!(
                        "{op}: the initiator was refused by {port} and never asks again"
                    );
                }
            }
            _ => {}
        }
    }

    /// Returns whether what is removed under a live port is out of use. A LUN has to be
    /// quiet by then: its removal waits for whatever is in flight.
    fn may_go(&self, node: usize, path: &Path) -> bool {
        let (luns, initiators) = &self.unused;
        let found = path.ancestors().filter_map(configfs::item);
        let mut quiet = false;
        for item in found {
            match item {
                Item::Acl(name)
                    if name.parse().is_ok_and(|n| initiators.contains(&n)) =>
                {
                    return true;
                }
                Item::Lun(name) | Item::MappedLun(name) => {
                    let lun = configfs::lun(name).filter(|lun| luns.contains(lun));
                    let node = self.nodes.get(node);
                    let store = node.and_then(|n| configfs::backstore(&n.tree, path));
                    quiet = lun.is_some() && store.is_none_or(|s| s.transitioning);
                }
                _ => {}
            }
        }
        quiet
    }

    /// Returns how long an operation takes that is begun now.
    pub(super) fn cost(&mut self, node: usize, op: &Op) -> Duration {
        let cost = match op {
            Op::Link { at, .. } if is_lun_link(at) => self.grace(node),
            Op::Unlink(path) if is_lun_link(path) => {
                self.grace(node) + self.in_turn(node)
            }
            Op::RemoveDir(path) if configfs::item(path) == Some(Item::Backstore) => {
                self.in_turn(node)
            }
            Op::Write { path, .. } if path.ends_with("vport_delete") => LOGOUT,
            Op::Write { path, text } if path.ends_with("vport_disable") => {
                if text == "1" { SESSIONS_END } else { ORDER }
            }
            Op::Write { path, .. } if path.ends_with("tpgt_1/enable") => ORDER,
            Op::MakeDir(_)
            | Op::RemoveDir(_)
            | Op::Link { .. }
            | Op::Unlink(_)
            | Op::Write { .. }
            | Op::WriteIfAny { .. }
            | Op::WriteAll { .. }
            | Op::Expedite
            | Op::Relax => QUICK,
            Op::Bar { .. } | Op::BeginAccount { .. } => ROUND_TRIP + self.nft.cost(),
            Op::ReadAccount(_) | Op::EndAccount { .. } => ROUND_TRIP,
            Op::Echo(_) | Op::LogOut { .. } | Op::ReadyNft | Op::LiftBar(_) => ROUND_TRIP,
            // A keeper does one thing after another, and is asked for nothing on the disk.
            Op::HearKeeper(at) => {
                let until = self.keeper_is_busy_until(node, at);
                ROUND_TRIP + until.saturating_sub(self.now)
            }
            Op::EndKeeper(_) => QUICK,
            Op::Keep { at, .. } => {
                let until = self.keeper_is_busy_until(node, at);
                let time = until.saturating_sub(self.now);
                ROUND_TRIP + time.max(self.stalled(node).unwrap_or_default())
            }
            // What is asked of a disk.
            _ => ROUND_TRIP + self.stalled(node).unwrap_or_default(),
        };
        let cost = cost + self.takes(0, 60);
        self.ends_at = self.now + cost;
        cost
    }

    /// Returns how long a grace period takes that the kernel waits for with a lock held.
    fn in_turn(&mut self, node: usize) -> Duration {
        let (now, grace) = (self.now, self.grace(node));
        let Some(node) = self.nodes.get_mut(node) else { return grace };
        node.removing_until = node.removing_until.max(now) + grace;
        node.removing_until - now
    }

    fn grace(&self, node: usize) -> Duration {
        let switch = Path::new(paths::RCU_EXPEDITED);
        let node = self.nodes.get(node);
        let on = node.is_some_and(|node| node.tree.read(switch) == Ok("1\n"));
        if on { EXPEDITED } else { GRACE }
    }
}

fn is_lun_link(path: &Path) -> bool {
    let item = path.parent().and_then(configfs::item);
    matches!(item, Some(Item::Lun(_)))
}
