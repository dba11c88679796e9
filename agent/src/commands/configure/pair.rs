//! The configuration of the cluster for a pair of groups.

use std::collections::BTreeSet;

use understudy_core::config::group::Group;
use understudy_core::config::params::VPORT;
use understudy_core::text::quoted;

use super::file::{Fabrics, File, Item};
use crate::cluster;

/// The configuration to give to the cluster.
#[derive(Debug)]
pub struct Plan {
    /// Seconds after which groups come home by themselves.
    pub giveback: Option<u32>,
    /// A resource for each group.
    pub groups: Vec<Primitive>,
}

/// A group's resource and its places.
#[derive(Debug)]
pub struct Primitive {
    /// The resource's id.
    pub id: String,
    /// Names and values of the parameters, in the order of the parameters' table.
    pub parameters: Vec<(&'static str, String)>,
    /// The resource's operations.
    pub operations: Vec<Operation>,
    /// How much the group counts where two nodes fence each other.
    pub priority: u32,
    /// The node that the group belongs to.
    pub home: String,
    /// What speaks for a node. Each entry counts by itself: a port online in one of the
    /// entry's fabrics, which are given by the node attributes that count their ports.
    pub online: Vec<Vec<String>>,
}

/// An operation; times in seconds.
#[derive(Debug, PartialEq, Eq)]
pub struct Operation {
    /// The operation's OCF name.
    pub name: &'static str,
    /// How often the operation recurs; 0 for one that does not.
    pub interval: u32,
    /// How long the operation may take.
    pub timeout: u32,
    /// How closely a monitor looks.
    pub level: u32,
}

/// The stickiness. It keeps a group where it is when its home comes back.
pub const STICKINESS: u32 = 1000;
/// Name and value of the option by which the cluster forgets a group's failures and tries
/// the group again, as after a site's loss of power, where nodes boot sooner than disks
/// come. It is more than any action may take: the start of 1024 LUNs has 124 s.
pub const RETRY: (&str, &str) = ("failure-timeout", "180s");
/// How much a group prefers its home: less than it prefers to stay.
pub const HOME: u32 = 100;
/// How much a group prefers a node with a port online: more than it prefers to stay.
pub const ONLINE: u32 = 2000;

/// How much more a group prefers its home, once it may come home by itself. Together with
/// [`HOME`] this is more than it prefers to stay, and less than it prefers a port online.
pub const MAY_COME: u32 = 1500;

/// Name and value of the cluster's property that decides a split. If two nodes fence each
/// other, the one that serves more is shot later, so one node is left. The delay applies
/// in a split only: a node whose stop has failed is fenced at once.
pub const SPLIT: (&str, &str) = ("priority-fencing-delay", "8s");
/// How much a group counts in a split ([`SPLIT`]). The first group counts one more, so
/// that no two nodes weigh the same, whatever they serve.
const PRIORITY: u32 = 10;

/// The reminder that `configure` prints in every format.
pub const FENCING: &str =
    "Fencing must be configured and tried: without it nothing here is safe.";
/// The monitor of `fcport`: how often it looks at the physical ports.
pub const WATCH: Operation =
    Operation { name: "monitor", interval: 5, timeout: 20, level: 0 };

/// Returns the plan for a file with this text.
///
/// # Errors
/// Everything that is wrong with the file, each fault in words.
pub fn read(text: &str) -> Result<Plan, Vec<String>> {
    let file = File::read(text).map_err(|fault| vec![fault])?;
    let mut faults = Vec::new();
    let mut groups = Vec::new();
    let mut seen = BTreeSet::new();
    for item in &file.group {
        match primitive(item, &file.initiators) {
            Ok((group, primitive)) => {
                let mut once = |what: &str, value: String| {
                    if !seen.insert(format!("{what} {value}")) {
                        faults.push(format!("{}: another has {what} {value}", item.name));
                    }
                };
                once("the name", group.name.clone());
                once("the node name", group.wwnn.to_string());
                group.ports.iter().for_each(|p| once("the port", p.wwpn.to_string()));
                let disks = group.disks.iter().map(|disk| &disk.device);
                disks.chain(&group.state).for_each(|d| once("the disk", d.to_string()));
                groups.push(primitive);
            }
            Err(fault) => faults.push(fault),
        }
    }
    if file.group.is_empty() {
        faults.push("it has no [[group]]".into());
    }
    if let Some(first) = groups.first_mut() {
        first.priority += 1;
    }
    let plan = Plan { giveback: file.giveback, groups };
    if faults.is_empty() { Ok(plan) } else { Err(faults) }
}

fn primitive(item: &Item, initiators: &[String]) -> Result<(Group, Primitive), String> {
    let name = &item.name;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    // The name becomes an id in XML, and a word in a shell's command.
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !begins || !name.chars().all(plain) {
        return Err(format!("{} is no name for a resource", quoted(name)));
    }
    let (values, mut faults) = item.values(initiators);
    let home = values.get("home").cloned().unwrap_or_default();
    if home.is_empty() || !home.chars().all(plain) {
        faults.push(format!("{} is no node's name", quoted(&home)));
    }
    let group = Group::parse(name, |param| values.get(param).cloned());
    let group = group.map_err(|error| faults.push(error.to_string())).ok();
    let Some(group) = group.filter(|_| faults.is_empty()) else {
        return Err(format!("{name}: {}", faults.join("; ")));
    };
    let parameters = VPORT.iter().filter_map(|p| Some((p.name, values.get(p.name)?)));
    // Each port's fabric is a set of names: any of them means that fabric.
    let named =
        group.ports.iter().map(|port| &port.fabrics).filter(|its| !its.is_empty());
    let fabrics: BTreeSet<BTreeSet<_>> =
        named.map(|its| its.iter().copied().collect()).collect();
    let counted = |its: BTreeSet<_>| its.into_iter().map(cluster::ports_in).collect();
    let mut online: Vec<Vec<String>> = fabrics.into_iter().map(counted).collect();
    if online.is_empty() {
        online.push(vec![cluster::PORTS.into()]);
    }
    if item.fabrics == Fabrics::Any {
        online = vec![online.concat()];
    }
    let primitive = Primitive {
        id: name.clone(),
        parameters: parameters.map(|(name, value)| (name, value.clone())).collect(),
        operations: operations(group.disks.len()),
        priority: PRIORITY,
        home,
        online,
    };
    Ok((group, primitive))
}

/// Returns the id of a group's rule about ports online.
pub fn rule_id(group: &str, attributes: &[String]) -> String {
    match attributes {
        [one] => format!("{group}-{one}"),
        _ => format!("{group}-{}", cluster::PORTS),
    }
}

/// Seconds that a stop may take. Together with the fence and the start that follow a
/// failed stop, this is less than the 60 seconds after which a Linux initiator gives a
/// port up (`dev_loss_tmo`).
const STOP: u32 = 25;

/// Returns the operations of a group with this many LUNs. A start or a stop with a
/// thousand LUNs takes seconds; the rest of its time is for slow disks, and to undo.
pub fn operations(luns: usize) -> Vec<Operation> {
    let luns = u32::try_from(luns).unwrap_or(u32::MAX);
    let start = 60 + luns / 16;
    let once = |name, timeout| Operation { name, interval: 0, timeout, level: 0 };
    let monitor = |interval, timeout, level| Operation {
        name: "monitor",
        interval,
        timeout: timeout + luns / 64,
        level,
    };
    vec![
        once("start", start),
        once("stop", STOP + luns / 64),
        once("reload-agent", start),
        monitor(10, 30, 0),
        monitor(61, 40, 10),
    ]
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub const PAIR: &str = r#"
        initiators = ["20:00:52:54:00:75:03:01"]

        [[group]]
        name = "group-a"
        home = "array-a"
        wwnn = "20:00:75:64:00:00:00:0a"
        ports = ["20:01:75:64:00:00:00:0a"]
        disks = ["0=naa.600140575de500000000000000000001", "1=/dev/disk/by-id/a'b"]

        [[group]]
        name = "group-b"
        home = "array-b"
        wwnn = "20:00:75:64:00:00:00:0b"
        ports = ["20:01:75:64:00:00:00:0b@10:00:00:00:00:00:00:01"]
        disks = ["0=naa.600140575de500000000000000000005"]
    "#;

    #[test]
    fn a_pair_is_read() {
        let plan = read(PAIR).unwrap();
        let [a, b] = plan.groups.as_slice() else { panic!("{plan:?}") };
        assert_eq!((a.id.as_str(), a.home.as_str()), ("group-a", "array-a"));
        assert_eq!(a.online, [["fcport"]]);
        assert_eq!(b.online, [["fcport-1000000000000001"]]);
        assert!(b.parameters.contains(&("initiators", "20:00:52:54:00:75:03:01".into())));
        assert_eq!((a.priority, b.priority), (11, 10));
        assert!(a.parameters.contains(&("link_loss", "degraded".into())));
    }

    #[test]
    fn a_fabric_of_two_names_is_one_fabric() {
        let names = ["10:00:00:05:aa:00:00:01", "10:00:00:05:aa:00:00:02"];
        let attributes = names.map(|name| cluster::ports_in(name.parse().unwrap()));
        let text = PAIR.replacen("0a\"]", &format!("0a@{}\"]", names.join("|")), 1);
        assert_ne!(text, PAIR);
        assert_eq!(read(&text).unwrap().groups[0].online, [attributes]);
    }

    #[test]
    fn each_fabric_counts_or_any_does() {
        let port = |n| format!("20:0{n}:75:64:00:00:00:0b@10:00:00:00:00:00:00:0{n}");
        let two = PAIR.replace(&port(1), &[port(1), port(2)].join("\", \""));
        let online = |text: &str| read(text).unwrap().groups.remove(1).online;
        let (one, other) = ("fcport-1000000000000001", "fcport-1000000000000002");
        assert_eq!(online(&two), [[one], [other]]);
        assert_eq!(online(&format!("{two}\nfabrics = \"any\"")), [[one, other]]);
    }

    #[test]
    fn everything_that_is_wrong_is_said() {
        let faults = |from: &str, to: &str| {
            assert!(PAIR.contains(from), "{from}");
            read(&PAIR.replace(from, to)).unwrap_err().join("\n")
        };
        assert!(faults("name = \"group-a\"", "name = \"a b\"").contains("'a b' is no"));
        assert!(faults("\"array-b\"", "\"\"").contains("is no node's name"));
        assert!(faults(":0b\"", ":0a\"").contains("another has the node name"));
        assert!(faults("000005", "000001").contains("another has the disk"));
        let state = "home = \"array-b\"\nstate = \"/dev/disk/by-id/a'b\"";
        assert!(faults("home = \"array-b\"", state).contains("another has the disk"));
        assert!(faults("0=naa", "naa").contains("group-a: disks:"));
        assert!(faults("home", "hom").contains("there is no parameter 'hom'"));
        assert!(faults("[\"0=naa", "[7, \"0=naa").contains("expected a list of texts"));
        assert!(
            faults("\"array-b\"", "7").contains("home: found integer, expected a text")
        );
        assert_eq!(faults("[[group]]", "[[grou]]").lines().count(), 1);
    }

    #[test]
    fn more_luns_get_more_time() {
        let of = |luns, name: &str| {
            let all = operations(luns).into_iter();
            all.filter(|o| o.name == name).map(|o| o.timeout).collect::<Vec<_>>()
        };
        assert_eq!((of(4, "start"), of(1024, "start")), (vec![60], vec![124]));
        assert_eq!((of(4, "stop"), of(1024, "stop")), (vec![25], vec![41]));
        assert_eq!((of(4, "monitor"), of(1024, "monitor")), (vec![30, 40], vec![46, 56]));
    }
}
