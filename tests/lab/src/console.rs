//! What a guest's kernel says on its console when something is wrong with it.

/// How many lines tell the story: the registers and the calls that led there.
const STORY: usize = 45;

/// A task that hangs.
const HUNG: &str = "blocked for more than";
/// The end of a kernel, or the beginning of it.
const TROUBLE: [&str; 5] =
    ["BUG: ", "Oops: ", "general protection fault", "Internal error", "Kernel panic"];

/// Where a task hangs first in a console's text, with what follows on it.
#[must_use]
pub fn hung(console: &str) -> Option<String> {
    story(console, &[HUNG])
}

/// The first worse trouble in a console's text, with what follows on it.
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
}
