//! The lab's two takeover groups: what the cluster is told of them, and where to find
//! their disks at the initiator.

use std::fmt::Write as _;
use std::time::Duration;

use understudy_fabric::wwn::Wwn;

use crate::cluster::property;
use crate::error::{Error, Result};
use crate::guest::Guest;
use crate::plan::{ARRAYS, HOST, guests};
use crate::shelf::{self, Disk};

/// Seconds that a stop may take: long for a machine, and with the fence after it short
/// of the 60 after which an initiator gives a port up.
const STOP_TIMEOUT: u32 = 25;

/// A takeover group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The Pacemaker resource.
    pub name: &'static str,
    /// The node that it belongs to.
    pub home: &'static str,
    /// The other one.
    pub partner: &'static str,
    letter: char,
}

/// Both groups, each native to one node.
#[must_use]
pub fn groups() -> [Group; 2] {
    let [a, b] = ARRAYS;
    [
        Group { name: "group-a", home: a, partner: b, letter: 'a' },
        Group { name: "group-b", home: b, partner: a, letter: 'b' },
    ]
}

impl Group {
    /// Node name.
    #[must_use]
    pub fn wwnn(&self) -> String {
        format!("20:00:75:64:00:00:00:0{}", self.letter)
    }

    /// The port name that moves.
    #[must_use]
    pub fn wwpn(&self) -> String {
        format!("20:01:75:64:00:00:00:0{}", self.letter)
    }

    /// The port name, as the fabric has it.
    ///
    /// # Errors
    /// Never in practice.
    pub fn port(&self) -> Result<Wwn> {
        self.wwpn().parse().map_err(|_| Error::other("not a WWPN"))
    }

    /// Its disks on the shelf.
    #[must_use]
    pub fn disks(&self) -> Vec<Disk> {
        shelf::group(self.letter)
    }

    /// The resource's parameters.
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let disks = self.disks();
        let disks = disks.iter().zip(0..);
        let disks: Vec<_> = disks
            .map(|(disk, lun)| format!("{lun}={}", disk.device().display()))
            .collect();
        let host = guests().into_iter().find(|guest| guest.name == HOST);
        vec![
            ("wwnn", self.wwnn()),
            ("ports", self.wwpn()),
            ("disks", disks.join(" ")),
            ("initiators", host.map(|host| host.wwpn()).unwrap_or_default()),
            ("home", self.home.to_owned()),
            ("link_loss", "degraded".to_owned()),
        ]
    }

    /// One of them.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.parameters()
            .into_iter()
            .find(|(its, _)| *its == name)
            .map(|(_, value)| value)
    }

    /// The agent's environment for a resource like this one, as assignments for a shell;
    /// `changes` replace parameters, the first of a name counts.
    #[must_use]
    pub fn environment(&self, instance: &str, changes: &[(&str, &str)]) -> String {
        let mut text = format!("OCF_ROOT=/usr/lib/ocf OCF_RESOURCE_INSTANCE={instance}");
        for (name, value) in self.parameters() {
            let changed = changes.iter().find(|(changed, _)| *changed == name);
            let value = changed.map_or(value.as_str(), |(_, value)| value);
            let _ = write!(text, " OCF_RESKEY_{name}='{value}'");
        }
        text
    }

    /// The resource and its place, as CIB elements.
    fn cib(&self) -> (String, String) {
        let id = self.name;
        let mut attributes = String::new();
        for (name, value) in self.parameters() {
            property(&mut attributes, &format!("{id}-attributes"), name, &value);
        }
        let mut operations = String::new();
        for (name, interval, timeout, level) in [
            ("start", 0, 60, 0),
            ("stop", 0, STOP_TIMEOUT, 0),
            ("monitor", 10, 30, 0),
            ("monitor", 31, 40, 10),
        ] {
            let _ = write!(
                operations,
                "<op id=\"{id}-{name}-{interval}\" name=\"{name}\" \
                 interval=\"{interval}s\" timeout=\"{timeout}s\">"
            );
            if level > 0 {
                let set = format!("{id}-{name}-{interval}-attributes");
                let _ = write!(operations, "<instance_attributes id=\"{set}\">");
                property(&mut operations, &set, "OCF_CHECK_LEVEL", &level.to_string());
                operations += "</instance_attributes>";
            }
            operations += "</op>";
        }
        let resource = format!(
            "<primitive id=\"{id}\" class=\"ocf\" provider=\"understudy\" type=\"vport\">\
             <instance_attributes id=\"{id}-attributes\">{attributes}\
             </instance_attributes><operations>{operations}</operations></primitive>"
        );
        // Weaker than the stickiness: a giveback is commanded. Stronger: a lost link.
        let place = format!(
            "<rsc_location id=\"{id}-home\" rsc=\"{id}\" node=\"{}\" score=\"100\"/>\
             <rsc_location id=\"{id}-link\" rsc=\"{id}\">\
             <rule id=\"{id}-link-rule\" score=\"2000\" boolean-op=\"or\">\
             <expression id=\"{id}-link-unknown\" attribute=\"fcport\" \
             operation=\"not_defined\"/>\
             <expression id=\"{id}-link-online\" attribute=\"fcport\" \
             operation=\"gt\" value=\"0\" type=\"number\"/>\
             </rule></rsc_location>",
            self.home
        );
        (resource, place)
    }
}

