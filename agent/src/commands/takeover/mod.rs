//! `understudy takeover` and `giveback`: a move, commanded through Pacemaker and watched.

mod follow;
mod obstacles;
#[cfg(test)]
mod sample;
mod target;

use understudy_core::action::failure::{Failure, Kind};
use understudy_core::kernel::Kernel;
use understudy_core::run_files::moves::{self, Move};

use super::complain;
use super::line::Line;
use super::tied::tied;
use crate::cluster::standing::ban;
use crate::cluster::{self, Configuration, Standing};
use crate::exit::Code;
use follow::{AGAIN, follow, say};
use obstacles::{doubts, never, veto};
use target::{Verb, target};

/// Moves a group to the named node, or to one of the others that can take it.
pub fn takeover(kernel: &dyn Kernel, this: &str, line: &Line) -> Code {
    commanded(Verb::Takeover, kernel, this, line)
}

/// Moves a group to the node that it belongs to.
pub fn giveback(kernel: &dyn Kernel, this: &str, line: &Line) -> Code {
    commanded(Verb::Giveback, kernel, this, line)
}

fn commanded(verb: Verb, kernel: &dyn Kernel, this: &str, line: &Line) -> Code {
    match carry_out(verb, kernel, this, line) {
        Ok(()) => Code::Success,
        Err(failure) => {
            let code =
                if failure.kind == Kind::Node { Code::Installed } else { Code::Failed };
            complain(&failure.to_string(), code)
        }
    }
}

fn carry_out(
    verb: Verb,
    kernel: &dyn Kernel,
    this: &str,
    line: &Line,
) -> Result<(), Failure> {
    let view = cluster::view()?;
    let group = view.group(line.word())?;
    let configuration = Configuration::read(this)?;
    let configured = configuration.group(&group.id)?;
    if let (Verb::Giveback, Err(failure)) = (verb, &configured.parameters) {
        return Err(failure.clone());
    }
    let (rules, home) = (configuration.rules_of(&group.id)?, configured.home());
    let target = target(verb, &view, &rules, group, home, line.value("--node"))?;
    let (target, chosen) = (target.node, target.why);
    let name = &target.name;
    if group.nodes.contains(name) && group.state == "Started" {
        say(&format!("{} is on {name} already", group.id));
        return Ok(());
    }
    if let Some(why) = never(&view, group, target) {
        return Err(veto(why));
    }
    if let Some(rule) = ban(&view, &rules, group, name) {
        let cause = format!("rule {rule} keeps {} from {name}", group.id);
        return Err(veto(cause).advise(
            "Whoever made it had a reason. Once that is over, take it away: crm_resource \
             --clear, or --clear --expired for rules that have ended",
        ));
    }
    let on = group.nodes.first();
    if let Some(why) = on.and_then(|on| tied(kernel, this, configured, on)) {
        return Err(
            veto(why).advise("Move those groups away first: they would go with it")
        );
    }
    let scope = || configuration.scope(kernel, configured, this, || Some(&view));
    let standing = Standing::of(&view, &rules, group, target);
    match (doubts(kernel, this, standing, target, scope), line.has("--force")) {
        (Some(why), false) => {
            return Err(veto(why).advise("--force goes on regardless"));
        }
        (Some(why), true) => say(&format!("{why}; going on, as --force says")),
        (None, _) => {}
    }
    if let Some(why) = chosen {
        say(&format!("{}: {why}", group.id));
    }
    let from = group.nodes.first().map_or("no node", String::as_str);
    say(&format!("{}: from {from} to {name}", group.id));
    cluster::order_move(&group.id, name)?;
    let moved = follow(&group.id, name);
    // Also where the move failed: no rule of ours is to stay.
    let cleared = cluster::forget_move(&group.id);
    let away = moved?;
    let away_ms = u64::try_from(away.as_millis()).unwrap_or(u64::MAX);
    let moved = Move { group: group.id.clone(), node: name.clone(), away_ms };
    // This is for the metrics only: where it fails, the move is done nevertheless.
    if let Err(failure) = moves::remember(kernel, &moved) {
        log::warn!("{failure}");
    }
    cleared?;
    let (away, step) = (away.as_secs_f64(), AGAIN.as_secs_f64());
    say(&format!(
        "{}: on {name}; away for {away:.1} s, give or take {step:.1}",
        group.id
    ));
    Ok(())
}
