//! A takeover group: the unit that moves from node to node.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::params::{self, VPORT};
use crate::text::quoted;
use crate::wwn::Wwn;

/// A virtual port of a group, as configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSpec {
    /// The port name that initiators know.
    pub wwpn: Wwn,
    /// The fabric that the port must appear in, by any of its names; empty for any
    /// fabric. A fabric may have several names, because a port knows it by the switch
    /// next to it.
    pub fabrics: Vec<Wwn>,
}

impl PortSpec {
    /// Returns whether the port may appear in a fabric.
    pub fn goes_to(&self, fabric: Wwn) -> bool {
        self.fabrics.is_empty() || self.fabrics.contains(&fabric)
    }

    /// Returns the names of the port's fabric, for people: `A or B`.
    pub fn fabrics_in_words(&self) -> String {
        let names: Vec<_> = self.fabrics.iter().map(Wwn::to_string).collect();
        names.join(" or ")
    }
}

/// A disk of a group, as configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskSpec {
    /// The LUN number, 0 to 16383: what fits beside an address method (SAM-5 4.7). LIO
    /// sends the number without an address method (`int_to_scsilun`).
    pub lun: u16,
    /// How the configuration names the disk.
    pub device: DeviceName,
}

/// How a disk is named in the configuration: the same on every node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceName {
    /// A path under /dev that survives a reboot.
    Path(PathBuf),
    /// The world-wide identifier that the device reports, such as `naa.6001405...`.
    Wwid(String),
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Wwid(wwid) => f.write_str(wwid),
        }
    }
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(inside) = text.strip_prefix("/dev/") {
            let steps_out = inside.split('/').any(|part| matches!(part, "" | "." | ".."));
            // The backing path is written into LIO's `control`, where a comma ends it.
            let ends = |c: char| matches!(c, ',' | '\\') || c.is_control();
            if steps_out || text.len() > 255 || text.contains(ends) {
                return Err(format!("{} is not a plain path under /dev", quoted(text)));
            }
            if volatile(inside) {
                return Err(format!(
                    "'{text}' may name another disk after a reboot, or on the partner; use \
                     its path under /dev/disk/by-id or its WWID"
                ));
            }
            return Ok(Self::Path(text.into()));
        }
        let plain =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
        if text.len() >= 8 && text.len() <= 128 && text.chars().all(plain) {
            return Ok(Self::Wwid(text.to_owned()));
        }
        Err(format!("{} is neither a path under /dev nor a WWID", quoted(text)))
    }
}

impl TryFrom<String> for DeviceName {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<DeviceName> for String {
    fn from(name: DeviceName) -> Self {
        name.to_string()
    }
}

/// What guarantees that one node owns a group's disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ownership {
    /// SCSI-3 persistent reservations, ours.
    Scsi3Pr,
    /// Something outside (DRBD, say).
    None,
}

/// The LIO driver that serves a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriverChoice {
    /// The LIO driver that belongs to the physical port's driver.
    Auto,
    /// `fc`, for libfc ports.
    TcmFc,
    /// `qla2xxx`.
    Qla2xxx,
}

/// Which of the reservations that initiators make through the group's ports outlive a
/// takeover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preserve {
    /// All of them.
    All,
    /// Only those made with APTPL, by which an initiator asks for this (SPC-4 5.13.5).
    Aptpl,
    /// None.
    None,
}

/// What the loss of a physical port's link means to the groups on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkLoss {
    /// A failure.
    Fail,
    /// No failure: the cluster has rules for it.
    Degraded,
}

