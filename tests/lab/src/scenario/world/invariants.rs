//! What must be so, at some moment or over a whole scenario.

use super::{COMMAND, Mark, World};
use crate::console;
use crate::error::{Error, Result};
use crate::groups::Group;
use crate::paths;
use crate::plan::SIDES;
use understudy_fabric::control::{contests, overlaps};
use understudy_fabric::wwn::Wwn;

impl World {
    /// Checks that the fabrics have noticed nothing since a mark: no port came or went.
    ///
    /// # Errors
    /// A port came or went.
    pub fn must_be_unnoticed(&self, since: Mark) -> Result<()> {
        for side in SIDES {
            if let Some(event) = self.events(since, side)?.first() {
                return Err(Error::other(format!("{} saw {event:?}", side.name())));
            }
        }
        Ok(())
    }

    /// Checks that a node serves a group.
    ///
    /// # Errors
    /// The node does not serve it.
    pub fn must_be_on(&self, group: &Group, node: &str) -> Result<()> {
        match self.serving(group)? {
            (on, _) if on == node => Ok(()),
            (on, _) => Err(Error::other(format!("{} is on {on}", group.name))),
        }
    }

    /// Checks that the cluster runs a group on a node. The group's port need not be
    /// logged in.
    ///
    /// # Errors
    /// The cluster does not run it there.
    pub fn must_run_on(&self, group: &Group, node: &str) -> Result<()> {
        self.any_node()?.run(&runs_on(group, node), COMMAND).map(drop)
    }

    /// Checks through the Python module that a node serves a whole group and owns every
    /// disk of it.
    ///
    /// # Errors
    /// The node does not serve the group, or does not own a disk.
    pub fn must_own(&self, group: &Group, node: &str) -> Result<()> {
        let script = format!(
            "python3 - <<'PYTHON'
import understudy
served = {{served.group: served for served in understudy.status().groups}}['{}']
assert not served.faults, served.faults
assert len(served.luns) == {}
for lun in served.luns:
    reservation = understudy.reservation(lun.node)
    assert reservation.owned_by_node('{node}'), (lun.node, reservation.keys)
PYTHON",
            group.name,
            group.disk_specs().len()
        );
        self.node(node)?.run(&script, COMMAND).map(drop)
    }

    /// Checks that no port has claimed a name since a mark while another port was logged in
    /// with it. Claims of the name `claimed` are left out.
    ///
    /// # Errors
    /// Another name was claimed twice.
    pub fn must_be_unclaimed(&self, since: Mark, claimed: Option<Wwn>) -> Result<()> {
        for side in SIDES {
            let mut claims = contests(&self.events(since, side)?).into_iter();
            if let Some(claim) = claims.find(|claim| claim.wwpn != claimed) {
                let error = format!("a name was claimed twice: {claim:?}");
                return Err(Error::other(error));
            }
        }
        Ok(())
    }

    /// Checks what must hold whatever has happened: no name is logged in twice, and no
    /// kernel reports damage. Returns where a kernel hung: a text for each boot in which
    /// one did.
    ///
    /// # Errors
    /// One of these does not hold.
    pub fn check_invariants(&self) -> Result<Vec<String>> {
        for side in SIDES {
            let all = self.events(Mark::BEGIN, side)?;
            if let Some(twice) = overlaps(&all).first() {
                return Err(Error::other(format!("{} was logged in twice", twice.wwpn)));
            }
        }
        let mut hung = Vec::new();
        for guest in self.lab.all() {
            for boot in 1..=guest.boots() {
                let name = format!("{}.{boot}.console", guest.name());
                let console = paths::read(&self.lab.folders().log(&name))?;
                if let Some(trouble) = console::trouble(&console) {
                    return Err(Error::other(format!("{name}:\n{trouble}")));
                }
                hung.extend(console::hung(&console).map(|at| format!("{name}:\n{at}")));
            }
        }
        Ok(hung)
    }
}

/// Returns a shell command that succeeds if the cluster runs a group on a node.
pub fn runs_on(group: &Group, node: &str) -> String {
    let found = format!("resource {} is running on: {node}", group.name);
    format!("crm_resource -r {} -W | grep -q '^{found}'", group.name)
}
