//! What Pacemaker's log says of an action of a resource.

use crate::error::{Error, Result};
use crate::guest::Guest;
use crate::scenario::world::{COMMAND, ahead};

/// When Pacemaker asked for an action of a resource, and when it got the result.
pub(super) struct Marks {
    pub(super) request: u64,
    pub(super) result: u64,
    /// The agent's line in the log on how long each phase took.
    pub(super) phases: String,
}

impl Marks {
    pub(super) fn of(node: &Guest, resource: &str, action: &str) -> Result<Self> {
        let (request, _) = logged(
            node,
            &format!("Requesting local execution of {action} operation for {resource} "),
        )?;
        let (result, _) =
            logged(node, &format!("Result of {action} operation for {resource} "))?;
        let told = format!("vport({resource}) {action}: INFO: ");
        let said = logged(node, &format!("{told}.* in "));
        let said = said.map_or_else(|_| String::new(), |(_, line)| line);
        let phases = said.split_once(&told).map_or("", |(_, phases)| phases);
        Ok(Self { request, result, phases: phases.into() })
    }
}

/// Returns the time of a phase in the agent's line, such as `... in 589 ms: look 40, ...,
/// login 227 ]`.
pub(super) fn phase(line: &str, name: &str) -> Option<u64> {
    let (_, phases) = line.split_once(" ms: ")?;
    let mut words = phases.split([' ', ',']).filter(|word| !word.is_empty());
    words.find(|word| *word == name)?;
    words.next()?.parse().ok()
}

/// Returns the last line of Pacemaker's log that contains a text, and when it was
/// written.
pub(super) fn logged(node: &Guest, text: &str) -> Result<(u64, String)> {
    let script = format!(
        "line=$(grep -a \"{text}\" /var/log/pacemaker/pacemaker.log | tail -n 1)
         [ -n \"$line\" ] || {{ echo \"no '{text}' in Pacemaker's log\"; exit 1; }}
         date -d \"$(echo \"$line\" | cut -c 1-19)\" +%s%3N
         echo \"$line\""
    );
    let said = node.run(&script, COMMAND)?;
    let (at, line) = said.split_once('\n').unwrap_or_default();
    let at: i64 = at.parse().map_err(|_| Error::other(format!("no time: {said}")))?;
    let at = u64::try_from(at - ahead(node)?).unwrap_or(0);
    Ok((at, line.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_found_in_the_agents_line() {
        let line = "[ vport(g) start: INFO: taken over in 589 ms: look 40, login 227 ]";
        assert_eq!(phase(line, "login"), Some(227));
        assert_eq!(phase(line, "own"), None);
    }
}
