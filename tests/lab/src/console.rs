//! What a guest's kernel says on its console when something is wrong with it.

/// How many lines are taken with a message: the registers, and the calls that led there.
const STORY: usize = 45;

/// The words by which the kernel reports a task that hangs.
const HUNG: &str = "blocked for more than";
/// The words by which a kernel reports that it is damaged.
const TROUBLE: [&str; 5] =
    ["BUG: ", "Oops: ", "general protection fault", "Internal error", "Kernel panic"];

/// How many lines of an initiator's journal explain why commands failed.
const LINES: usize = 12;

/// Returns what an initiator's kernel says of commands that failed: the first lines of
/// its journal that name a command or a remote port.
#[must_use]
pub fn failed_commands(journal: &str) -> String {
    let signs = ["FAILED Result", "Sense Key", "I/O error, dev", " rport-"];
    let tells = |line: &&str| signs.iter().any(|sign| line.contains(sign));
    journal.lines().filter(tells).take(LINES).collect::<Vec<_>>().join("\n")
}

/// Returns the first report of a hanging task in a console's text, with the lines after
/// it.
#[must_use]
pub fn hung(console: &str) -> Option<String> {
    story(console, &[HUNG])
}

/// Returns the first report of a damaged kernel in a console's text, with the lines after
/// it.
#[must_use]
pub fn trouble(console: &str) -> Option<String> {
    story(console, &TROUBLE)
}

fn story(console: &str, signs: &[&str]) -> Option<String> {
    let begins = |line: &str| signs.iter().any(|sign| line.contains(sign));
    let lines: Vec<_> = console.lines().map(str::trim_end).collect();
    let first = lines.iter().position(|line| begins(line))?;
    Some(lines.into_iter().skip(first).take(STORY).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_from_its_first_line_on() {
        let console = "[ 1.0] all well\n[ 2.0] BUG: kernel NULL pointer\n[ 2.0] RIP: x\n\
                       [ 2.1] Kernel panic - not syncing\n";
        let told = trouble(console).unwrap();
        assert!(told.starts_with("[ 2.0] BUG: "), "{told}");
        assert!(told.contains("RIP: x") && told.ends_with("not syncing"), "{told}");
        assert_eq!(trouble("[ 1.0] all well\n"), None);
        let hangs = "[ 9.0] INFO: task x:1 blocked for more than 15 seconds.\n";
        assert!(hung(hangs).is_some() && trouble(hangs).is_none());
    }
    #[test]
    fn a_failed_command_is_told_by_its_host_byte() {
        let journal = "[ 1.0] host kernel: sd 1:0:0:0: [sdi] Attached SCSI disk\n\
                       [ 2.0] host kernel: sd 1:0:0:0: [sdi] tag#9 FAILED Result: \
                       hostbyte=DID_ERROR driverbyte=DRIVER_OK cmd_age=3s\n";
        let told = failed_commands(journal);
        assert!(told.starts_with("[ 2.0]") && told.contains("DID_ERROR"), "{told}");
    }
}
