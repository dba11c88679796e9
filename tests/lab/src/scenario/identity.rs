//! identity-byte-for-byte: all that a LUN answers about itself is the same before a move,
//! on the partner, and at home again.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::world::COMMAND;
use super::{Seen, World};
use crate::error::{Error, Result};
use crate::groups::{self, Group};
use crate::progress;

/// A LUN's answers, by LUN and command: the status, then the bytes.
pub type Look = BTreeMap<(u16, String), Vec<u8>>;

/// How many differences are reported at most.
const TOLD: usize = 24;

/// Plays identity-byte-for-byte. Nothing is under load here: other scenarios move groups
/// under load.
pub fn run(world: &World) -> Result<Seen> {
    let [group, _] = &world.groups;
    world.load.pause()?;
    same_everywhere(world, group)?;
    Ok(Seen::default())
}

/// Moves a group from its home to its partner and home again. Checks that all answers of
/// its LUNs are the same there.
///
/// # Errors
/// Answers differ, or the group does not get there.
pub fn same_everywhere(world: &World, group: &Group) -> Result<()> {
    let before =
        progress::during("every answer of every LUN, at home", || look(world, group))?;
    for node in [group.partner, group.home] {
        let step = progress::step(format!("the same from {node}"));
        world.move_to(group, node)?;
        must_be_same(&before, &look(world, group)?, node)?;
        step.done(&format!("{} answers", before.len()));
    }
    Ok(())
}

/// Checks that a look on a node sees what an earlier look saw.
///
/// # Errors
/// Answers differ. The error says which bytes do.
pub fn must_be_same(before: &Look, after: &Look, node: &str) -> Result<()> {
    let differences = differences(before, after);
    if differences.is_empty() {
        return Ok(());
    }
    let (count, told) = (differences.len(), differences.iter().take(TOLD));
    let told = told.fold(String::new(), |mut text, one| {
        let _ = write!(text, "\n  {one}");
        text
    });
    Err(Error::other(format!("{count} bytes differ on {node}:{told}")))
}

/// Asks every LUN of a group everything about itself. Returns the answers.
///
/// # Errors
/// The initiator does not find the LUNs.
pub fn look(world: &World, group: &Group) -> Result<Look> {
    let host = world.lab.host()?;
    let luns = groups::luns_of(host, group, group.disks().len(), COMMAND)?;
    let devices: Vec<_> = luns.iter().map(|lun| lun.device.as_str()).collect();
    let said = host.run(&format!("lab-look {}", devices.join(" ")), COMMAND)?;
    let answer = |line: &str| {
        let mut words = line.split('\t');
        let device = words.next()?;
        let lun = luns.iter().find(|lun| lun.device == device)?.number;
        let what = words.next()?.to_owned();
        let mut bytes = hex(words.next()?.strip_prefix("0x")?)?;
        bytes.extend(hex(words.next()?)?);
        Some(((lun, what), bytes))
    };
    let wrong = |line| Error::other(format!("not an answer of a LUN: {line}"));
    said.lines().map(|line| answer(line).ok_or_else(|| wrong(line))).collect()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(digits).collect()
}

/// Returns where two looks differ.
fn differences(before: &Look, after: &Look) -> Vec<String> {
    let mut found = Vec::new();
    for (key @ (lun, what), was) in before {
        let Some(is) = after.get(key) else {
            found.push(format!("LUN {lun}, {what}: is not listed any more"));
            continue;
        };
        if was.first() != is.first() {
            found.push(format!("LUN {lun}, {what}: status {was:02x?}, then {is:02x?}"));
            continue;
        }
        // The bytes come after the status.
        let bytes = |all: &[u8], at| all.get(at + 1).copied();
        for at in 0..was.len().max(is.len()) - 1 {
            let (was, is) = (bytes(was, at), bytes(is, at));
            if was != is && !is_volatile(what, at) {
                let word = |byte: Option<u8>| {
                    byte.map_or("nothing".into(), |byte| format!("{byte:#04x}"))
                };
                let (was, is) = (word(was), word(is));
                found.push(format!("LUN {lun}, {what}, byte {at}: {was}, then {is}"));
            }
        }
    }
    let new = after.keys().filter(|key| !before.contains_key(key));
    found.extend(new.map(|(lun, what)| format!("LUN {lun}, {what}: was not listed")));
    found
}

/// The page of VPD with a LUN's designators.
const DESIGNATORS: &str = "VPD page 0x83";
/// The command that asks for the groups of target ports.
const PORT_GROUPS: &str = "REPORT TARGET PORT GROUPS";
/// The page of VPD with the limits of a LUN's commands.
const LIMITS: &str = "VPD page 0xb0";

