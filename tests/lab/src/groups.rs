//! The lab's two takeover groups: what the cluster is told of them, and where to find
//! their disks at the initiator.

use std::fmt::Write as _;
use std::time::Duration;

use understudy_fabric::wwn::Wwn;

use crate::error::{Error, Result};
use crate::guest::Guest;
use crate::plan::{ARRAYS, HOST, guests};
use crate::shelf::{self, Disk};

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

    /// The disk on which its initiators' reservations are kept.
    fn state(&self) -> String {
        let name = format!("state-{}", self.letter);
        let disk = shelf::disks().into_iter().find(|disk| disk.name == name);
        disk.map(|disk| disk.device().display().to_string()).unwrap_or_default()
    }

    /// The resource's parameters.
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![
            ("wwnn", self.wwnn()),
            ("ports", self.wwpn()),
            ("disks", specs(self.disks()).join(" ")),
            ("initiators", initiator()),
            ("state", self.state()),
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

    /// Its table in the file of a pair.
    fn table(&self) -> String {
        let quoted: Vec<_> =
            specs(self.disks()).iter().map(|disk| format!("{disk:?}")).collect();
        format!(
            "[[group]]\nname = {:?}\nhome = {:?}\nwwnn = {:?}\nports = [{:?}]\n\
             disks = [{}]\nstate = {:?}\n",
            self.name,
            self.home,
            self.wwnn(),
            self.wwpn(),
            quoted.join(", "),
            self.state()
        )
    }
}

/// Disks as the parameter has them, a word each; their numbers are their places.
pub fn specs(disks: impl IntoIterator<Item = Disk>) -> Vec<String> {
    let disks = disks.into_iter().zip(0..);
    disks.map(|(disk, lun)| format!("{lun}={}", disk.device().display())).collect()
}

/// The clone that watches the physical ports.
pub const WATCH: &str = "fcport-clone";

/// The initiator of both groups.
fn initiator() -> String {
    let host = guests().into_iter().find(|guest| guest.name == HOST);
    host.map(|host| host.wwpn()).unwrap_or_default()
}

/// Tells the cluster of both groups and of the watch, in one change: what the agent's own
/// command prints, as it is.
///
/// # Errors
/// The command or the cluster refuses.
pub fn configure(node: &Guest) -> Result<()> {
    let tables: String = groups().iter().map(Group::table).collect();
    let script = format!(
        "cat > /run/pair.toml <<'PAIR'\ninitiators = [{:?}]\n{tables}PAIR\n\
         understudy configure --format xml /run/pair.toml > /run/pair.xml &&
         cibadmin --modify --allow-create --scope configuration -x /run/pair.xml",
        initiator()
    );
    node.run(&script, Duration::from_secs(60)).map(drop)
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

/// Has the initiator look for LUNs that it does not know.
pub const SCAN: &str = "for h in /sys/class/fc_host/host*; do
        echo '- - -' > /sys/class/scsi_host/${h##*/}/scan
    done";

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
