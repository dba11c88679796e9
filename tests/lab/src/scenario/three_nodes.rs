//! three-nodes: a cluster of four members, as people build them.
//!
//! The third member is a storage node whose name in the cluster is not its host name. It
//! is the spare of the other two, and has a group of its own, made by a template. The
//! fourth member only votes, and has no agent. The spare takes both groups beside its
//! own, and loses its power. Each group finds a node. Then both members leave again.

use std::time::Duration;

use super::world::{COME_BACK, COMMAND, TAKEOVER};
use super::{Seen, World, under_load_on};
use crate::cluster::{self, Member};
use crate::error::{Error, Result};
use crate::groups::{self, Group, Lun};
use crate::guest::Guest;
use crate::load::Pace;
use crate::plan::{ARRAYS, MEMBERS, SPARE, STORAGE_NODES, VOTE};
use crate::{install, lab, progress, speed};

/// The third storage node's name in the cluster.
const CALLED: &str = "Spare-C";
/// The third storage node, as a member of the cluster.
const THIRD: Member = Member { guest: SPARE, name: CALLED };
const VOTER: Member = Member { guest: VOTE, name: VOTE };

/// Plays three-nodes.
pub fn run(world: &World) -> Result<Seen> {
    let third = groups::third();
    progress::during("a vote and a third storage node: boot", || {
        call_in(world, VOTE)?;
        call_in(world, SPARE)
    })?;
    let [a, b] = cluster::pair();
    progress::during("the vote joins, without the agent", || {
        joins(world, &[a, b, VOTER], VOTER)
    })?;
    progress::during("the third storage node joins", || {
        install::packages(&world.lab, &[SPARE])?;
        joins(world, &[a, b, VOTER, THIRD], THIRD)
    })?;
    let luns = progress::during("its group, made by a template: served", || {
        serve(world, &third)
    })?;
    let luns = [world.luns()?, luns].concat();
    let seen = under_load_on(world, &luns, Pace::Bursts, || {
        progress::during("check and status, on each of three", || looks(world, &third))?;
        progress::during("a takeover chooses, and never the vote", || chooses(world))?;
        progress::during("the spare takes both", || spare_takes(world))?;
        let mark = world.mark()?;
        world.cut_power(SPARE)?;
        progress::during("each group finds a node", || {
            for group in &world.groups {
                world.wait_served(mark, group, group.home)?;
            }
            world.load.wait_flow()
        })?;
        progress::during("the spare is back, its group comes home", || {
            come_back(world)?;
            world.node(SPARE)?.run("understudy giveback group-c", TAKEOVER)?;
            world.must_be_on(&third, SPARE)?;
            world.load.wait_flow()
        })?;
        Ok(vec![world.groups[0].clone(), world.groups[1].clone(), third.clone()])
    })?;
    progress::during("its group goes, and both members", || {
        world.load.pause()?;
        let node = world.any_node()?;
        groups::forget(node, &[third.name])?;
        node.run("cibadmin --delete --xpath \"//template[@id='like-c']\"", COMMAND)?;
        leaves(world, &[a, b, VOTER], THIRD)?;
        leaves(world, &[a, b], VOTER)?;
        world.wait_whole()
    })?;
    Ok(seen)
}

/// Powers on a guest that is off until it is needed, waits for it, and gives the cluster
/// a fencing device for it.
fn call_in(world: &World, name: &str) -> Result<()> {
    let port = world.lab.call_in(name)?;
    let member = if name == SPARE { THIRD } else { VOTER };
    let guest = world.node(name)?;
    guest.make_nice();
    guest.wait_up(COME_BACK)?;
    if name == SPARE {
        lab::wait_port(guest, COME_BACK)?;
        lab::wait_unit(guest, "lab-disks.service", COME_BACK)?;
    }
    let (device, rule) = cluster::fence(member, port);
    let script = format!(
        "cibadmin --create --scope resources --xml-text '{device}' &&
         cibadmin --create --scope constraints --xml-text '{rule}'"
    );
    world.any_node()?.run(&script, COMMAND).map(drop)
}

