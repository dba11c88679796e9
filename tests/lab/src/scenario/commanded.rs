//! commanded-takeover: `understudy takeover` and `giveback`, and what they refuse.

use super::world::{COMMAND, TAKEOVER};
use super::{Seen, World, under_load};
use crate::cluster;
use crate::error::{Error, Result};
use crate::groups::Group;
use crate::guest::Guest;
use crate::load::Pace;
use crate::plan::ARRAYS;
use crate::progress;

/// Plays commanded-takeover.
pub fn run(world: &World) -> Result<Seen> {
    let [group, other] = &world.groups;
    under_load(world, Pace::Bursts, || {
        let node = world.node(group.home)?;
        progress::during("wrong use: a line, and a code", || refusals(node, group))?;
        progress::during("what only looks", || looks(node, group, other))?;
        for (verb, to) in [("takeover", group.partner), ("giveback", group.home)] {
            let step = progress::step(format!("understudy {verb} {}", group.name));
            command(world, verb, group, to)?;
            world.load.wait_flow()?;
            step.done("");
        }
        progress::during("a partner that is banned: refused, the ban stays", || {
            banned(node, group)
        })?;
        progress::during("a partner in standby: refused, then given back", || {
            standby(world, group, other)?;
            world.load.wait_flow()
        })?;
        progress::during("a partner without its cluster: refused as well", || {
            stopped(world, group, other)?;
            world.load.wait_flow()
        })?;
        Ok(vec![group.clone(), other.clone()])
    })
}

/// Commands a move. The move is done when the command ends, and leaves no rule behind.
fn command(world: &World, verb: &str, group: &Group, to: &str) -> Result<()> {
    let node = world.node(group.home)?;
    let said = node.run(&format!("understudy {verb} {}", group.name), TAKEOVER)?;
    let wrong = |why: String| Err(Error::other(format!("{verb}: {why}: {said}")));
    if !said.contains(&format!("{}: on {to}; away for ", group.name)) {
        return wrong("it does not say how long the port was away".into());
    }
    world.must_be_on(group, to)?;
    world.must_own(group, to)?;
    let pause = format!("group_pause_seconds{{group=\"{}\",node=\"{to}\"}}", group.name);
    node.run(&format!("understudy metrics | grep '{pause}'"), COMMAND)?;
    let rules = "! cibadmin -Q -o constraints | grep -E 'id=\"(cli|understudy-move)-'";
    node.run(rules, COMMAND).map(drop)
}

/// Runs commands that change nothing, and checks what each of them says.
fn looks(node: &Guest, group: &Group, other: &Group) -> Result<()> {
    let (here, there) = (group.name, other.name);
    for (command, words) in [
        ("status".to_owned(), format!("group {here}, native")),
        ("status --cluster".to_owned(), format!("{there} ")),
        (format!("check {here}"), "reservations 5 this node's".to_owned()),
        (format!("check {there}"), "reservations 5 another's".to_owned()),
        (format!("check {there}"), format!("every LUN as {} presents it", other.home)),
        (format!("plan {here} stop"), "1. quiesce the LUNs".to_owned()),
        (
            format!("plan {there} start"),
            "own the disks and make the backstores".to_owned(),
        ),
        ("metrics".to_owned(), format!("understudy_luns_owned{{group=\"{here}\"}} 4")),
    ] {
        let said = node.run(&format!("understudy {command}"), COMMAND)?;
        if !said.contains(&words) {
            return Err(Error::other(format!("understudy {command}: {said}")));
        }
    }
    Ok(())
}

