//! same-name-twice: resources made by copying a group's line, each with one thing left
//! unchanged: a port name in another spelling, the node name, or a disk. The cluster
//! probes, starts and stops them on the node that serves the group. The group goes on as
//! if they were not there.

use std::fmt::Write as _;

use super::stranger::Stranger;
use super::world::COMMAND;
use super::{Seen, World, under_load};
use crate::error::{Error, Result};
use crate::groups::{self, Group};
use crate::guest::Guest;
use crate::load::Pace;
use crate::progress;

/// Plays same-name-twice.
pub fn run(world: &World) -> Result<Seen> {
    let [group, _] = &world.groups;
    let copies = copies(group);
    let names: Vec<_> = copies.iter().map(|(name, _)| *name).collect();
    under_load(world, Pace::Full, || {
        let (node, mark) = (world.node(group.home)?, world.mark()?);
        progress::during("three copies of group-a: none is served", || {
            node.run(&create(group, &copies), COMMAND)?;
            world.must_be_unnoticed(mark)?;
            world.must_own(group, group.home)
        })?;
        progress::during("each was refused with its name", || {
            names.iter().try_for_each(|name| {
                let refused = format!(
                    "crm_mon -1 --output-as=xml --include=none,failures |
                     grep 'op_key=\"{name}_start_0\"' | grep 'exitcode=\"6\"' | grep -q '{}'",
                    group.name
                );
                node.run(&refused, COMMAND).map(drop)
            })
        })?;
        progress::during("check and validate-all compare the cluster's groups", || {
            let partner = world.node(group.partner)?;
            let too = format!("{}'s too", group.name);
            copies.iter().try_for_each(|(name, parameters)| {
                let check = format!("understudy check {name} --json | grep -q \"{too}\"");
                node.run(&check, COMMAND)?;
                refused_by_validate(partner, name, parameters, &too)
            })
        })?;
        progress::during("the copies are gone, and it is still there", || {
            groups::forget(node, &names)?;
            node.run("crm_resource --cleanup && lab-idle", COMMAND)?;
            Stranger::new().left_nothing(node)?;
            world.must_be_unnoticed(mark)?;
            world.must_own(group, group.home)
        })?;
        Ok(Vec::new())
    })
}

/// Checks that validate-all at level 10 refuses a copy, on a node where the group is not
/// served.
fn refused_by_validate(
    node: &Guest,
    name: &str,
    parameters: &[(&str, String)],
    reason: &str,
) -> Result<()> {
    let mut script = format!("OCF_ROOT=/usr/lib/ocf OCF_RESOURCE_INSTANCE={name}");
    for (parameter, value) in parameters {
        let _ = write!(script, " OCF_RESKEY_{parameter}='{value}'");
    }
    script += " OCF_CHECK_LEVEL=10 /usr/lib/ocf/resource.d/understudy/vport validate-all";
    let said = node.try_run(&script, COMMAND);
    if said.code() == Some(6) && said.stderr.contains(reason) {
        return Ok(());
    }
    Err(Error::other(format!("validate-all: {}", said.explain())))
}

/// Returns the copies, each with its parameters.
fn copies(group: &Group) -> [(&'static str, Vec<(&'static str, String)>); 3] {
    let (stranger, spelling) = (Stranger::new(), group.wwpn().replace(':', ""));
    let like = |changed: &str| {
        let own = stranger.parameters(group).into_iter();
        own.map(|(name, value)| match (name, changed) {
            ("ports", "ports") => (name, format!("0x{}", spelling.to_uppercase())),
            ("wwnn", "wwnn") => (name, group.wwnn()),
            ("disks", "disks") => (name, group.parameter("disks").unwrap_or_default()),
            _ => (name, value),
        })
        .collect()
    };
    [
        ("copy-port", like("ports")),
        ("copy-node", like("wwnn")),
        ("copy-disk", like("disks")),
    ]
}

/// Returns a command that makes the copies. Each may run only on the node that serves the
/// group.
fn create(group: &Group, copies: &[(&str, Vec<(&str, String)>)]) -> String {
    let (mut resources, mut rules) = (String::new(), String::new());
    for (name, parameters) in copies {
        let _ = write!(
            resources,
            "<primitive id=\"{name}\" class=\"ocf\" provider=\"understudy\" type=\"vport\">\
             <instance_attributes id=\"{name}-p\">"
        );
        for (parameter, value) in parameters {
            let _ = write!(
                resources,
                "<nvpair id=\"{name}-{parameter}\" name=\"{parameter}\" value=\"{value}\"/>"
            );
        }
        resources += "</instance_attributes></primitive>";
        let _ = write!(
            rules,
            "<rsc_location id=\"{name}-not\" rsc=\"{name}\" node=\"{}\" \
             score=\"-INFINITY\"/>",
            group.partner
        );
    }
    format!(
        "cibadmin --modify --allow-create --scope configuration -p <<'XML' && lab-idle
<configuration><resources>{resources}</resources>\
         <constraints>{rules}</constraints></configuration>
XML"
    )
}