/// Adds a member to the cluster. All others know it before it speaks.
fn joins(world: &World, members: &[Member], new: Member) -> Result<()> {
    let guest = world.node(new.guest)?;
    members.iter().try_for_each(|m| cluster::tell(world.node(m.guest)?, members))?;
    cluster::reload(world.any_node()?)?;
    guest.run("systemctl restart corosync && systemctl restart pacemaker", COMMAND)?;
    cluster::wait_online(world.any_node()?, members.len(), COME_BACK)?;
    world.any_node()?.run("crm_resource --cleanup && lab-idle", COMMAND * 2).map(drop)
}

/// Removes a member from the cluster. The member ends first.
fn leaves(world: &World, members: &[Member], old: Member) -> Result<()> {
    let (guest, node) = (world.node(old.guest)?, world.any_node()?);
    guest.run("systemctl stop pacemaker corosync", COMMAND * 2)?;
    guest.power_off();
    members.iter().try_for_each(|m| cluster::tell(world.node(m.guest)?, members))?;
    cluster::reload(node)?;
    let script = format!(
        "set -e
         crm_node --force -R {}
         cibadmin --delete --xpath \"//rsc_location[@rsc='fence-{guest}']\"
         crm_resource -r fence-{guest} --meta -p target-role -v Stopped; lab-idle
         cibadmin --delete --xpath \"//primitive[@id='fence-{guest}']\"; lab-idle",
        old.name,
        guest = old.guest
    );
    node.run(&script, COMMAND * 2).map(drop)
}

/// Configures a group whose common parameters come from a template, one of them by a
/// rule, and waits until the third node serves it.
///
/// The template has no `id-ref`, because Pacemaker 3.0.0 does not find what a reference
/// below a template leads to.
fn serve(world: &World, group: &Group) -> Result<Vec<Lun>> {
    let mark = world.mark()?;
    let value = |name| group.parameter(name).unwrap_or_default();
    let pairs = |id: &str, names: &[(&str, String)]| {
        let pair = |(name, value): &(&str, String)| {
            format!("<nvpair id=\"{id}-{name}\" name=\"{name}\" value=\"{value}\"/>")
        };
        names.iter().map(pair).collect::<String>()
    };
    let own = ["wwnn", "ports", "disks"].map(|name| (name, value(name)));
    // A name in another case is the same node's.
    let own = [own.as_slice(), &[("home", CALLED.to_uppercase())]].concat();
    let template = format!(
        "<template id=\"like-c\" class=\"ocf\" provider=\"understudy\" type=\"vport\">\
         <instance_attributes id=\"like-c-set\">{}</instance_attributes>\
         <instance_attributes id=\"like-c-by-rule\"><rule id=\"like-c-rule\" score=\"0\">\
         <expression id=\"like-c-rule-node\" attribute=\"#uname\" operation=\"ne\" \
         value=\"nobody\"/></rule>\
         <nvpair id=\"like-c-link_loss\" name=\"link_loss\" value=\"degraded\"/>\
         </instance_attributes>\
         <meta_attributes id=\"like-c-meta\">\
         <nvpair id=\"like-c-stickiness\" name=\"resource-stickiness\" value=\"1000\"/>\
         </meta_attributes>\
         <operations>\
         <op id=\"like-c-start\" name=\"start\" interval=\"0s\" timeout=\"60s\"/>\
         <op id=\"like-c-stop\" name=\"stop\" interval=\"0s\" timeout=\"60s\"/>\
         <op id=\"like-c-monitor\" name=\"monitor\" interval=\"10s\" timeout=\"30s\"/>\
         </operations></template>",
        pairs("like-c-set", &[("initiators", value("initiators"))])
    );
    let primitive = format!(
        "<primitive id=\"group-c\" template=\"like-c\">\
         <instance_attributes id=\"group-c-parameters\">{}</instance_attributes>\
         </primitive>",
        pairs("group-c-parameters", &own)
    );
    let xml = format!(
        "<configuration><resources>{template}{primitive}</resources><constraints>\
         <rsc_location id=\"group-c-home\" rsc=\"group-c\" node=\"{CALLED}\" \
         score=\"100\"/></constraints></configuration>"
    );
    groups::modify(world.any_node()?, &speed::stretch_times(&xml))?;
    world.wait_served(mark, group, SPARE)?;
    groups::luns_of(world.lab.host()?, group, group.disks().len(), COMMAND)
}

