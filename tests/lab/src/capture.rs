//! Captures of the frames of an emulated HBA, as Wireshark reads them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::plan::Folders;
use crate::{paths, program};

/// How many frames are printed of those that tshark calls malformed.
const SHOWN: usize = 5;

/// Returns the path of the capture of an HBA's frames in one boot of its guest.
#[must_use]
pub fn of_hba(folders: &Folders, guest: &str, boot: u32) -> PathBuf {
    folders.log(&format!("{guest}.{boot}.hba.pcap"))
}

/// Has tshark read a capture, in which there must be each of these words, and no frame
/// that is malformed. Returns how many frames there were.
///
/// # Errors
/// tshark is not installed, calls a frame malformed, or does not find one of the words.
pub fn must_tell(capture: &Path, words: &[&str]) -> Result<usize> {
    let told = capture.with_extension("tshark");
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(capture).args(["-T", "fields"]);
    tshark.args(["-e", "frame.number", "-e", "_ws.malformed", "-e", "_ws.col.Info"]);
    program::run(tshark, &told)?;
    let text = fs::read_to_string(&told).map_err(Error::io("read", &told))?;
    let malformed: Vec<_> = malformed(&text).take(SHOWN).collect();
    let unread = words.iter().find(|word| !text.contains(**word));
    match (malformed.is_empty(), unread) {
        (true, None) => paths::remove(&told).map(|()| text.lines().count()),
        (false, _) => Err(Error::other(format!(
            "{}: malformed:\n{}",
            capture.display(),
            malformed.join("\n")
        ))),
        (true, Some(word)) => {
            Err(Error::other(format!("{}: no {word}", capture.display())))
        }
    }
}

/// Returns the lines of frames that tshark calls malformed: a frame's number, why, and what
/// tshark takes it for.
fn malformed(told: &str) -> impl Iterator<Item = &str> {
    let is = |line: &&str| line.split('\t').nth(1).is_some_and(|it| !it.is_empty());
    told.lines().filter(is)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tshark_says_to_root_is_no_frame() {
        let told = "Running as user \"root\".\n1\t\tPLOGI\n2\tMALFORMED\tPRLI\n";
        assert_eq!(malformed(told).collect::<Vec<_>>(), ["2\tMALFORMED\tPRLI"]);
    }
}
