//! agent-contract: the agent as Pacemaker's and the resource agents' own tools see it.

use std::time::Duration;

use super::world::COMMAND;
use super::{Seen, World, under_load};
use crate::error::{Error, Result};
use crate::groups::Group;
use crate::guest::Guest;
use crate::load::Pace;
use crate::progress;

/// How long `ocf-tester` may take, which calls the agent some thirty times.
const TESTER: Duration = Duration::from_secs(300);
/// The only complaint of `ocf-tester` that is allowed. Its DTD is older than OCF 1.1.
const OLD_DTD: &str = "Your agent produces meta-data which does not conform";

/// Plays agent-contract.
pub fn run(world: &World) -> Result<Seen> {
    let [group, _] = &world.groups;
    under_load(world, Pace::Bursts, || {
        let node = world.node(group.home)?;
        progress::during("crm_resource --validate, --show-metadata", || {
            validate(node, group)
        })?;
        progress::during("every level of monitor and validate-all", || {
            levels(node, group)
        })?;
        progress::during("crm_resource --force-check, -stop, -start", || {
            forced(world, node, group)
        })?;
        progress::during("ocf-tester", || tester(world, group))?;
        Ok(vec![group.clone()])
    })
}

fn validate(node: &Guest, group: &Group) -> Result<()> {
    let options: Vec<_> = group
        .parameters()
        .into_iter()
        .map(|(name, value)| format!("--option '{name}={value}'"))
        .collect();
    let options = options.join(" ");
    let validate =
        "crm_resource --validate --class ocf --provider understudy --agent vport";
    node.run(&format!("{validate} {options}"), COMMAND)?;
    let bad = node.try_run(&format!("{validate} --option wwnn=nonsense"), COMMAND);
    if bad.code() == Some(0) || !bad.explain().contains("'nonsense' is not a WWN") {
        return Err(Error::other(format!("a bad WWNN: {}", bad.explain())));
    }
    let script = "crm_resource --show-metadata ocf:understudy:vport > /tmp/meta.xml
                  xmllint --noout --relaxng /usr/share/pacemaker/api/ocf-ra-1.1.rng /tmp/meta.xml";
    node.run(script, COMMAND).map(drop)
}

/// Runs the actions that change nothing, on the group while it is served under load.
fn levels(node: &Guest, group: &Group) -> Result<()> {
    let environment = group.environment(group.name, &[]);
    let calls = [
        ("monitor", 0),
        ("monitor", 10),
        ("monitor", 20),
        ("validate-all", 0),
        ("validate-all", 10),
    ];
    for (action, level) in calls {
        let script = format!(
            "OCF_CHECK_LEVEL={level} {environment} \
             /usr/lib/ocf/resource.d/understudy/vport {action}"
        );
        node.run(&script, COMMAND)?;
    }
    Ok(())
}

/// Runs `crm_resource --force-check`, `--force-stop` and `--force-start` while the
/// cluster does not manage the group. Leaves the group as it was.
fn forced(world: &World, node: &Guest, group: &Group) -> Result<()> {
    let name = group.name;
    let script = format!(
        "set -e
         crm_resource -r {name} --force-check
         crm_resource -r {name} --meta -p is-managed -v false
         lab-idle
         crm_resource -r {name} --force-stop
         rc=0; crm_resource -r {name} --force-check || rc=$?; [ $rc -eq 7 ] || exit 99
         crm_resource -r {name} --force-start
         crm_resource -r {name} --force-check
         crm_resource -r {name} --meta -d is-managed
         crm_resource -r {name} --cleanup
         lab-idle"
    );
    node.run(&script, COMMAND * 2)?;
    match world.serving(group)? {
        (node, _) if node == group.home => Ok(()),
        (node, _) => Err(Error::other(format!("{name} is on {node}"))),
    }
}

/// Runs `ocf-tester` with the group's own names and disks, while the cluster's resource
/// is stopped.
fn tester(world: &World, group: &Group) -> Result<()> {
    let node = world.node(group.home)?;
    let options: Vec<_> = group
        .parameters()
        .into_iter()
        .map(|(name, value)| format!("-o '{name}={value}'"))
        .collect();
    let mark = world.mark()?;
    let name = group.name;
    let script = format!(
        "crm_resource -r {name} --meta -p target-role -v Stopped && lab-idle
         ocf-tester -n tested {} /usr/lib/ocf/resource.d/understudy/vport 2>&1
         crm_resource -r {name} --meta -d target-role",
        options.join(" ")
    );
    let said = node.run(&script, TESTER)?;
    world.wait_served(mark, group, group.home)?;
    let complaints: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("* ") && !line.contains("passed"))
        .filter(|line| !line.starts_with("* Your agent does not support"))
        .filter(|line| !line.contains(OLD_DTD))
        .collect();
    let known = said.contains("passed all tests") || said.contains("failed 1 tests");
    if complaints.is_empty() && known {
        return Ok(());
    }
    Err(Error::other(format!("ocf-tester:\n{said}")))
}
