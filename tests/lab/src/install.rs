//! The ways in which the agent gets onto the storage nodes: as the packages that users
//! install or, for a demonstration, as it was just built.

use std::path::PathBuf;
use std::process::Command;

use crate::error::{Error, Result};
use crate::fabric::binary;
use crate::lab::{self, Lab};
use crate::scenario::world::COMMAND;
use crate::{paths, program};

/// A way to put the agent on storage nodes of these names.
pub type Install = fn(&Lab, &[&str]) -> Result<()>;

/// The packages that are installed on the storage nodes: the agent, and the Python
/// module.
const PACKAGES: [&str; 2] = ["understudy", "python3-understudy"];

/// Installs the packages on these nodes.
///
/// # Errors
/// A package is not built, or cannot be installed.
pub fn packages(lab: &Lab, nodes: &[&str]) -> Result<()> {
    let target = paths::workspace().join("target/deb");
    let entries = std::fs::read_dir(&target).map_err(Error::io("list", &target))?;
    let built: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    for name in PACKAGES {
        // understudy_0.1.0_amd64.deb
        let begin = format!("{name}_");
        let is_it = |path: &&PathBuf| {
            path.file_name()
                .is_some_and(|file| file.to_string_lossy().starts_with(&begin))
        };
        let package = built.iter().find(is_it);
        let package = package
            .ok_or_else(|| Error::other(format!("no {name} in target/deb: make deb")))?;
        let shared = lab.folders().share().join(format!("{name}.deb"));
        std::fs::copy(package, &shared).map_err(Error::io("copy to", &shared))?;
    }
    let files = PACKAGES.map(|name| format!("/lab/{name}.deb")).join(" ");
    // Synced: a node that loses its power keeps the package.
    on(lab, nodes, &format!("dpkg -i {files} && sync"))
}

/// Puts the files of a package on these nodes, with the agent that was built beside the
/// lab. This is quick, because no package is built.
///
/// # Errors
/// The agent is not built, or its files cannot be put there.
pub fn built(lab: &Lab, nodes: &[&str]) -> Result<()> {
    let root = lab.folders().share().join("agent");
    paths::remove(&root)?;
    let mut command = Command::new(paths::workspace().join("packaging/install"));
    command.arg(binary("understudy")?).arg(&root);
    program::run(command, &lab.folders().log("install"))?;
    // The files are owned by root there, no matter which user runs the lab.
    let script = "cp -r -d --preserve=mode /lab/agent/usr/. /usr/ &&
                  systemd-tmpfiles --create understudy.conf && sync";
    on(lab, nodes, script)
}

/// Runs a script on these nodes, side by side.
fn on(lab: &Lab, nodes: &[&str], script: &str) -> Result<()> {
    let nodes = lab.all().filter(|guest| nodes.contains(&guest.name()));
    lab::side_by_side(nodes, |guest| guest.run(script, COMMAND * 2).map(drop))
}