/// Checks that all storage nodes give the same answers, and that the member which only
/// votes has no answer.
fn looks(world: &World, third: &Group) -> Result<()> {
    for name in STORAGE_NODES {
        let node = world.node(name)?;
        for group in world.groups.iter().chain([third]) {
            node.run(&format!("understudy check {}", group.name), COMMAND)?;
        }
        let home = format!("understudy status --cluster | grep -E 'group-c .*{CALLED}'");
        node.run(&home, COMMAND)?;
    }
    let native = "understudy status | grep 'group group-c, native'";
    world.node(SPARE)?.run(native, COMMAND)?;
    for group in &world.groups {
        let ready = format!(
            "set -e; ready=$(attrd_updater -n ready-{} -Q -A)
             for n in {} {CALLED}; do echo \"$ready\" | grep \"host=\\\"$n\\\"\"; done
             ! echo \"$ready\" | grep 'host=\"{VOTE}\"'",
            group.name,
            ARRAYS.join(" ")
        );
        world.any_node()?.run(&ready, COMMAND)?;
    }
    Ok(())
}

/// Commands a takeover without naming a node. The group goes to a storage node, and home
/// again. A takeover to the member that only votes is refused.
fn chooses(world: &World) -> Result<()> {
    let [group, _] = &world.groups;
    let node = world.node(group.home)?;
    // Pacemaker keeps a group from a node without its agent, and leaves it where it is.
    for (how, why) in
        [("", "says nothing of its ports"), (" --force", "stay where it is")]
    {
        let to_vote = format!("understudy takeover {} --node {VOTE}{how}", group.name);
        let said = node.try_run(&to_vote, COMMAND);
        if said.code() != Some(1) || !said.stderr.contains(why) {
            return Err(Error::other(format!("not refused{how}: {}", said.explain())));
        }
    }
    let mark = world.mark()?;
    node.run(&format!("understudy takeover {}", group.name), TAKEOVER)?;
    world.load.wait_flow()?;
    node.run(&format!("understudy giveback {}", group.name), TAKEOVER)?;
    world.wait_served(mark, group, group.home)?;
    world.load.wait_flow()
}

/// Moves both groups to the spare, by its name in the cluster. The spare serves three
/// groups then.
fn spare_takes(world: &World) -> Result<()> {
    for group in &world.groups {
        let take = format!("understudy takeover {} --node {CALLED}", group.name);
        world.node(SPARE)?.run(&take, TAKEOVER)?;
        world.must_be_on(group, SPARE)?;
    }
    world.load.wait_flow()
}

/// Waits until the spare is a member again, with its disks.
fn come_back(world: &World) -> Result<()> {
    let spare: &Guest = world.node(SPARE)?;
    world.load.in_bursts(|| {
        spare.wait_up(COME_BACK)?;
        lab::wait_port(spare, COME_BACK)?;
        lab::wait_unit(spare, "lab-disks.service", COME_BACK)?;
        cluster::wait_online(world.any_node()?, MEMBERS.len(), COME_BACK)
    })?;
    let time: Duration = COMMAND * 2;
    world.any_node()?.run("crm_resource --cleanup && lab-idle", time).map(drop)
}
