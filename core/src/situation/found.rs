//! What of a group was found on this node: its ports, what LIO holds of it, its keepers.

use crate::fc::VirtualPort;
use crate::lio::{Export, Tree};
use crate::saved_reservations::Keeper;
use crate::wwn::Wwn;

/// What was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The group's virtual ports.
    pub vports: Vec<VirtualPort>,
    /// What LIO holds of the group.
    pub export: Export,
    /// The keepers of what initiators have reserved.
    pub keepers: Vec<Keeper>,
}

impl Found {
    /// Returns whether the kernel holds nothing of the group but what a release leaves
    /// ([`crate::lio::Driver::binds`]).
    pub fn is_empty(&self) -> bool {
        let kept = self.keepers.iter().any(|keeper| keeper.device.is_some());
        !kept
            && self.export.hbas.is_empty()
            && self.export.trees.iter().all(|tree| self.is_aside(tree.wwpn))
            && self.vports.iter().all(|vport| self.is_aside(vport.wwpn))
    }

    /// Returns whether the group has left nothing here, not even a keeper's links. Such a
    /// link is on this node's own disk: it stays where the node has lost its power, and
    /// nothing runs behind it.
    pub fn is_gone(&self) -> bool {
        self.is_empty() && self.keepers.is_empty()
    }

    /// Returns a virtual port of the group.
    pub fn vport(&self, wwpn: Wwn) -> Option<&VirtualPort> {
        self.vports.iter().find(|vport| vport.wwpn == wwpn)
    }

    /// Returns whether a port has LUNs to serve.
    pub fn serves(&self, wwpn: Wwn) -> bool {
        self.export.tree(wwpn).is_some_and(|tree| !tree.is_bare())
    }

    /// Returns whether a port's target stays with it, so that the two are there until a
    /// boot.
    pub fn is_bound(&self, wwpn: Wwn) -> bool {
        self.export.tree(wwpn).is_some_and(|tree| tree.driver.binds())
    }

    /// Returns whether a port is out of the fabric and its target empty, as a release
    /// leaves them.
    pub fn is_aside(&self, wwpn: Wwn) -> bool {
        let out = self.vport(wwpn).is_none_or(|vport| !vport.may_be_logged_in());
        out && self.is_bound(wwpn) && self.export.tree(wwpn).is_some_and(Tree::is_bare)
    }

    /// Returns whether a release has logged this port out and kept it, for a takeover to
    /// use again ([`crate::lio::Driver::binds`]). The port is normally `Disabled`. After a reset
    /// of the HBA it may be logged in, with its target enabled and empty. A takeover
    /// fills the target, then lets the port log in.
    pub fn is_kept(&self, wwpn: Wwn) -> bool {
        let disabled = self.vport(wwpn).is_some_and(VirtualPort::is_disabled);
        let tree = self.export.tree(wwpn).filter(|tree| tree.driver.binds());
        tree.is_some_and(|tree| disabled || tree.enabled && tree.is_bare())
    }

    /// Returns the virtual ports that a release has to log out. Of ports that stay, only
    /// `Disabled` says that the driver has logged one out: a link event shows one that is
    /// logged in as `VPort Failed` for a moment (`qla2x00_async_event`).
    pub fn live(&self) -> impl Iterator<Item = &VirtualPort> {
        let out = |vport: &VirtualPort| self.is_bound(vport.wwpn) && vport.is_disabled();
        self.vports.iter().filter(move |vport| !out(vport))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fc::VportState;
    use crate::lio::{Acl, Lun, QLA2XXX, TCM_FC};

    /// Every port, in every state, with every target, and what is answered of the two.
    const TABLE: &str = "
        no port,  no target:         empty gone
        no port,  unbound empty:
        no port,  unbound full:      serves
        no port,  bound off empty:   empty gone bound aside
        no port,  bound on empty:    empty gone bound aside kept
        no port,  bound off full:    serves bound
        no port,  bound on full:     serves bound
        linked,   no target:         live
        linked,   unbound empty:     live
        linked,   unbound full:      serves live
        linked,   bound off empty:   bound live
        linked,   bound on empty:    bound kept live
        linked,   bound off full:    serves bound live
        linked,   bound on full:     serves bound live
        Disabled, no target:         live
        Disabled, unbound empty:     live
        Disabled, unbound full:      serves live
        Disabled, bound off empty:   empty gone bound aside kept
        Disabled, bound on empty:    empty gone bound aside kept
        Disabled, bound off full:    serves bound kept
        Disabled, bound on full:     serves bound kept
        other,    no target:         live
        other,    unbound empty:     live
        other,    unbound full:      serves live
        other,    bound off empty:   empty gone bound aside live
        other,    bound on empty:    empty gone bound aside kept live
        other,    bound off full:    serves bound live
        other,    bound on full:     serves bound live";

    fn wwpn() -> Wwn {
        Wwn::new(0x2001_0025_0000_000a).unwrap()
    }

    /// Returns each port that there can be, under its name in the table.
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

    /// Returns each target that there can be, under its name in the table.
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
            let fc = |luns, acls| tree(&TCM_FC, enabled, luns, acls);
            let qla2xxx = |luns, acls| tree(&QLA2XXX, enabled, luns, acls);
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

    /// Returns what is answered of a port and its target, in the table's words.
    fn answers(found: &Found) -> String {
        let answers = [
            (found.is_empty(), "empty"),
            (found.is_gone(), "gone"),
            (found.serves(wwpn()), "serves"),
            (found.is_bound(wwpn()), "bound"),
            (found.is_aside(wwpn()), "aside"),
            (found.is_kept(wwpn()), "kept"),
            (found.live().next().is_some(), "live"),
        ];
        let words = answers.into_iter().filter_map(|(is, word)| is.then_some(word));
        words.collect::<Vec<_>>().join(" ")
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
