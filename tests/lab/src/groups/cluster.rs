//! How groups come into the cluster's configuration, and leave it.

use std::time::Duration;

use super::Group;
use crate::error::Result;
use crate::guest::Guest;
use crate::plan::Side;
use crate::speed;

/// The name of the clone that watches the physical ports.
pub const WATCH: &str = "fcport-clone";

/// Returns the name of the node attribute with the number of ports online in a fabric.
#[must_use]
pub fn ports_online(side: Side) -> String {
    format!("fcport-{}", side.wwn().replace(':', ""))
}

/// Configures groups and the watch in the cluster, in one change, with what `understudy
/// configure` prints. Only its times are stretched, where this machine is slow.
///
/// # Errors
/// The command or the cluster refuses.
pub fn configure(node: &Guest, groups: &[Group]) -> Result<()> {
    let tables: String = groups.iter().map(Group::table).collect();
    apply(node, &tables, ":")
}

/// Configures a group in the cluster. `fabrics` is `each` or `any`: which of its fabrics
/// count. Deletes first what rules the cluster had for this group.
///
/// # Errors
/// The command or the cluster refuses.
pub fn configure_as(node: &Guest, group: &Group, fabrics: &str) -> Result<()> {
    let rules = format!("//rsc_location[@rsc='{}'][rule]", group.name);
    node.run(&format!("{FORGET}; forget \"{rules}\""), Duration::from_secs(60))?;
    // The group gets no priority. In a split the other node's fence then waits, as in
    // every lab.
    let light = "sed -i '/name=\"priority\"/d' /run/groups.xml";
    apply(node, &format!("{}fabrics = {fabrics:?}\n", group.table()), light)
}

/// A shell function that deletes every element that an XPath finds in the configuration.
const FORGET: &str = "forget() {
        while cibadmin --query --xpath \"$1\" > /dev/null 2>&1; do
            cibadmin --delete --xpath \"($1)[1]\"
        done
    }";

fn apply(node: &Guest, tables: &str, change: &str) -> Result<()> {
    let configure = format!(
        "cat > /run/groups.toml <<'GROUPS'\n{tables}GROUPS\n\
         understudy configure --format xml /run/groups.toml > /run/groups.xml &&
         {change} && cat /run/groups.xml"
    );
    let xml = speed::stretch_times(&node.run(&configure, Duration::from_secs(60))?);
    modify(node, &xml)
}

/// Merges a configuration into the cluster's, and leaves the rest as it is.
///
/// # Errors
/// The cluster refuses.
pub fn modify(node: &Guest, configuration: &str) -> Result<()> {
    let apply = format!(
        "cibadmin --modify --allow-create --scope configuration -p \
         <<'XML'\n{configuration}\nXML"
    );
    node.run(&apply, Duration::from_secs(60)).map(drop)
}

/// Stops resources and removes them, with their rules, from the configuration.
///
/// # Errors
/// The cluster refuses.
pub fn forget(node: &Guest, names: &[&str]) -> Result<()> {
    let names = names.join(" ");
    let script = format!(
        "set -e; {FORGET}
         for r in {names}; do crm_resource -r $r --meta -p target-role -v Stopped; done
         lab-idle
         for r in {names}; do
             forget \"//rsc_location[@rsc='$r']\"
             cibadmin --delete --xpath \"//resources/*[@id='$r']\"
         done
         lab-idle"
    );
    node.run(&script, Duration::from_secs(240)).map(drop)
}
