//! What was found of a group on this node: ports, targets and backstores, keepers.

use crate::fc::VirtualPort;
use crate::lio::{Driver, Export, Situation, TCM_FC, Tree};
use crate::saved_reservations::Keeper;
use crate::wwn::Wwn;

/// Everything of a group that was found on this node.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The group's virtual ports.
    pub vports: Vec<VirtualPort>,
    /// What LIO has of the group.
    pub export: Export,
    /// The group's keepers.
    pub keepers: Vec<Keeper>,
}

impl Found {
    /// Returns the situation of the port with this name.
    pub(crate) fn situation(&self, wwpn: Wwn) -> Situation {
        Situation::of(self.vport(wwpn), self.export.tree(wwpn))
    }

    /// Returns whether the kernel has nothing of the group but idle ports (see
    /// [`Self::is_idle`]).
    pub(crate) fn is_empty(&self) -> bool {
        let kept = self.keepers.iter().any(|keeper| keeper.device.is_some());
        !kept
            && self.export.hbas.is_empty()
            && self.export.trees.iter().all(|tree| self.is_idle(tree.wwpn))
            && self.vports.iter().all(|vport| self.is_idle(vport.wwpn))
    }

    /// Returns whether nothing of the group is left, not even links of a keeper. Such
    /// links are on this node's own disk. They remain after a loss of power, although
    /// nothing runs.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_empty() && self.keepers.is_empty()
    }

    /// Returns the group's virtual port with this name.
    pub(crate) fn vport(&self, wwpn: Wwn) -> Option<&VirtualPort> {
        self.vports.iter().find(|vport| vport.wwpn == wwpn)
    }

    /// Returns the driver of a port's target. A port without a target is removed like a
    /// port of tcm_fc.
    pub(crate) fn driver(&self, wwpn: Wwn) -> &'static dyn Driver {
        self.export.tree(wwpn).map_or(&TCM_FC, |tree| tree.driver)
    }

    /// Returns whether a port is idle: logged out or absent, with an empty target that
    /// stays until a boot. An idle port is no sign that the group runs.
    pub(crate) fn is_idle(&self, wwpn: Wwn) -> bool {
        let out = self.vport(wwpn).is_none_or(|vport| !vport.may_be_logged_in());
        let stays = |tree: &Tree| tree.is_bound() && tree.is_bare();
        out && self.export.tree(wwpn).is_some_and(stays)
    }

    /// Returns the virtual ports that a release has to log out: all that are not parked.
    pub(crate) fn live(&self) -> impl Iterator<Item = &VirtualPort> {
        let live = |port: &&VirtualPort| self.situation(port.wwpn) != Situation::Parked;
        self.vports.iter().filter(live)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fc::VportState;
    use crate::lio::{Acl, Lun, QLA2XXX};

    /// Every port, in every state, with every target: its situation, and the other
    /// answers about the two.
    const TABLE: &str = "
        no port,  no target:         Absent empty gone
        no port,  unbound empty:     Partial
        no port,  unbound full:      Partial
        no port,  bound off empty:   Orphaned empty gone bound idle
        no port,  bound on empty:    Orphaned empty gone bound idle
        no port,  bound off full:    Orphaned bound
        no port,  bound on full:     Orphaned bound
        linked,   no target:         Partial live
        linked,   unbound empty:     Partial live
        linked,   unbound full:      Serving live
        linked,   bound off empty:   Partial bound live
        linked,   bound on empty:    Stray bound reusable live
        linked,   bound off full:    Serving bound live
        linked,   bound on full:     Serving bound live
        Disabled, no target:         Partial live
        Disabled, unbound empty:     Partial live
        Disabled, unbound full:      Serving live
        Disabled, bound off empty:   Parked empty gone bound idle reusable
        Disabled, bound on empty:    Parked empty gone bound idle reusable
        Disabled, bound off full:    Parked bound reusable
        Disabled, bound on full:     Parked bound reusable
        other,    no target:         Partial live
        other,    unbound empty:     Partial live
        other,    unbound full:      Serving live
        other,    bound off empty:   Partial empty gone bound idle live
        other,    bound on empty:    Stray empty gone bound idle reusable live
        other,    bound off full:    Serving bound live
        other,    bound on full:     Serving bound live";

    fn wwpn() -> Wwn {
        Wwn::new(0x2001_0025_0000_000a).unwrap()
    }

    /// Returns each possible port, with its name in the table.
    fn ports() -> Vec<(&'static str, Option<VirtualPort>)> {
        let port = |state: &str| {
            let [vport, parent] = ["vport-2:0-1", "host2"].map(str::to_owned);
            let state = VportState::from(state.to_owned());
            Some(VirtualPort { vport, parent, wwpn: wwpn(), wwnn: wwpn(), state })
        };
        let mut ports = vec![("no port", None), ("Disabled", port("Disabled"))];
        ports.extend(["Active", "Initializing"].map(|state| ("linked", port(state))));
        let others = [
            "Unknown",
            "Linkdown",
            "No Fabric Support",
            "No Fabric Resources",
            "Fabric Logout",
            "Fabric Rejected WWN",
            "VPort Failed",
            "Offline",
        ];
        ports.extend(others.map(|state| ("other", port(state))));
        ports
    }

    /// Returns each possible target, with its name in the table.
    fn targets() -> Vec<(&'static str, Option<Tree>)> {
        let tree = |driver, enabled, luns, acls| {
            let (wwpn, path, has_tpg) = (wwpn(), "/target".into(), true);
            Some(Tree { wwpn, driver, enabled, has_tpg, luns, acls, path })
        };
        let lun = || vec![Lun { number: 0, path: "/lun".into(), link: None }];
        let acl = || vec![Acl { path: "/acl".into(), mapped: Vec::new() }];
        let mut targets = vec![("no target", None)];
        for enabled in [false, true] {
            let names = match enabled {
                false => ["bound off empty", "bound off full"],
                true => ["bound on empty", "bound on full"],
            };
            let fc = |luns, acls| tree(&TCM_FC, None, luns, acls);
            let qla2xxx = |luns, acls| tree(&QLA2XXX, Some(enabled), luns, acls);
            targets.extend([
                ("unbound empty", fc(Vec::new(), Vec::new())),
                ("unbound full", fc(lun(), Vec::new())),
                ("unbound full", fc(Vec::new(), acl())),
                (names[0], qla2xxx(Vec::new(), Vec::new())),
                (names[1], qla2xxx(lun(), Vec::new())),
                (names[1], qla2xxx(Vec::new(), acl())),
            ]);
        }
        targets
    }

    /// Returns the answers about a port and its target, in the table's words.
    fn answers(found: &Found) -> String {
        let answers = [
            (found.is_empty(), "empty"),
            (found.is_gone(), "gone"),
            (found.export.trees.iter().any(Tree::is_bound), "bound"),
            (found.is_idle(wwpn()), "idle"),
            (found.situation(wwpn()).is_reusable(), "reusable"),
            (found.live().next().is_some(), "live"),
        ];
        let words = answers.into_iter().filter_map(|(is, word)| is.then_some(word));
        let situation = format!("{:?}", found.situation(wwpn()));
        [situation.as_str()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_port_with_every_target_is_judged_as_the_table_says() {
        let mut rows: Vec<(String, &str)> = Vec::new();
        for row in TABLE.lines().filter(|row| !row.is_empty()) {
            let (case, answers) = row.split_once(':').unwrap();
            let (port, target) = case.split_once(',').unwrap();
            rows.push((format!("{}, {}", port.trim(), target.trim()), answers.trim()));
        }
        let mut met = vec![false; rows.len()];
        for (port, vport) in ports() {
            for (target, tree) in targets() {
                let case = format!("{port}, {target}");
                let at = rows.iter().position(|(row, _)| *row == case).unwrap();
                met[at] = true;
                let trees = Vec::from_iter(tree);
                let export = Export { trees, ..Export::default() };
                let vports = Vec::from_iter(vport.clone());
                let found = Found { vports, export, keepers: Vec::new() };
                assert_eq!(answers(&found), rows[at].1, "{found:?}");
            }
        }
        assert!(met.iter().all(|met| *met));
    }
}
