//! A text that LIO wrote, brought up to date with the registrations in LIO's memory.
//!
//! LIO makes a text of all registrations under its locks, and writes that text without
//! them (`core_scsi3_update_and_write_aptpl`). So a command may write a text that another
//! command, answered already, has made out of date. LIO changes its memory before it makes
//! a text, and keeps the change even if the write fails. So memory is never behind an
//! answer.
//!
//! A command that changes memory later than memory is read here loses nothing either. Its
//! own text is made after that change and written before its answer, so it comes here in
//! its turn.

use std::collections::{BTreeMap, BTreeSet};

use super::aptpl::{Registration, registrations};

/// The line before LIO's list of registrations.
const TITLE: &str = "SPC-3 PR Registrations:";
/// The length from which on LIO's list may be cut off: a page without the longest line
/// (`target_pr_res_pr_registered_i_pts_show`).
const MAY_BE_CUT: usize = 4096 - 384;
/// The types of reservation that all registrants hold.
const ALL_REGISTRANTS: [&str; 2] = ["07", "08"];

/// Returns a text with the registrations that LIO has in `memory` (the attribute
/// `res_pr_registered_i_pts`) and their keys there. A registration that `text` does not
/// have yet comes from `before`, the text that was stored last; one that neither has is
/// left out, because its own command is not answered before its own text is here.
///
/// `memory` does not show who holds the reservation. The holder comes from `text`, unless
/// the registrations show that `text` is older than `before`.
///
/// What `memory` cannot show stays as it is in `text`: everything if it is no list of
/// registrations, or what follows if the list may be cut off.
pub fn reconciled(text: &str, before: &str, memory: &str) -> String {
    let Some(memory) = Memory::parse(memory) else { return text.to_owned() };
    let (text, before) = (Saved::parse(text), Saved::parse(before));
    let newer = if memory.is_older(&text, &before) { &before } else { &text };
    let unseen = text.order.iter().filter(|_| memory.may_be_cut);
    let unseen = unseen.filter(|nexus| !memory.keys.contains_key(*nexus));
    let nexuses = memory.order.iter().chain(unseen);
    let lines = nexuses.flat_map(|nexus| {
        let (now, then) = (text.of(nexus), before.of(nexus));
        match memory.keys.get(nexus) {
            Some(keys) => keyed(now, then, keys),
            None => as_they_are(now),
        }
    });
    written(&lines.collect::<Vec<_>>(), newer)
}

/// The name of an initiator, with its session where it has one, as LIO shows it.
type Nexus = String;
/// A registration with its key.
type Line<'a> = (&'a Registration<'a>, String);

/// Returns the registrations of one initiator with their keys in memory. An initiator
/// has one for each target port through which it registered. Memory does not show the
/// port, but has the order of the texts.
fn keyed<'a>(
    text: &'a [Registration<'a>],
    before: &'a [Registration<'a>],
    keys: &[String],
) -> Vec<Line<'a>> {
    let is_before =
        text.len() != keys.len() && (before.len() == keys.len() || text.is_empty());
    let lines = if is_before { before } else { text };
    if lines.len() > keys.len() {
        // Memory does not show which one is gone. The command that removed it is to write
        // its text.
        return as_they_are(lines);
    }
    lines.iter().zip(keys.iter().cloned()).collect()
}

fn as_they_are<'a>(lines: &'a [Registration<'a>]) -> Vec<Line<'a>> {
    lines.iter().map(|line| (line, line.get("sa_res_key").to_owned())).collect()
}

/// Returns the text of these registrations. The holder is the one that `newer` has. If
/// that one is gone, a reservation of all registrants goes to the first of them
/// (`__core_scsi3_complete_pro_release`).
fn written(lines: &[Line<'_>], newer: &Saved<'_>) -> String {
    let holder = newer.all().find(|line| line.get("res_holder") == "1");
    let held = holder.map(|holder| (holder.get("res_type"), holder.get("res_scope")));
    let is_its = |line: &Registration| {
        let its = |name| holder.map(|holder| holder.get(name)) == Some(line.get(name));
        ["initiator_node", "initiator_sid", "target_node"].into_iter().all(its)
    };
    let next = held.filter(|(kind, _)| ALL_REGISTRANTS.contains(kind)).map(|_| 0);
    let at = lines.iter().position(|(line, _)| is_its(line)).or(next);
    let each = lines.iter().enumerate().map(|(number, (line, key))| {
        line.text(number, key, held.filter(|_| at == Some(number)))
    });
    each.collect()
}

/// The registrations in a text, by initiator.
struct Saved<'a> {
    lines: BTreeMap<Nexus, Vec<Registration<'a>>>,
    order: Vec<Nexus>,
}

impl<'a> Saved<'a> {
    fn parse(text: &'a str) -> Self {
        let mut saved = Self { lines: BTreeMap::new(), order: Vec::new() };
        for line in registrations(text) {
            let nexus = match line.get("initiator_sid") {
                "" => line.get("initiator_node").to_owned(),
                session => format!("{},i,0x{session}", line.get("initiator_node")),
            };
            let its = saved.lines.entry(nexus.clone()).or_default();
            if its.is_empty() {
                saved.order.push(nexus);
            }
            its.push(line);
        }
        saved
    }

    fn of(&self, nexus: &str) -> &[Registration<'a>] {
        self.lines.get(nexus).map_or(&[], Vec::as_slice)
    }

    fn all(&self) -> impl Iterator<Item = &Registration<'a>> {
        self.lines.values().flatten()
    }

    fn has(&self, nexus: &str, keys: &[String]) -> bool {
        self.of(nexus).iter().map(|line| line.get("sa_res_key")).eq(keys)
    }
}

/// The keys in LIO's memory, by initiator.
struct Memory {
    keys: BTreeMap<Nexus, Vec<String>>,
    order: Vec<Nexus>,
    may_be_cut: bool,
}

impl Memory {
    fn parse(text: &str) -> Option<Self> {
        let list = text.strip_prefix(TITLE)?;
        let may_be_cut = text.len() > MAY_BE_CUT;
        let mut memory = Self { keys: BTreeMap::new(), order: Vec::new(), may_be_cut };
        for line in list.lines().filter(|line| !matches!(*line, "" | "None")) {
            let (_, rest) = line.split_once(" Node: ")?;
            let (nexus, rest) = rest.split_once(" Key: 0x")?;
            let (key, _) = rest.split_once(' ')?;
            let key = u64::from_str_radix(key, 16).ok()?.to_string();
            let its = memory.keys.entry(nexus.to_owned()).or_default();
            if its.is_empty() {
                memory.order.push(nexus.to_owned());
            }
            its.push(key);
        }
        Some(memory)
    }

    /// Returns whether a text was made before the one that was stored last: one of its
    /// initiators has other keys than memory has, which `before` has already.
    fn is_older(&self, text: &Saved<'_>, before: &Saved<'_>) -> bool {
        let known = if self.may_be_cut { [].iter() } else { text.order.iter() };
        let nexuses: BTreeSet<_> = self.order.iter().chain(known).collect();
        nexuses.into_iter().any(|nexus| {
            let keys = self.keys.get(nexus).map(Vec::as_slice).unwrap_or_default();
            before.has(nexus, keys) && !text.has(nexus, keys)
        })
    }
}

#[cfg(test)]
mod tests;
