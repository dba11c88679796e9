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
    pub wwpn: &'static str,
    pub disk: String,
    pub state: String,
}

impl Stranger {
    pub fn new() -> Self {
        let device = |name| {
            let disk = shelf::disks().into_iter().find(|disk| disk.name == name);
            disk.map(|disk| disk.device().display().to_string()).unwrap_or_default()
        };
        Self {
            wwnn: "20:00:75:64:00:00:00:0c",
            wwpn: "20:01:75:64:00:00:00:0c",
            disk: device("spare"),
            state: device("state"),
        }
    }

    /// Returns the parameters that are the stranger's own: names and disks.
    fn own(&self) -> [(&'static str, String); 4] {
        [
            ("wwnn", self.wwnn.to_owned()),
            ("ports", self.wwpn.to_owned()),
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
            "{{ ls -d /sys/kernel/config/target/fc/{} /run/understudy/ports/{name}.json
             grep -l 0x{name} /sys/class/fc_vports/*/port_name
             ls -d /run/understudy/kept/{node}; grep /kept/{node} /proc/mounts
             ls -l /var/target/pr | grep /kept/{node}
             for d in {} {}; do
                 sg_persist --in --no-inquiry --read-keys $d | grep '^ *0x'
             done
             }} 2> /dev/null || :",
            self.wwpn,
            self.disk,
            self.state,
            node = self.wwnn.replace(':', ""),
        )
    }

    pub fn left_nothing(&self, node: &Guest) -> Result<()> {
        node.must_be_silent(&self.leavings(), COMMAND)
    }
}
