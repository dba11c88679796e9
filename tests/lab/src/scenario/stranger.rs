//! The stranger: a group that the cluster does not know, with names of its own and a disk
//! that nobody uses. What goes wrong with it harms nobody.

use super::world::COMMAND;
use crate::error::Result;
use crate::groups::Group;
use crate::guest::Guest;
use crate::shelf;

/// The stranger, by its names and its disk.
pub struct Stranger {
    pub wwnn: &'static str,
    pub wwpn: String,
    pub disk: String,
    pub state: String,
    /// Whether an HBA serves the stranger, whose driver keeps its port until a boot.
    on_hba: bool,
}

impl Stranger {
    pub fn new() -> Self {
        let device = |name| {
            let disk = shelf::disks().into_iter().find(|disk| disk.name == name);
            disk.map(|disk| disk.device().display().to_string()).unwrap_or_default()
        };
        Self {
            wwnn: "20:00:75:64:00:00:00:0c",
            wwpn: "20:01:75:64:00:00:00:0c".to_owned(),
            disk: device("spare"),
            state: device("state"),
            on_hba: false,
        }
    }

    /// Returns the stranger on an HBA, with one of many port names.
    pub fn on_hba(number: u32) -> Self {
        let wwpn = format!("20:02:75:64:00:01:{:02x}:0c", number & 0xff);
        Self { wwpn, on_hba: true, ..Self::new() }
    }

    /// Returns the parameters that are the stranger's own: names and disks.
    fn own(&self) -> [(&'static str, String); 4] {
        [
            ("wwnn", self.wwnn.to_owned()),
            ("ports", self.wwpn.clone()),
            ("disks", format!("0={}", self.disk)),
            ("state", self.state.clone()),
        ]
    }

    /// Returns all parameters of the stranger. It has its own names and disks, and for
    /// the rest the values of the group `like`.
    pub fn parameters(&self, like: &Group) -> Vec<(&'static str, String)> {
        let own = self.own();
        let others = like.parameters().into_iter();
        let others = others.filter(|(name, _)| own.iter().all(|(its, _)| its != name));
        others.chain(own.clone()).collect()
    }

    /// Returns the agent's environment for the stranger. `change` replaces one parameter.
    pub fn environment(&self, like: &Group, change: Option<(&str, &str)>) -> String {
        let own = self.own();
        let own = own.iter().map(|(name, value)| (*name, value.as_str()));
        let changes: Vec<_> = change.into_iter().chain(own).collect();
        like.environment("stranger", &changes)
    }

    /// Returns a script that prints what remains of the stranger on a node: port, target,
    /// database entry, keeper, a key on a disk.
    pub fn leavings(&self) -> String {
        let name = self.wwpn.replace(':', "");
        format!(
            "{{ {port}
             ls -d /run/understudy/ports/{name}.json
             ls -d /run/understudy/kept/{node}; grep /kept/{node} /proc/mounts
             ls -l /var/target/pr | grep /kept/{node}
             for d in {} {}; do
                 sg_persist --in --no-inquiry --read-keys $d | grep '^ *0x'
             done
             }} 2> /dev/null || :",
            self.disk,
            self.state,
            port = self.port_leavings(&name),
            node = self.wwnn.replace(':', ""),
        )
    }

    /// Returns commands that print what remains of the port and its target. On an HBA both
    /// stay: the port logged out, and the target without LUNs and initiators.
    fn port_leavings(&self, name: &str) -> String {
        let (targets, wwpn) = ("/sys/kernel/config/target", &self.wwpn);
        let ports = format!("grep -l 0x{name} /sys/class/fc_vports/*/port_name");
        if self.on_hba {
            let tpg = format!("{targets}/qla2xxx/{wwpn}/tpgt_1");
            return format!(
                "ls -d {tpg}/lun/lun_* {tpg}/acls/*
                 for p in $({ports}); do grep -L '^Disabled$' ${{p%port_name}}vport_state; done"
            );
        }
        format!("ls -d {targets}/fc/{wwpn}; {ports}")
    }

    pub fn left_nothing(&self, node: &Guest) -> Result<()> {
        node.must_be_silent(&self.leavings(), COMMAND)
    }
}
