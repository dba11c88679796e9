//! `understudy accept`: a person's word that LUN numbers may have other disks than before.

use std::io::Write;

use understudy_core::action::failure::{Failure, Kind};
use understudy_core::config::group::{Group, Slot};
use understudy_core::disks::disk;
use understudy_core::kernel::Kernel;
use understudy_core::lio::numbers::{KEEP, Numbers};

use super::complain;
use super::line::Line;
use crate::cluster::{self, Configuration};
use crate::exit::Code;

/// Prints which LUN numbers have another disk than the one that initiators know. With
/// `--yes` also has the cluster remember the new disks.
pub fn accept(kernel: &dyn Kernel, node: &str, line: &Line) -> Code {
    match changes(kernel, node, line) {
        Ok(text) => {
            // An error is ignored: the reader may have gone.
            let _ = std::io::stdout().write_all(text.as_bytes());
            Code::Success
        }
        Err(failure) => complain(&failure.to_string(), Code::Failed),
    }
}

fn changes(kernel: &dyn Kernel, node: &str, line: &Line) -> Result<String, Failure> {
    let id = cluster::view()?.group(line.word())?.id.clone();
    let scope = Configuration::read(node)?.group(&id)?.scope(kernel)?;
    let group = match &scope.group {
        Ok(group) => group,
        Err(error) => {
            return Err(Failure::new(Kind::Configuration, "read the parameters", error));
        }
    };
    // Every disk must be found: a number without a remembered disk could be any disk from
    // then on.
    let disks = disk::find_all(kernel, &group.disks, &[])?;
    let numbers = Numbers::of(kernel, group, &disks);
    let mut text = match cluster::numbers_of(&id) {
        Ok(None) => {
            let nothing = "the cluster remembers nothing; nothing is in the way";
            return Ok(format!("{id}: {nothing}\n"));
        }
        Ok(Some(before)) => {
            let moved = numbers.moved_since(&before);
            let moved = moved.iter().map(|lun| row(group, *lun));
            let smaller = numbers.smaller_than(&before);
            let smaller = smaller.iter().map(|smaller| format!("{smaller}\n"));
            moved.chain(smaller).collect()
        }
        Err(failure) => format!("{failure}\n"),
    };
    if text.is_empty() {
        return Ok(format!(
            "{id}: every LUN number has the disk that it had, none of them smaller\n"
        ));
    }
    if !line.has("--yes") {
        text += "Initiators that know these numbers would write to other disks, or past the end. \
                 Nothing\nis changed; --yes takes what is there for right.\n";
        return Ok(text);
    }
    cluster::remember_numbers(&id, &numbers)?;
    // The cleanup has the cluster try a start again that was refused.
    cluster::ask(KEEP, "crm_resource", &["--cleanup", "--resource", &id])?;
    Ok(text + "Accepted; the cluster tries to start the group again.\n")
}

fn row(group: &Group, lun: u16) -> String {
    let disk = group.disks.iter().find(|disk| disk.slot == Slot::Lun(lun));
    let device = disk.map_or_else(String::new, |disk| disk.device.to_string());
    format!("LUN {lun:<5} gets another disk: {device}\n")
}
