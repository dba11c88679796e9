//! A resource's configuration, as `cibadmin --query` prints it (Pacemaker's
//! xml/resources-*.rng).

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::Event;
use understudy_core::kernel::RealKernel;
use understudy_core::scope::Scope;

use super::view::value;

/// What is read of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Configured {
    /// The agent's parameters.
    pub parameters: BTreeMap<String, String>,
    /// Seconds that its operations may take; of those that say it.
    pub timeouts: BTreeMap<String, u64>,
}

impl Configured {
    /// Reads a `primitive`.
    ///
    /// # Errors
    /// It is no XML.
    pub fn parse(text: &str) -> Result<Self, quick_xml::Error> {
        let mut found = Self::default();
        let mut reader = Reader::from_str(text);
        // Operations and meta-attributes have names and values of their own.
        let mut inside: Vec<Vec<u8>> = Vec::new();
        loop {
            match reader.read_event()? {
                Event::Start(tag) => {
                    found.note(&tag, &inside);
                    inside.push(tag.name().as_ref().to_vec());
                }
                Event::Empty(tag) => found.note(&tag, &inside),
                Event::End(_) => drop(inside.pop()),
                Event::Eof => return Ok(found),
                _ => {}
            }
        }
    }

    fn note(&mut self, tag: &quick_xml::events::BytesStart, inside: &[Vec<u8>]) {
        let is_inside = |name: &[u8]| inside.iter().any(|its| its == name);
        let set = inside.last().map(Vec::as_slice);
        match tag.name().as_ref() {
            b"nvpair" if set == Some(b"instance_attributes") && !is_inside(b"op") => {
                self.parameters.extend(value(tag, "name").zip(value(tag, "value")));
            }
            b"op" => {
                let time = value(tag, "timeout").and_then(|time| seconds(&time));
                self.timeouts.extend(value(tag, "name").zip(time));
            }
            _ => {}
        }
    }

    /// The node that a group belongs to, where that is said.
    pub fn home(&self) -> Option<&str> {
        let home = self.parameters.get("home").map(|home| home.trim());
        home.filter(|home| !home.is_empty())
    }

    /// What there is to look for of a group that is configured so.
    pub fn scope(&self, kernel: &RealKernel, id: &str) -> Scope {
        Scope::gather(kernel, id, |name| self.parameters.get(name).cloned())
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
        let text = r#"<primitive id="g">
            <instance_attributes id="a">
              <nvpair id="j" name="disks" value="0=/dev/a&amp;b 1=c"/>
              <nvpair id="k" name="home" value=" array-a "/>
            </instance_attributes>
            <meta_attributes id="m"><nvpair id="i" name="home" value="no"/></meta_attributes>
            <operations><op id="s" name="start" timeout="2min"/><op name="stop"/>
              <op id="o" name="monitor" timeout="500ms"><instance_attributes id="x">
                <nvpair id="y" name="OCF_CHECK_LEVEL" value="10"/>
              </instance_attributes></op>
            </operations></primitive>"#;
        let found = Configured::parse(text).unwrap();
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
