//! What initiators have registered on LUNs. LIO holds it in memory, writes it at each
//! change to where its file leads, and takes it in again
//! (drivers/target/target_core_pr.c).

use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::configfs;
use super::pr_out::{Asked, Text};
use super::san::{Node, San};
use super::tree::{Entry, Tree};
use understudy_core::kernel::state::Record;
use understudy_core::kernel::{Done, paths};
use understudy_core::wwn::Wwn;

/// A file beside LIO's own attributes: what was written into LIO and it does not show.
const TOLD: &str = "pr/told";
/// A file with the registrations that LIO holds, one a line, in the form in which it
/// takes them in.
const KNOWN: &str = "pr/known";

impl San {
    /// Registers a key by an initiator through a port, and reserves if a type is given, in no
    /// time. Returns whether that was answered with success.
    pub fn register(
        &mut self,
        initiator: Wwn,
        port: Wwn,
        lun: u16,
        key: u64,
        reserve: Option<u8>,
    ) -> bool {
        let Some((node, store)) = self.session(initiator, port, lun) else {
            return false;
        };
        let asked = Asked { initiator, port, lun, key, reserve };
        match self.take_in(node, &store, &asked) {
            Text::Held => true,
            Text::Nowhere => false,
            Text::Saved { at, record, device } => self.save(node, &at, &device, record),
        }
    }

    /// Returns the node on which an initiator is logged in to a port, and the backstore of a
    /// LUN there.
    pub(super) fn session(
        &self,
        initiator: Wwn,
        port: Wwn,
        lun: u16,
    ) -> Option<(usize, PathBuf)> {
        let has_session = |node: &Node| {
            node.port(port).is_some_and(|port| port.sessions.contains(&initiator))
        };
        let number = self.nodes.iter().position(has_session)?;
        let tree = &self.nodes.get(number)?.tree;
        Some((number, configfs::store_of(tree, port, initiator, lun)?))
    }

    /// Has LIO take a registration in. Returns where its text is to be saved. What cannot be
    /// written LIO keeps nevertheless.
    pub(super) fn take_in(&mut self, node: usize, store: &Path, asked: &Asked) -> Text {
        let Asked { initiator, port, lun, key, reserve } = asked;
        let Some(node) = self.nodes.get_mut(node) else { return Text::Nowhere };
        let tree = &mut node.tree;
        let mut known = lines(tree, &store.join(KNOWN));
        known.retain(|line| !line.contains(&format!("initiator_node={initiator},")));
        let holder = reserve.map_or(String::new(), |kind| {
            format!("res_holder=1,res_type={kind},res_scope=0,")
        });
        known.push(format!(
            "initiator_fabric=fc,initiator_node={initiator},sa_res_key={key},{holder}\
             res_all_tg_pt=0,mapped_lun={lun},target_fabric=fc,target_node={port},tpgt=1,\
             port_rtpi=1,target_lun={lun}"
        ));
        tree.file(store.join(KNOWN), known.join("\n"));
        let forced = tree.read(&store.join("attrib/force_pr_aptpl")) == Ok("1\n");
        if !forced {
            return Text::Held;
        }
        let Some((device, at, serial)) = kept_on(tree, store) else {
            return Text::Nowhere;
        };
        Text::Saved { at, device, record: Record { serial, text: written(&known) } }
    }

    /// Returns the registrations that LIO holds for a LUN on the node where its port is
    /// logged in, sorted.
    pub fn registered(&self, port: Wwn, initiator: Wwn, lun: u16) -> Vec<String> {
        let node = self.logged_in_at(port).first().and_then(|node| self.nodes.get(*node));
        let Some(node) = node else { return Vec::new() };
        let store = configfs::store_of(&node.tree, port, initiator, lun);
        let known = store.map(|store| lines(&node.tree, &store.join(KNOWN)));
        let mut known = known.unwrap_or_default();
        known.sort();
        known
    }
}

pub(super) fn lines(tree: &Tree, path: &Path) -> Vec<String> {
    tree.read(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Returns the text as LIO writes it.
fn written(known: &[String]) -> String {
    let each = known.iter().enumerate().map(|(number, line)| {
        let fields = line.split(',').map(|field| match field.split_once("res_type=") {
            Some((_, kind)) => {
                format!("res_type={:02x}\n", kind.parse::<u8>().unwrap_or(0))
            }
            None => format!("{field}\n"),
        });
        let fields: String = fields.collect();
        format!("PR_REG_START: {number}\n{fields}PR_REG_END: {number}\n")
    });
    each.collect()
}

/// Returns the device of the keeper that LIO's file of a backstore leads to, the keeper's
/// directory, and the serial.
fn kept_on(tree: &Tree, store: &Path) -> Option<(String, PathBuf, String)> {
    let serial = tree.read(&store.join("wwn/vpd_unit_serial")).ok()?;
    let serial = serial.trim().rsplit(": ").next()?.to_owned();
    let root = PathBuf::from(tree.read(&paths::lio_dbroot()).ok()?.trim());
    let Some(Entry::Link(to)) = tree.get(&paths::aptpl(&root, &serial)) else {
        return None;
    };
    let mounts = tree.read(Path::new(paths::MOUNTS)).ok()?;
    // Only the keeper itself has the directory of its files.
    let dir = to.parent().filter(|dir| dir.ends_with(paths::KEPT_FILES))?.parent()?;
    let mount = mounts.lines().find(|line| line.split(' ').nth(1) == dir.to_str())?;
    let device = mount.split(' ').next()?.strip_prefix("/dev/")?;
    Some((device.to_owned(), dir.to_owned(), serial))
}

/// Writes a registration into LIO, which looks at it when the LUN is mapped.
pub fn tell(tree: &mut Tree, store: &Path, text: &str) -> Result<Done, Errno> {
    let field = |name: &str| text.split(',').find_map(|field| field.strip_prefix(name));
    // `match_int`: a leading 0 makes it octal.
    let octal = |value: &str| value.len() > 1 && value.starts_with('0');
    if field("res_type=").is_some_and(|kind| octal(kind) && kind.contains(['8', '9'])) {
        return Err(Errno::EINVAL);
    }
    let mut told = lines(tree, &store.join(TOLD));
    told.push(text.to_owned());
    tree.file(store.join(TOLD), told.join("\n"));
    Ok(Done::Changed)
}

/// Takes note that a LUN was mapped to an initiator: what was written into LIO about the
/// two holds from now on.
pub fn mapped(tree: &mut Tree, store: &Path, port: Wwn, initiator: Wwn) {
    let its = |line: &String| {
        line.contains(&format!("initiator_node={initiator},"))
            && line.contains(&format!("target_node={port},"))
    };
    let (now, later): (Vec<_>, Vec<_>) =
        lines(tree, &store.join(TOLD)).into_iter().partition(its);
    let mut known = lines(tree, &store.join(KNOWN));
    known.extend(now);
    tree.file(store.join(TOLD), later.join("\n"));
    tree.file(store.join(KNOWN), known.join("\n"));
}
