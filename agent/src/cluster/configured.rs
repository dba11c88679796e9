//! Resources' configuration, as `cibadmin --query` prints it (Pacemaker's
//! xml/resources-*.rng).

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use understudy_core::kernel::RealKernel;
use understudy_core::scope::Scope;

use super::view::value;

/// What is read of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Configured {
    /// Its id.
    pub id: String,
    /// Its agent: `ocf:understudy:vport`.
    pub agent: String,
    /// The agent's parameters.
    pub parameters: BTreeMap<String, String>,
    /// Seconds that its operations may take; of those that say it.
    pub timeouts: BTreeMap<String, u64>,
}

impl Configured {
    /// Reads every `primitive`.
    ///
    /// # Errors
    /// It is no XML.
    pub fn parse(text: &str) -> Result<Vec<Self>, quick_xml::Error> {
        let mut found = Vec::new();
        let mut reader = Reader::from_str(text);
        // Operations and meta-attributes have names and values of their own.
        let mut inside: Vec<Vec<u8>> = Vec::new();
        loop {
            match reader.read_event()? {
                Event::Start(tag) => {
                    note(&mut found, &tag, &inside);
                    inside.push(tag.name().as_ref().to_vec());
                }
                Event::Empty(tag) => note(&mut found, &tag, &inside),
                Event::End(_) => drop(inside.pop()),
                Event::Eof => return Ok(found),
                _ => {}
            }
        }
    }

    /// The node that a group belongs to, where that is said.
    pub fn home(&self) -> Option<&str> {
        let home = self.parameters.get("home").map(|home| home.trim());
        home.filter(|home| !home.is_empty())
    }

    /// What there is to look for of a group that is configured so.
    pub fn scope(&self, kernel: &RealKernel) -> Scope {
        Scope::gather(kernel, &self.id, |name| self.parameters.get(name).cloned())
    }
}

fn note(all: &mut Vec<Configured>, tag: &BytesStart, inside: &[Vec<u8>]) {
    if tag.name().as_ref() == b"primitive" {
        let part = |name| value(tag, name).unwrap_or_default();
        let agent = ["class", "provider", "type"].map(part).join(":");
        all.push(Configured { id: part("id"), agent, ..Configured::default() });
        return;
    }
    let Some(found) = all.last_mut() else { return };
    let is_inside = |name: &[u8]| inside.iter().any(|its| its == name);
    let set = inside.last().map(Vec::as_slice);
    match tag.name().as_ref() {
        b"nvpair"
            if set == Some(b"instance_attributes")
                && is_inside(b"primitive")
                && !is_inside(b"op") =>
        {
            found.parameters.extend(value(tag, "name").zip(value(tag, "value")));
        }
        b"op" => {
            let time = value(tag, "timeout").and_then(|time| seconds(&time));
            found.timeouts.extend(value(tag, "name").zip(time));
        }
        _ => {}
    }
}

/// A time as Pacemaker writes it, in whole seconds: `60s`, `60`, `2min`, `500ms`.
fn seconds(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.trim().split_at_checked(end)?;
    let number: u64 = number.parse().ok()?;
    match unit.trim() {
        "" | "s" | "sec" => Some(number),
        "ms" | "msec" => Some(number / 1000),
        "m" | "min" => number.checked_mul(60),
        "h" | "hr" => number.checked_mul(3600),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_times_are_told_from_the_rest() {
        let text = r#"<resources><clone id="c"><primitive id="f" class="ocf"
              provider="understudy" type="fcport"/></clone>
            <primitive id="g" class="ocf" provider="understudy" type="vport">
            <instance_attributes id="a">
              <nvpair id="j" name="disks" value="0=/dev/a&amp;b 1=c"/>
              <nvpair id="k" name="home" value=" array-a "/>
            </instance_attributes>
            <meta_attributes id="m"><nvpair id="i" name="home" value="no"/></meta_attributes>
            <operations><op id="s" name="start" timeout="2min"/><op name="stop"/>
              <op id="o" name="monitor" timeout="500ms"><instance_attributes id="x">
                <nvpair id="y" name="OCF_CHECK_LEVEL" value="10"/>
              </instance_attributes></op>
            </operations></primitive>
            <group id="h"><instance_attributes id="z"><nvpair id="v" name="disks"
              value="no"/></instance_attributes></group></resources>"#;
        let all = Configured::parse(text).unwrap();
        let ids: Vec<_> = all.iter().map(|its| (its.id.as_str(), &*its.agent)).collect();
        assert_eq!(ids, [("f", "ocf:understudy:fcport"), ("g", "ocf:understudy:vport")]);
        let found = &all[1];
        let names: Vec<_> = found.parameters.keys().collect();
        assert_eq!(names, ["disks", "home"]);
        assert_eq!(found.parameters["disks"], "0=/dev/a&b 1=c");
        assert_eq!(found.home(), Some("array-a"));
        let times: Vec<_> = found.timeouts.values().copied().collect();
        assert_eq!(times, [0, 120]);
    }

    #[test]
    fn times_are_read_in_every_unit() {
        let all = ["60", "60s", "1m", "x", "60 parsecs"].map(seconds);
        assert_eq!(all, [Some(60), Some(60), Some(60), None, None]);
    }
}