/// Returns a look without what LUNs say of the port behind which they are. Drivers differ
/// in that. tcm_fc and tcm_qla2xxx spell a port's name differently, a port's number has to
/// be another one with qla2xxx, and tcm_qla2xxx limits what one command may transfer
/// (`max_data_sg_nents`).
#[must_use]
pub fn without_ports(look: &Look) -> Look {
    let without = |(key, answer): (&(u16, String), &Vec<u8>)| {
        let its = |at| answer.iter().copied().skip(at);
        // The status comes first in an answer.
        let answer = match key.1.as_str() {
            DESIGNATORS => of_the_lun(answer),
            // A header of 4, and the descriptor of the group before its ports.
            PORT_GROUPS => its(0).take(1 + 4 + 8).collect(),
            // The maximum transfer length is in bytes 8 to 11. The zeros in its place keep
            // the other bytes where they are: an error names them.
            LIMITS => its(0).take(1 + 8).chain([0; 4]).chain(its(1 + 12)).collect(),
            _ => answer.clone(),
        };
        (key.clone(), answer)
    };
    look.iter().map(without).collect()
}

/// Returns an answer with the status and those designators that are the LUN's own (SPC-4
/// 7.8.6: the association in bits 4 and 5 of a designator's second byte is 0). LIO says
/// that the page is longer than it is, and zeros follow: they are no designators.
fn of_the_lun(answer: &[u8]) -> Vec<u8> {
    const HEADER: usize = 1 + 4;
    let mut own = answer.iter().copied().take(1).collect::<Vec<_>>();
    let mut rest = answer.get(HEADER..).unwrap_or_default();
    while let [_, kind, _, length, ..] = rest {
        let (one, more) = rest.split_at(rest.len().min(4 + usize::from(*length)));
        if kind & 0x30 == 0 && *length > 0 {
            own.extend(one);
        }
        rest = more;
    }
    own
}

/// Returns whether a byte of an answer may differ. These are the state of a target port
/// group, and how it came to be (SPC-4 6.37, bytes 0 and 5 of the descriptor, after a
/// header of 4). There is only one such group.
fn is_volatile(what: &str, at: usize) -> bool {
    what == PORT_GROUPS && matches!(at, 4 | 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(answers: &[(&str, &[u8])]) -> Look {
        answers
            .iter()
            .map(|(what, bytes)| ((1, (*what).into()), bytes.to_vec()))
            .collect()
    }

    #[test]
    fn a_difference_says_where_it_is_and_what_it_was() {
        let before = look(&[("INQUIRY", &[0, 7, 8]), ("VPD page 0xb2", &[0, 1])]);
        let after = look(&[("INQUIRY", &[0, 7, 9, 1]), ("VPD page 0xb3", &[0, 1])]);
        assert_eq!(differences(&before, &before), [""; 0]);
        assert_eq!(
            differences(&before, &after),
            [
                "LUN 1, INQUIRY, byte 1: 0x08, then 0x09",
                "LUN 1, INQUIRY, byte 2: nothing, then 0x01",
                "LUN 1, VPD page 0xb2: is not listed any more",
                "LUN 1, VPD page 0xb3: was not listed",
            ]
        );
    }

    #[test]
    fn what_the_standard_makes_volatile_is_no_difference() {
        let ports = |bytes: &[u8]| look(&[("REPORT TARGET PORT GROUPS", bytes)]);
        let before = ports(&[0, 0, 0, 0, 12, 0, 0xc7, 0, 0, 0, 0, 0, 1]);
        let after = ports(&[0, 0, 0, 0, 12, 0x0f, 0xc7, 0, 0, 0, 2, 0, 1]);
        assert_eq!(differences(&before, &after), [""; 0]);
        let other = ports(&[0, 0, 0, 0, 12, 0, 0xc7, 0, 1, 0, 0, 0, 1]);
        assert_eq!(differences(&before, &other).len(), 1);
    }

    #[test]
    fn a_port_may_have_another_name_number_and_limit() {
        let answers = |lun: u8, port: u8| {
            let (header, own) = ([0, 0, 0x83, 0, 11], [1, 3, 0, 1, lun]);
            let zeros = vec![0; 4 * usize::from(port)];
            let own = [&header[..], &own, &[1, 0x14, 0, 1, port], &zeros];
            let group = [0, 0, 0, 0, 12, 0, 0xc7, 0, 0, 0, 0, 0, 1, 0, 0, 0, port];
            let limits = [0, 0, 0xb0, 0, 60, 0, 0, 0, 8, 0, 0, port, 0, 0, 0, 0, lun];
            without_ports(&look(&[
                (DESIGNATORS, &own.concat()),
                (PORT_GROUPS, &group),
                (LIMITS, &limits),
            ]))
        };
        assert_eq!(differences(&answers(7, 1), &answers(7, 2)), [""; 0]);
        assert_eq!(
            differences(&answers(7, 1), &answers(8, 2)),
            [
                "LUN 1, VPD page 0x83, byte 4: 0x07, then 0x08",
                "LUN 1, VPD page 0xb0, byte 15: 0x07, then 0x08",
            ]
        );
    }
}