/// The clone that watches the physical ports.
pub const WATCH: &str = "fcport-clone";

/// Tells the cluster of both groups and of the watch, in one change.
///
/// # Errors
/// The cluster refuses.
pub fn configure(node: &Guest) -> Result<()> {
    node.run(&configuration(), Duration::from_secs(60)).map(drop)
}

/// The commands of [`configure`].
#[must_use]
pub fn configuration() -> String {
    let mut script = String::from(
        "set -e\ncrm_attribute -q -t rsc_defaults -n resource-stickiness -v 1000\n",
    );
    let mut places = String::new();
    let mut resources = format!(
        "<clone id=\"{WATCH}\"><primitive id=\"fcport\" class=\"ocf\" \
         provider=\"understudy\" type=\"fcport\"><operations>\
         <op id=\"fcport-monitor\" name=\"monitor\" interval=\"5s\" timeout=\"20s\"/>\
         </operations></primitive></clone>"
    );
    for group in groups() {
        let (resource, place) = group.cib();
        resources += &resource;
        places += &place;
    }
    // At once: a resource must not start where it does not belong.
    let _ = write!(
        script,
        "cibadmin -M --allow-create -o configuration -X '<configuration>\
         <resources>{resources}</resources><constraints>{places}</constraints>\
         </configuration>'"
    );
    script
}

/// A disk of a group as the initiator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lun {
    /// The group.
    pub group: &'static str,
    /// LUN number.
    pub number: u16,
    /// The initiator's name for it: `sda`.
    pub device: String,
}

/// Waits until the initiator sees every LUN of both groups, and says under which names.
///
/// # Errors
/// It does not see them in that time.
pub fn luns(host: &Guest, time: Duration) -> Result<Vec<Lun>> {
    let mut found = Vec::new();
    for group in groups() {
        found.extend(luns_of(host, &group, group.disks().len(), time)?);
    }
    Ok(found)
}

/// Waits until the initiator sees so many LUNs of a group.
///
/// # Errors
/// It does not see them in that time.
pub fn luns_of(
    host: &Guest,
    group: &Group,
    count: usize,
    time: Duration,
) -> Result<Vec<Lun>> {
    let wwpn = group.wwpn().replace(':', "");
    // A target's SCSI address tells the port; a LUN's is the target's and its number.
    let script = format!(
        "while :; do
            list=
            for t in /sys/class/fc_transport/target*; do
                read -r name < $t/port_name || continue
                [ \"$name\" = 0x{wwpn} ] || continue
                for d in /sys/class/scsi_device/${{t##*/target}}:*/device/block/*; do
                    [ -e $d ] || continue
                    lun=${{d%/device/block/*}}
                    list=\"$list ${{lun##*:}}=${{d##*/}}\"
                done
            done
            set -- $list
            [ $# -eq {count} ] && echo $list && exit
            sleep 0.3
        done"
    );
    let said = host.run(&script, time)?;
    let lun = |word: &str| {
        let (number, device) = word.split_once('=').unwrap_or_default();
        let number = number.parse().map_err(|_| Error::other("not a LUN"))?;
        Ok(Lun { group: group.name, number, device: device.to_owned() })
    };
    said.split_whitespace().map(lun).collect()
}
