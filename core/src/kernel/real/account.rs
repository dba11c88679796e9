//! Keeps the account of commands ([`crate::kernel::account`]), in one table of nftables
//! for each network interface.
//!
//! A set of the open exchanges would tell more, but cannot be kept. The kernel forgets an
//! element that a rule has deleted only a second later. An initiator reuses a few
//! numbers, and after some sixteen uses of one within that second the next is not counted
//! (`RHT_ELASTICITY`).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::nft;
use crate::kernel::account::{Account, Commands};
use crate::kernel::op::{Done, Op};
use crate::kernel::{Cause, KernelError};
use crate::wwn::Wwn;

/// Begins the account of an interface, or goes on with it, for a port that is about to
/// appear. Frames leave by the interface `out`, which differs from `link` if that is a
/// VLAN.
pub(crate) fn begin(
    link: &str,
    out: &str,
    wwpn: Wwn,
    op: &Op,
) -> Result<Done, KernelError> {
    nft::change(&begun(link, out, wwpn), op)
}

/// Removes a port that has gone from an account. The account ends with its last port.
pub(crate) fn end(
    link: &str,
    wwpn: Wwn,
    fcid: u32,
    op: &Op,
) -> Result<Done, KernelError> {
    let Ok(now) = read(link, op) else { return Ok(Done::Unchanged) };
    nft::change(&ended(link, wwpn, fcid, &now), op)
}

/// Reads the account of an interface. The set of commands that came is read last, so a
/// command that comes meanwhile counts as not answered.
pub(crate) fn read(link: &str, op: &Op) -> Result<Account, KernelError> {
    let table = table(link);
    let list = |kind: &str, name: &str| {
        let what = serde_json::json!({"family": "netdev", "table": table, "name": name});
        serde_json::json!({"list": {kind: what}})
    };
    let questions = serde_json::json!({"nftables": [
        list("set", PORTS), list("set", ANSWERED), list("set", ABORTED), list("set", CAME),
        list("counter", MISSED),
    ]});
    let answers = nft::ask(&questions.to_string(), op)?;
    parse(&answers).map_err(|error| op.failed(Cause::Device(format!("nft: {error}"))))
}

const PORTS: &str = "ports";

const CAME: &str = "came";

const ANSWERED: &str = "answered";

const ABORTED: &str = "aborted";

const MISSED: &str = "missed";

/// Returns the name of an interface's table. An interface's name may have an `@`, a
/// table's may not.
fn table(link: &str) -> String {
    format!("understudy_{}", link.replace('@', "/"))
}