/// A takeover group as configured: one WWNN, its ports, disks and initiators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The Pacemaker resource's name.
    pub name: String,
    /// Node name of every port.
    pub wwnn: Wwn,
    /// At least one.
    pub ports: Vec<PortSpec>,
    /// At least one; each LUN number once.
    pub disks: Vec<DiskSpec>,
    /// At least one.
    pub initiators: Vec<Wwn>,
    /// See [`Ownership`].
    pub ownership: Ownership,
    /// The node that the group belongs to, if the configuration says.
    pub home: Option<String>,
    /// See [`DriverChoice`].
    pub driver: DriverChoice,
    /// What a monitor says of a port whose link is lost.
    pub link_loss: LinkLoss,
    /// Whether grace periods are expedited while LUNs come and go.
    pub expedite: bool,
    /// The device on which initiators' reservations are kept; `None` where none are.
    pub state: Option<DeviceName>,
    /// Which of the initiators' reservations are kept.
    pub preserve: Preserve,
}

/// Everything that is wrong with a configuration, not only the first thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct GroupError(pub Vec<String>);

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Of more people read none.
        const TOLD: usize = 8;
        let told: Vec<&str> = self.0.iter().take(TOLD).map(String::as_str).collect();
        f.write_str(&told.join("; "))?;
        match self.0.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// LUN numbers above this need an addressing method that LIO does not decode.
const LUN_MAX: u16 = 16383;
/// The number by which the state device goes among disks: that of no LUN.
pub const STATE: u16 = u16::MAX;

/// Returns what people call a disk: `LUN 3`, or `the state device`.
pub fn title(lun: u16) -> String {
    if lun == STATE { "the state device".into() } else { format!("LUN {lun}") }
}

