//! Reading a group's configuration: every parameter is judged, and all that is wrong is said
//! at once.

use super::group::{
    DiskSpec, DriverChoice, Group, GroupError, LUN_MAX, LinkLoss, Ownership, PortSpec,
    Preserve, Slot,
};
use crate::config::params::{self, VPORT};
use crate::text::quoted;
use crate::wwn::Wwn;
use std::collections::BTreeMap;
use std::fmt;

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
        once("disks", "LUN", disks.iter().filter_map(|d| d.slot.lun()), &mut faults);
        once("disks", "device", disks.iter().map(|d| &d.device), &mut faults);
        if state.len() > 1 {
            faults.push("state: more than one device given".into());
        }
        for disk in disks.iter().filter(|disk| state.contains(&disk.device)) {
            faults.push(format!("state: {} is {} already", disk.device, disk.slot));
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
    Ok(DiskSpec { slot: Slot::Lun(lun), device: device.parse()? })
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
        assert_eq!(group.luns().collect::<Vec<_>>(), [0, 7]);
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
