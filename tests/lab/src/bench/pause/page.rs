//! The pauses for people: a table for a terminal, and the page docs/pause.md.

use super::{LOADED, PARTS, Pause, ROUNDS};

/// Returns the pauses for a terminal: a row for each, a column for each part, in seconds.
#[must_use]
pub fn table(pauses: &[Pause]) -> String {
    let line = |cells: Vec<String>| {
        let mut cells = cells.into_iter();
        let what = cells.next().unwrap_or_default();
        let rest: String = cells.map(|cell| format!("{cell:>7}")).collect();
        format!("{what:<10}{rest}\n")
    };
    std::iter::once(heads()).chain(pauses.iter().map(cells)).map(line).collect()
}

/// Returns the page docs/pause.md. `machine` says what it ran on.
#[must_use]
pub fn document(pauses: &[Pause], machine: &str) -> String {
    let mut page = format!(
        "# What an initiator waits for\n\n\
         While a group moves to another node, its port is away. An initiator's requests\n\
         wait for that time, and none of them fails. This page says how long the pause\n\
         is, and what takes the time.\n\n\
         `make bench` measured the figures and wrote this page. {machine}\n\
         All times are in seconds. The group has one port. {LOADED} of its LUNs are under\n\
         load, and the initiator reaches them by one path.\n\n\
         ![Each pause, by its parts](pause.svg)\n\n\
         - `dummy-move`: a commanded move of `ocf:pacemaker:Dummy`, a resource that does\n  \
         nothing. Pacemaker needs this time for any move.\n\
         - `move`: a commanded move of the group, {ROUNDS} times there and back. The row is the\n  \
         median of these {} pauses, with its parts.\n\
         - `power-cut`: the node that serves the group loses its power. This was done once\n  \
         for each number of LUNs.\n\n",
        ROUNDS * 2
    );
    page += TABLE;
    for (i, cells) in std::iter::once(heads()).chain(pauses.iter().map(cells)).enumerate()
    {
        page += &format!("| {} |\n", cells.join(" | "));
        if i == 0 {
            page += &format!("| :-- |{}\n", " --: |".repeat(cells.len() - 1));
        }
    }
    page += BEYOND;
    page
}

/// What each column of the page's table is.
const TABLE: &str = "\
A group's pause begins with the last request that was answered before it, and ends with the
next one that is answered. Its parts follow one another. A part that had ended before its
turn came has 0.00.

| part | what takes the time |
| --- | --- |
| order | from the command to the stop. Only `dummy-move` has it: a group is served until its stop begins |
| stop | the stop: commands in flight are answered, the port logs out, LUNs and keys are removed |
| detect | until the partner misses the lost node's heartbeat and asks for the fence |
| fence | until the power switch has turned the lost node off and says so |
| Pacem. | from the end of the stop or fence to the start: Pacemaker's own time |
| start | the start: disks are owned, the target is built, the port is made |
| login | until the fabric has let the port log in |
| I/O | until an initiator has found the port again and its first request is answered |

";

/// What the page's figures leave out.
const BEYOND: &str = "
Some pauses are longer than these:

- With multipath an initiator looks only every few seconds whether a lost path is back.
- A stop that fails is followed by a fence and a start, after the stop's own timeout at the
  latest.
- A hardware switch may take half a minute to notice that a port is dead, and until then a
  start waits for the name.

[fabrics.md](fabrics.md) says what initiators have to bear, and how to set them.
";

fn heads() -> Vec<String> {
    let parts = ["order", "stop", "detect", "fence", "Pacem.", "start", "login", "I/O"];
    ["", "LUNs", "pause"].into_iter().chain(parts).map(String::from).collect()
}

fn cells(pause: &Pause) -> Vec<String> {
    let seconds = |ms: u64| format!("{:.2}", ms as f64 / 1000.0);
    let part = |name: &&str| {
        let part = pause.parts.iter().find(|part| part.part == *name);
        part.map_or_else(|| "-".into(), |part| seconds(part.ms))
    };
    let mut cells =
        vec![pause.what.into(), pause.luns.to_string(), seconds(pause.pause_ms)];
    cells.extend(PARTS.iter().map(part));
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::pause::Part;

    #[test]
    fn a_pause_is_a_row() {
        let parts = vec![Part { part: "login", ms: 20 }];
        let all = [Pause::median("move", 4, vec![parts])];
        assert!(table(&all).lines().all(|line| line.len() <= 80 && line.len() > 70));
        assert!(document(&all, "Here.").contains("\n| move | 4 | 0.02 | - | - |"));
    }
}