fn refusals(node: &Guest, group: &Group) -> Result<()> {
    let name = group.name;
    for (command, code, words) in [
        ("takeover nonsense".to_owned(), 1, "'nonsense' is no takeover group"),
        ("takeover fcport".to_owned(), 1, "'fcport' is no takeover group"),
        ("takeover".to_owned(), 2, "GROUP is missing"),
        (format!("takeover {name} --node nobody"), 1, "'nobody' is no node"),
    ] {
        refused(node, &format!("understudy {command}"), code, words)?;
    }
    let nobody = "setpriv --reuid=nobody --regid=nogroup --clear-groups understudy";
    refused(node, &format!("{nobody} takeover {name}"), 4, "be root")?;
    // Nothing to do is no error.
    let said = node.run(&format!("understudy giveback {name}"), COMMAND)?;
    if said.trim() == format!("{name} is on {} already", group.home) {
        return Ok(());
    }
    Err(Error::other(format!("giveback: {said}")))
}

/// Checks that a command is refused with one line that says why.
fn refused(node: &Guest, command: &str, code: i32, words: &str) -> Result<()> {
    let answer = node.try_run(&format!("{command} > /dev/null"), COMMAND);
    let said = answer.explain();
    let lines = said.lines().filter(|line| line.starts_with("understudy: ")).count();
    if answer.code() == Some(code) && lines == 1 && said.contains(words) {
        return Ok(());
    }
    Err(Error::other(format!("{command}: {said}")))
}

/// Checks that no command moves a group to a node from which a person has banned it, and
/// that a ban of another node is still there after two moves.
fn banned(node: &Guest, group: &Group) -> Result<()> {
    let (name, partner) = (group.name, group.partner);
    let rule = |on: &str| {
        format!(
            "<rsc_location id=\"cli-ban-{name}-on-{on}\" rsc=\"{name}\" node=\"{on}\" \
             score=\"-INFINITY\"/>"
        )
    };
    let both = format!("{}{}", rule(partner), rule("elsewhere"));
    let create = format!(
        "cibadmin --modify --allow-create --scope constraints \
         -X '<constraints>{both}</constraints>' && lab-idle"
    );
    node.run(&create, COMMAND)?;
    let ban = format!("rule cli-ban-{name}-on-{partner} keeps {name} from {partner}");
    refused(node, &format!("understudy takeover {name}"), 1, &ban)?;
    let at = |on: &str| format!("\"//rsc_location[@id='cli-ban-{name}-on-{on}']\"");
    let gone = |on: &str| {
        let rule = at(on);
        format!("cibadmin --query --xpath {rule} && cibadmin --delete --xpath {rule}")
    };
    node.run(&format!("{} && lab-idle", gone(partner)), COMMAND)?;
    for verb in ["takeover", "giveback"] {
        node.run(&format!("understudy {verb} {name}"), TAKEOVER)?;
    }
    node.run(&gone("elsewhere"), COMMAND).map(drop)
}

fn standby(world: &World, group: &Group, other: &Group) -> Result<()> {
    let (node, mark) = (world.node(group.home)?, world.mark()?);
    world.set_standby(group.partner, true)?;
    world.wait_served(mark, other, other.partner)?;
    node.run("lab-idle", COMMAND)?;
    let name = group.name;
    refused(node, &format!("understudy takeover {name}"), 1, "is in standby")?;
    world.set_standby(group.partner, false)?;
    node.run("lab-idle", COMMAND)?;
    command(world, "giveback", other, other.home)
}

fn stopped(world: &World, group: &Group, other: &Group) -> Result<()> {
    let (node, partner) = (world.node(group.home)?, world.node(group.partner)?);
    let mark = world.mark()?;
    partner.run("systemctl stop pacemaker", COMMAND)?;
    world.wait_served(mark, other, other.partner)?;
    node.run("lab-idle", COMMAND)?;
    let takeover = format!("understudy takeover {}", group.name);
    refused(node, &takeover, 1, "is not online")?;
    let none = "no cluster runs on this node";
    refused(partner, "understudy status --cluster", 1, none)?;
    refused(partner, &format!("understudy check {}", group.name), 1, none)?;
    partner.run("systemctl start pacemaker", COMMAND)?;
    cluster::wait_online(node, ARRAYS.len(), COMMAND)?;
    node.run("lab-idle", COMMAND)?;
    command(world, "giveback", other, other.home)
}