/// Returns the script that begins an account, or goes on with it. It replaces the rules
/// in one transaction, so that no frame passes uncounted.
///
/// Offsets are in bits from the start of the frame. In bytes the protocol is at 12, R_CTL
/// at 28, D_ID at 29, S_ID at 33. In a frame that leaves, nftables find these fields in
/// the network header (`fcoe_xmit`, drivers/scsi/fcoe/fcoe.c).
fn begun(link: &str, out: &str, wwpn: Wwn) -> String {
    const PAIRS: &str = "typeof @ll,232,24 . @ll,264,24; flags dynamic; size 65535";
    const COMMAND: &str = "@ll,96,16 0x8906 @ll,224,8 0x06";
    const ITS_PAIR: &str = "@ll,232,24 . @ll,264,24";
    const RESPONSE: &str = "@nh,96,16 0x8906 @nh,224,8 0x07";
    const ABORT: &str = "@nh,96,16 0x8906 @nh,224,8 0x84";
    const OUR_PAIR: &str = "@nh,264,24 . @nh,232,24";
    let (table, port) = (table(link), element(wwpn));
    format!(
        "table netdev {table} {{
             set {PORTS} {{ typeof @ll,0,32 . @ll,32,32; }}
             set {ANSWERED} {{ {PAIRS}; }}
             set {ABORTED} {{ {PAIRS}; }}
             set {CAME} {{ {PAIRS}; }}
             counter {MISSED} {{ }}
             chain arriving {{ type filter hook ingress device \"{link}\" priority -499; }}
             chain leaving {{ type filter hook egress device \"{out}\" priority 500; }}
         }}
         flush chain netdev {table} arriving
         flush chain netdev {table} leaving
         add rule netdev {table} arriving {COMMAND} add @{CAME} {{ {ITS_PAIR} counter }} accept
         add rule netdev {table} arriving {COMMAND} counter name {MISSED}
         add rule netdev {table} leaving {RESPONSE} add @{ANSWERED} {{ {OUR_PAIR} counter }}
         add rule netdev {table} leaving {ABORT} add @{ABORTED} {{ {OUR_PAIR} counter }}
         add element netdev {table} {PORTS} {{ {port} }}"
    )
}

/// Returns the script that removes a port from an account. It adds each element before it
/// deletes it, because deleting an element that does not exist is an error.
fn ended(link: &str, wwpn: Wwn, fcid: u32, now: &Account) -> String {
    let table = table(link);
    if now.ports.iter().all(|port| *port == wwpn) {
        return format!("table netdev {table}\ndelete table netdev {table}");
    }
    let mut elements = vec![(PORTS, element(wwpn))];
    for commands in now.commands.iter().filter(|commands| commands.target == fcid) {
        let pair = format!("{:#x} . {:#x}", commands.target, commands.initiator);
        elements.extend([CAME, ANSWERED, ABORTED].map(|set| (set, pair.clone())));
    }
    let gone = elements.into_iter().map(|(set, element)| {
        let what = format!("element netdev {table} {set} {{ {element} }}");
        format!("add {what}\ndelete {what}\n")
    });
    gone.collect()
}

/// Returns a port's name as an element of the set of ports. It has two halves, because
/// JSON would show a large name as a negative number.
fn element(wwpn: Wwn) -> String {
    let value = wwpn.value();
    format!("{:#x} . {:#x}", value >> 32, value & 0xffff_ffff)
}

#[derive(Deserialize)]
struct Answer {
    nftables: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    set: Option<Set>,
    counter: Option<Counter>,
}

#[derive(Deserialize)]
struct Set {
    name: String,
    #[serde(default)]
    elem: Vec<Element>,
}

/// An element of a set, with or without its counter.
#[derive(Deserialize)]
#[serde(untagged)]
enum Element {
    Alone { concat: Vec<u64> },
    Counted { elem: Pair },
}

#[derive(Deserialize)]
struct Pair {
    val: Concat,
    counter: Counter,
}

#[derive(Deserialize)]
struct Concat {
    concat: Vec<u64>,
}

#[derive(Deserialize)]
struct Counter {
    packets: u64,
}

/// Parses the answers to the questions of [`read`]. None may be missing.
fn parse(answers: &str) -> Result<Account, String> {
    let (mut sets, mut counters) = (Vec::new(), Vec::new());
    for answer in serde_json::Deserializer::from_str(answers).into_iter::<Answer>() {
        for listed in answer.map_err(|error| error.to_string())?.nftables {
            sets.extend(listed.set);
            counters.extend(listed.counter);
        }
    }
    let of = |name: &str| {
        let set = sets.iter().find(|set| set.name == name);
        set.map(|set| set.elem.as_slice()).ok_or_else(|| format!("no set {name}"))
    };
    let unknown = || "an element of another form".to_owned();
    let port = |element: &Element| match element {
        Element::Alone { concat } => match *concat.as_slice() {
            [high, low] if low >> 32 == 0 => Wwn::new(high << 32 | low),
            _ => None,
        },
        Element::Counted { .. } => None,
    };
    let ports = of(PORTS)?.iter().map(|element| port(element).ok_or_else(unknown));
    let ports = ports.collect::<Result<_, _>>()?;
    let pair = |element: &Element| match element {
        Element::Counted { elem } => match *elem.val.concat.as_slice() {
            [target, initiator] => {
                let target: u32 = target.try_into().ok()?;
                Some(((target, initiator.try_into().ok()?), elem.counter.packets))
            }
            _ => None,
        },
        Element::Alone { .. } => None,
    };
    // Each pair of addresses is an element of up to three sets, one for each count.
    let mut commands: BTreeMap<(u32, u32), Commands> = BTreeMap::new();
    type Count = fn(&mut Commands) -> &mut u64;
    let counts: [(&str, Count); 3] = [
        (CAME, |its| &mut its.came),
        (ANSWERED, |its| &mut its.answered),
        (ABORTED, |its| &mut its.aborted),
    ];
    for (name, count) in counts {
        for element in of(name)? {
            let ((target, initiator), packets) = pair(element).ok_or_else(unknown)?;
            let its = commands.entry((target, initiator)).or_default();
            (its.target, its.initiator) = (target, initiator);
            *count(its) = packets;
        }
    }
    let missed = counters.first().ok_or("no counter")?.packets;
    Ok(Account { ports, commands: commands.into_values().collect(), missed })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wwn(text: &str) -> Wwn {
        text.parse().unwrap()
    }

    /// An answer of nft 1.1.3.
    const ANSWERS: &str = r#"
        {"nftables": [{"metainfo": {"version": "1.1.3", "json_schema_version": 1}},
            {"set": {"family": "netdev", "name": "ports", "table": "understudy_fc0",
                "type": {"typeof": {"concat": [{"payload": {"base": "ll", "offset": 0,
                "len": 32}}]}}, "handle": 4,
                "elem": [{"concat": [3221225472, 4294967295]}]}}]}
        {"nftables": [{"metainfo": {"version": "1.1.3", "json_schema_version": 1}},
            {"set": {"family": "netdev", "name": "answered", "table": "understudy_fc0",
                "elem": [{"elem": {"val": {"concat": [65541, 131078]},
                "counter": {"packets": 7, "bytes": 58}}}]}}]}
        {"nftables": [{"metainfo": {"version": "1.1.3", "json_schema_version": 1}},
            {"set": {"family": "netdev", "name": "aborted", "table": "understudy_fc0"}}]}
        {"nftables": [{"metainfo": {"version": "1.1.3", "json_schema_version": 1}},
            {"set": {"family": "netdev", "name": "came", "table": "understudy_fc0",
                "handle": 5, "size": 65535, "flags": ["dynamic"],
                "elem": [{"elem": {"val": {"concat": [65541, 131078]},
                "counter": {"packets": 9, "bytes": 58}}}]}}]}
        {"nftables": [{"metainfo": {"version": "1.1.3", "json_schema_version": 1}},
            {"counter": {"family": "netdev", "name": "missed", "table": "understudy_fc0",
                "handle": 3, "packets": 2, "bytes": 96}}]}"#;

    #[test]
    fn what_nft_prints_is_read() {
        let (target, initiator) = (0x10005, 0x20006);
        let commands = Commands { target, initiator, came: 9, answered: 7, aborted: 0 };
        assert_eq!(commands.to_string(), "2 of 0x020006 with 0x010005");
        let account = Account {
            ports: [wwn("c0:00:00:00:ff:ff:ff:ff")].into(),
            commands: vec![commands],
            missed: 2,
        };
        assert_eq!(parse(ANSWERS), Ok(account));
    }

    /// Checks that a missing or damaged answer is not taken for an account without open
    /// commands.
    #[test]
    fn a_part_of_the_answers_is_no_account() {
        let lines: Vec<_> = ANSWERS.split("\n        {\"nft").skip(1).collect();
        assert_eq!(lines.len(), 5);
        for missing in 0..lines.len() {
            let rest = lines.iter().enumerate().filter(|(at, _)| *at != missing);
            let rest: String = rest.map(|(_, line)| format!("{{\"nft{line}")).collect();
            assert!(parse(&rest).is_err(), "{rest}");
        }
        for (from, to) in
            [("131078", "5000000000"), ("65541, ", ""), ("[3221225472, ", "[")]
        {
            assert!(ANSWERS.contains(from));
            assert!(parse(&ANSWERS.replace(from, to)).is_err(), "{from}");
        }
        assert!(parse("").is_err());
    }

    #[test]
    fn the_last_port_takes_the_account_with_it() {
        let (a, b) = (wwn("20:01:00:25:b5:00:00:0a"), wwn("20:01:00:25:b5:00:00:0b"));
        let with =
            |target| Commands { target, initiator: 0x20006, ..Commands::default() };
        let commands = vec![with(5), with(6)];
        let mut now = Account { ports: [a, b].into(), commands, missed: 0 };
        let script = ended("eth1", a, 5, &now);
        assert!(!script.contains("delete table"), "{script}");
        let gone = "delete element netdev understudy_eth1";
        assert!(script.contains(&format!("{gone} ports {{ 0x20010025 . 0xb500000a }}")));
        assert!(script.contains(&format!("{gone} came {{ 0x5 . 0x20006 }}")), "{script}");
        assert!(!script.contains("0x6 ."), "{script}");
        now.ports.remove(&b);
        assert!(
            ended("eth1", a, 5, &now).contains("delete table netdev understudy_eth1")
        );
    }
}
