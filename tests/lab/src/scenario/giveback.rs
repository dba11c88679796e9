//! giveback-policy: the recipes of docs/giveback.md. A group comes home by itself once
//! its home has had all that the group needs for long enough, and not before.

use std::time::{Duration, Instant};

use super::readme::block;
use super::world::COMMAND;
use super::{Seen, World, under_load};
use crate::error::{Error, Result};
use crate::groups::Group;
use crate::load::Pace;
use crate::{paths, progress, shelf};

/// The time that the recipes give, and the shorter time that is tried instead.
const TIMES: (&str, Duration) = ("300", Duration::from_secs(10));
/// How long a recipe may take: a few commands of an interpreted language on an emulated
/// processor.
const RECIPE: Duration = Duration::from_secs(240);

/// Plays giveback-policy.
pub fn run(world: &World) -> Result<Seen> {
    let page = paths::read(&paths::workspace().join("docs/giveback.md"))?;
    let [group, _] = &world.groups;
    under_load(world, Pace::Bursts, || {
        let partner = world.node(group.partner)?;
        let follow = |shell: &str, policy: &str| {
            let recipe = block(&page, &format!("{shell} {policy}"))
                .ok_or_else(|| Error::other(format!("no recipe: {shell} {policy}")))?;
            let recipe = recipe.replace(TIMES.0, &TIMES.1.as_secs().to_string());
            let script = format!("set -e\n{recipe}\nlab-idle");
            let step = progress::step(format!("{shell}: {policy}"));
            partner.run(&script, RECIPE)?;
            step.done("");
            Ok::<_, Error>(())
        };
        follow("pcs", "automatic")?;
        comes_home(world, group)?;
        world.load.wait_flow()?;
        follow("crm", "manual")?;
        follow("crm", "automatic")?;
        follow("pcs", "manual")?;
        world.groups.iter().try_for_each(|group| world.must_be_on(group, group.home))?;
        Ok(vec![group.clone()])
    })
}

/// Checks that nothing moves when home comes back without one of its disks. Checks that
/// the group comes home the set time after that disk is back.
fn comes_home(world: &World, group: &Group) -> Result<()> {
    let (home, partner) = (world.node(group.home)?, world.node(group.partner)?);
    let disk = group.disks().pop().ok_or_else(|| Error::other("it has no disk"))?;
    let ready = format!("ready-{}", group.name);
    progress::during("home in standby: the partner serves", || {
        let mark = world.mark()?;
        world.set_standby(group.home, true)?;
        world.wait_served(mark, group, group.partner)?;
        partner.run("lab-idle", COMMAND)
    })?;
    progress::during("home without a disk: it stays there", || {
        shelf::take_away(home, &disk)?;
        world.set_standby(group.home, false)?;
        world.wait_attribute(group.home, &ready, "-1")?;
        world.must_be_on(group, group.partner)?;
        // A giveback that the other node commands is refused for that reason.
        let giveback = format!(
            "understudy giveback {} 2>&1 | grep 'says that it lacks something'",
            group.name
        );
        partner.run(&giveback, COMMAND)?;
        world.must_be_on(group, group.partner)
    })?;
    let mark = world.mark()?;
    let step = progress::step("home with its disk: it comes, in its own time");
    shelf::find_again(home, &disk)?;
    let whole = Instant::now();
    world.wait_attribute(group.home, &ready, "0")?;
    world.must_be_on(group, group.partner)?;
    world.wait_served(mark, group, group.home)?;
    // The monitor may have begun to count a moment before the disk was seen here.
    let early = whole.elapsed() + Duration::from_secs(1) < TIMES.1;
    partner.run("lab-idle", COMMAND)?;
    if early {
        return Err(Error::other(format!("it came after {:?}", whole.elapsed())));
    }
    step.done("");
    Ok(())
}