impl Group {
    /// Reads a group from its parameters.
    ///
    /// `param` returns the value of a parameter of [`VPORT`], `None` where it is not
    /// set. Nothing outside the parameters is looked at, so that the answer is the same
    /// on every node.
    ///
    /// # Errors
    /// Every fault found, each with the parameter and the value.
    pub fn parse(
        name: &str,
        param: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, GroupError> {
        let mut faults = Vec::new();
        let mut value = |name: &str| {
            let Some(spec) = VPORT.iter().find(|p| p.name == name) else {
                return String::new();
            };
            params::value(spec, param(name)).unwrap_or_else(|| {
                faults.push(format!("{name} is not set ({})", spec.short));
                String::new()
            })
        };
        let wwnn = value("wwnn");
        let ports = value("ports");
        let disks = value("disks");
        let initiators = value("initiators");
        let ownership = value("ownership");
        let home = value("home");
        let driver = value("driver");
        let link_loss = value("link_loss");
        let expedite = value("expedite");
        let state = value("state");
        let preserve = value("preserve_reservations");

        let wwnn = in_param("wwnn", &wwnn, &mut faults, |t| Ok(t.parse::<Wwn>()?));
        let ports = in_param("ports", &ports, &mut faults, parse_port);
        let disks = in_param("disks", &disks, &mut faults, parse_disk);
        let initiators =
            in_param("initiators", &initiators, &mut faults, |t| Ok(t.parse::<Wwn>()?));
        let choices = [("scsi3-pr", Ownership::Scsi3Pr), ("none", Ownership::None)];
        let ownership = select("ownership", &ownership, &mut faults, &choices);
        let choices = [
            ("auto", DriverChoice::Auto),
            ("tcm_fc", DriverChoice::TcmFc),
            ("qla2xxx", DriverChoice::Qla2xxx),
        ];
        let driver = select("driver", &driver, &mut faults, &choices);
        let choices = [("fail", LinkLoss::Fail), ("degraded", LinkLoss::Degraded)];
        let link_loss = select("link_loss", &link_loss, &mut faults, &choices);
        let choices = [("yes", true), ("no", false)];
        let expedite = select("expedite", &expedite, &mut faults, &choices);

        let choices = [
            ("all", Preserve::All),
            ("aptpl", Preserve::Aptpl),
            ("none", Preserve::None),
        ];
        let preserve = select("preserve_reservations", &preserve, &mut faults, &choices);
        let state = in_param("state", &state, &mut faults, |t| Ok(t.parse()?));

        if wwnn.len() > 1 {
            faults.push("wwnn: more than one name given".into());
        }
        once("ports", "WWPN", ports.iter().map(|p| p.wwpn), &mut faults);
        once("disks", "LUN", disks.iter().map(|d| d.lun), &mut faults);
        once("disks", "device", disks.iter().map(|d| &d.device), &mut faults);
        if state.len() > 1 {
            faults.push("state: more than one device given".into());
        }
        for disk in disks.iter().filter(|disk| state.contains(&disk.device)) {
            faults.push(format!("state: {} is LUN {} already", disk.device, disk.lun));
        }
        once("initiators", "WWPN", initiators.iter().copied(), &mut faults);
        for port in &ports {
            if initiators.contains(&port.wwpn) {
                faults.push(format!("{} is both a port and an initiator", port.wwpn));
            }
        }

        match (wwnn.first(), ownership, driver, link_loss, expedite, preserve) {
            (
                Some(&wwnn),
                Some(ownership),
                Some(driver),
                Some(link_loss),
                Some(expedite),
                Some(preserve),
            ) if faults.is_empty() => {
                let home = Some(home).filter(|h| !h.is_empty());
                Ok(Self {
                    name: name.to_owned(),
                    wwnn,
                    ports,
                    disks,
                    initiators,
                    ownership,
                    home,
                    driver,
                    link_loss,
                    expedite,
                    state: state
                        .into_iter()
                        .next()
                        .filter(|_| preserve != Preserve::None),
                    preserve,
                })
            }
            _ => Err(GroupError(faults)),
        }
    }

    /// Returns every disk that is owned: the LUNs', then the state device.
    pub fn all_disks(&self) -> Vec<DiskSpec> {
        let state = self.state.clone().map(|device| DiskSpec { lun: STATE, device });
        self.disks.iter().cloned().chain(state).collect()
    }

    /// Returns whether the group is at home on this node.
    pub fn is_native(&self, node: &str) -> bool {
        self.home.as_deref().is_some_and(|home| is_same_node(home, node))
    }
}

/// Returns whether two names are of one node: Pacemaker compares them without regard to case
/// (`pcmk__str_casei`).
pub fn is_same_node(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

type Fault = Box<dyn std::error::Error>;

/// Reads each word of a parameter and keeps what is wrong with any of them.
fn in_param<T>(
    name: &str,
    text: &str,
    faults: &mut Vec<String>,
    read: impl Fn(&str) -> Result<T, Fault>,
) -> Vec<T> {
    let mut found = Vec::new();
    for word in text.split_whitespace() {
        match read(word) {
            Ok(value) => found.push(value),
            Err(fault) => faults.push(format!("{name}: {fault}")),
        }
    }
    found
}

/// Reads a parameter that is one of a few words.
fn select<T: Copy>(
    name: &str,
    text: &str,
    faults: &mut Vec<String>,
    choices: &[(&str, T)],
) -> Option<T> {
    let chosen = choices.iter().find(|(word, _)| *word == text);
    if chosen.is_none() {
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        let words = match words.as_slice() {
            [one, other] => format!("neither {one} nor {other}"),
            words => format!("none of {}", words.join(", ")),
        };
        faults.push(format!("{name}: {} is {words}", quoted(text)));
    }
    chosen.map(|(_, value)| *value)
}

fn once<T: Ord + fmt::Display>(
    param: &str,
    what: &str,
    values: impl Iterator<Item = T>,
    faults: &mut Vec<String>,
) {
    let mut times = BTreeMap::new();
    for value in values {
        *times.entry(value).or_insert(0) += 1;
    }
    for (value, _) in times.iter().filter(|(_, times)| **times > 1) {
        faults.push(format!("{param}: {what} {value} is given twice"));
    }
}

fn parse_port(word: &str) -> Result<PortSpec, Fault> {
    let (wwpn, fabrics) = match word.split_once('@') {
        Some((wwpn, fabrics)) => {
            (wwpn, fabrics.split('|').map(str::parse).collect::<Result<_, _>>()?)
        }
        None => (word, Vec::new()),
    };
    Ok(PortSpec { wwpn: wwpn.parse()?, fabrics })
}

fn parse_disk(word: &str) -> Result<DiskSpec, Fault> {
    let (lun, device) = word.split_once('=').ok_or_else(|| {
        let word = quoted(word);
        format!("{word} is not LUN=DEVICE, for instance 0=/dev/disk/by-id/wwn-0x6001")
    })?;
    let lun = lun.parse::<u16>().ok().filter(|lun| *lun <= LUN_MAX).ok_or_else(|| {
        let (lun, word) = (quoted(lun), quoted(word));
        format!("{lun} in {word} is not a LUN number from 0 to {LUN_MAX}")
    })?;
    Ok(DiskSpec { lun, device: device.parse()? })
}

/// Returns whether a name under /dev is given out by the kernel, or by a program of one node
/// alone, in the order of discovery: after a boot, or on the partner, it may be another
/// disk. Names that are made of what initiators wrote are no better.
fn volatile(name: &str) -> bool {
    const NUMBERED: [&str; 11] = [
        "nvme", "dm-", "md", "zd", "rbd", "nbd", "loop", "ram", "zram", "mmcblk", "pmem",
    ];
    const LETTERED: [&str; 5] = ["sd", "vd", "hd", "xvd", "emcpower"];
    const FOLDERS: [&str; 4] =
        ["block/", "disk/by-diskseq/", "disk/by-label/", "disk/by-uuid/"];
    let rest = |prefix: &&str| name.strip_prefix(*prefix);
    let numbered = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    let lettered =
        |rest: &str| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric());
    NUMBERED.iter().filter_map(rest).any(numbered)
        || LETTERED.iter().filter_map(rest).any(lettered)
        || FOLDERS.iter().filter_map(rest).next().is_some()
}

impl DeviceName {
    /// Returns why another disk may have this name on another node, or at another time.
    /// Nothing is returned for a name that only its disk can have.
    #[must_use]
    pub fn doubt(&self) -> Option<&'static str> {
        let Self::Path(path) = self else { return None };
        let text = path.to_str()?.strip_prefix("/dev/")?;
        let friendly = |name: &str| {
            let letters = name.strip_prefix("mpath");
            letters.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_lowercase()))
        };
        if text.starts_with("disk/by-path/") {
            return Some("it names a place, and any disk may be there");
        }
        text.strip_prefix("mapper/")
            .is_some_and(friendly)
            .then_some("each node's multipath deals such names out by itself")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn good(name: &str) -> Option<String> {
        let value = match name {
            "wwnn" => "20:00:00:25:b5:00:00:0a",
            "ports" => "20:01:00:25:b5:00:00:0a@10:00:00:00:00:00:00:01",
            "disks" => "0=/dev/disk/by-id/wwn-0x60014051 7=naa.60014050000000002",
            "initiators" => "21:00:00:24:ff:00:00:01 0x21000024ff000002",
            _ => return None,
        };
        Some(value.to_owned())
    }

    fn with(name: &'static str, value: &'static str) -> Result<Group, GroupError> {
        Group::parse("g", |p| if p == name { Some(value.into()) } else { good(p) })
    }

    #[test]
    fn a_whole_group_is_read() {
        let group = Group::parse("g", good).unwrap();
        assert_eq!(group.ports.len(), 1);
        assert_eq!(group.ports[0].fabrics.len(), 1);
        assert_eq!(group.disks.iter().map(|d| d.lun).collect::<Vec<_>>(), [0, 7]);
        assert_eq!(group.initiators.len(), 2);
        assert_eq!(group.ownership, Ownership::Scsi3Pr);
        assert_eq!(group.driver, DriverChoice::Auto);
        assert_eq!(group.home, None);
        assert!(!group.is_native("a"));
        let group = Group { home: Some("Array-A".into()), ..group };
        assert!(group.is_native("array-a") && !group.is_native("array-b"));
    }

    #[test]
    fn each_fault_is_named() {
        for (param, value, want) in [
            ("wwnn", "20:00", "wwnn: '20:00' is not a WWN"),
            ("wwnn", "", "wwnn is not set"),
            ("ports", "xyz", "ports: 'xyz' is not a WWN"),
            ("ports", "2001002500000001 2001002500000001", "given twice"),
            ("ports", "2001002500000001@x", "'x' is not a WWN"),
            ("ports", "21:00:00:24:ff:00:00:01", "both a port and an initiator"),
            ("disks", "0=/dev/disk/by-id/a 0=/dev/disk/by-id/b", "LUN 0 is given twice"),
            ("disks", "0=/dev/disk/by-id/a 1=/dev/disk/by-id/a", "given twice"),
            ("disks", "x=/dev/disk/by-id/a", "'x' in"),
            ("disks", "16384=/dev/disk/by-id/a", "from 0 to 16383"),
            ("disks", "/dev/disk/by-id/a", "not LUN=DEVICE"),
            ("disks", "0=/dev/sda", "after a reboot"),
            ("disks", "0=/dev/zd16", "after a reboot"),
            ("disks", "0=/dev/emcpowera", "after a reboot"),
            ("disks", "0=/dev/xvdb", "after a reboot"),
            ("disks", "0=/dev/md127", "after a reboot"),
            ("disks", "0=/dev/rbd0", "after a reboot"),
            ("disks", "0=/dev/nbd0", "after a reboot"),
            ("disks", "0=/dev/loop0", "after a reboot"),
            ("disks", "0=/dev/block/8:16", "after a reboot"),
            ("disks", "0=/dev/disk/by-diskseq/9", "after a reboot"),
            ("disks", "0=/dev/disk/by-uuid/0a-1b", "after a reboot"),
            ("disks", "0=/dev/../etc/passwd", "not a plain path"),
            ("disks", "0=/dev/a,readonly=1", "not a plain path"),
            ("disks", "0=/dev/a\u{1b}[2J", "'/dev/a\u{fffd}[2J' is not a plain path"),
            ("disks", "0=/etc/passwd", "neither a path under /dev nor a WWID"),
            ("ownership", "mine", "neither scsi3-pr nor none"),
            ("driver", "lpfc", "none of auto, tcm_fc, qla2xxx"),
            ("link_loss", "ignore", "neither fail nor degraded"),
            ("expedite", "1", "'1' is neither yes nor no"),
            ("expedite", "yes no", "'yes no' is neither yes nor no"),
            ("preserve_reservations", "some", "none of all, aptpl, none"),
            ("state", "/dev/sdc", "after a reboot"),
            ("state", "/dev/mapper/x /dev/mapper/y", "more than one device"),
            ("state", "/dev/disk/by-id/wwn-0x60014051", "is LUN 0 already"),
        ] {
            let error = with(param, value).unwrap_err().to_string();
            assert!(error.contains(want), "{param}={value}: {error}");
        }
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let error = Group::parse("g", |_| None).unwrap_err();
        assert_eq!(error.0.len(), 4, "{error}");
    }

    /// An exit reason is a line that people read.
    #[test]
    fn many_faults_and_long_words_make_no_page() {
        let words = ["x".repeat(9000), "y ".repeat(9000)].join(" ");
        let error = Group::parse("g", |_| Some(words.clone())).unwrap_err();
        let line = error.to_string();
        assert!(line.len() < 2000 && line.ends_with("; and 45002 more"), "{line}");
    }

    proptest! {
        #[test]
        fn no_text_panics(which in 0..VPORT.len(), text in ".*") {
            let name = VPORT[which].name;
            let _ = Group::parse("g", |p| {
                if p == name { Some(text.clone()) } else { good(p) }
            });
        }
    }
}
