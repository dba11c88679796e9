//! readme-examples: the configurations that README shows, run as they are printed there.

use std::time::Duration;

use super::world::COMMAND;
use super::{Seen, World};
use crate::error::{Error, Result};
use crate::guest::Guest;
use crate::{groups, paths, progress, speed};

/// The shells of the examples: the words after `sh` at the beginning of README's code
/// blocks.
const SHELLS: [&str; 2] = ["pcs", "crm"];
/// How long an example may take: four commands of an interpreted language on an emulated
/// processor.
const EXAMPLE: Duration = Duration::from_secs(240);

/// Plays readme-examples. Nothing is under load, because the groups are removed and made
/// again.
pub fn run(world: &World) -> Result<Seen> {
    let readme = paths::read(&paths::workspace().join("README.md"))?;
    let node = world.any_node()?;
    world.load.pause()?;
    for shell in SHELLS {
        let example = block(&readme, shell)
            .ok_or_else(|| Error::other(format!("no {shell} block in README.md")))?;
        let example = speed::stretch_times(example);
        progress::during(format!("{shell}: both groups served as printed"), || {
            forget(world, node)?;
            configured(world, || {
                node.run(&format!("set -e\n{example}"), EXAMPLE).map(drop)
            })
        })?;
    }
    progress::during("both groups as they were", || {
        forget(world, node)?;
        configured(world, || groups::configure(node, &world.groups))?;
        world.luns().map(drop)
    })?;
    Ok(Seen::default())
}

fn configured(world: &World, configure: impl FnOnce() -> Result<()>) -> Result<()> {
    let mark = world.mark()?;
    configure()?;
    for group in &world.groups {
        world.wait_served(mark, group, group.home)?;
    }
    let node = world.any_node()?;
    world.groups.iter().try_for_each(|group| {
        let level = format!(
            "cibadmin --query > /dev/null --xpath \"//primitive[@id='{}']\
             //op[@name='monitor']//nvpair[@name='OCF_CHECK_LEVEL'][@value='10']\"",
            group.name
        );
        node.run(&level, COMMAND).map(drop)
    })?;
    node.run("lab-idle", COMMAND).map(drop)
}

/// Removes both groups and the watch from the configuration.
fn forget(world: &World, node: &Guest) -> Result<()> {
    let [a, b] = world.groups.each_ref().map(|group| group.name);
    groups::forget(node, &[a, b, groups::WATCH])
}

/// Returns the text of the code block that begins with "```sh NAME".
pub fn block<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = text.split_once(&format!("```sh {name}\n"))?;
    after.split_once("```").map(|(block, _)| block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_found_by_its_name() {
        let text = "x\n```sh one\na\nb\n```\n```sh two\nc\n```\n";
        assert_eq!(block(text, "one"), Some("a\nb\n"));
        assert_eq!(block(text, "two"), Some("c\n"));
        assert_eq!(block(text, "three"), None);
    }
}
