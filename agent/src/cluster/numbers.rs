//! What the cluster remembers of groups' LUN numbers: a property of its configuration for
//! each group, so that it outlives every node.

use quick_xml::Reader;
use quick_xml::events::Event;
use understudy_core::action::failure::{Failure, Kind};
use understudy_core::lio::numbers::Numbers;
use understudy_core::text::quoted;

use super::view::value;
use super::{ask, ask_if_any};

const STEP: &str = "remember the LUN numbers";

/// Returns the name of a group's property.
fn property(group: &str) -> String {
    format!("understudy-luns-{group}")
}

/// Returns what the cluster remembers of a group; nothing where that is nothing, or where no
/// cluster runs.
///
/// # Errors
/// The cluster does not say, or says what makes no sense: that is not taken for nothing.
pub fn numbers_of(group: &str) -> Result<Option<Numbers>, Failure> {
    let name = property(group);
    let query = ["-t", "crm_config", "-n", &name, "-Q", "-q"];
    let Some(text) = ask_if_any(STEP, "crm_attribute", &query)? else { return Ok(None) };
    let senseless = |part: String| {
        let cause = format!("{name} has {}, which makes no sense", quoted(&part));
        Failure::new(Kind::Failed, STEP, cause)
            .advise(format!("Where its disks are right: understudy accept {group}"))
    };
    text.parse().map(Some).map_err(senseless)
}

/// Returns what a configuration says that the cluster remembers of a group. What makes no
/// sense is left for the group's start to report.
pub fn numbers_in(xml: &str, group: &str) -> Option<Numbers> {
    let name = property(group);
    let mut reader = Reader::from_str(xml);
    loop {
        match reader.read_event().ok()? {
            Event::Empty(tag) | Event::Start(tag)
                if tag.name().as_ref() == b"nvpair"
                    && value(&tag, "name").as_ref() == Some(&name) =>
            {
                return value(&tag, "value")?.parse().ok();
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

/// Has the cluster remember a group's LUN numbers.
///
/// # Errors
/// See [`ask`].
pub fn remember_numbers(group: &str, numbers: &Numbers) -> Result<(), Failure> {
    let (name, value) = (property(group), numbers.to_string());
    let update = ["-t", "crm_config", "-n", &name, "-v", &value];
    ask(STEP, "crm_attribute", &update).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_cluster_remembers_is_in_its_configuration() {
        let set = |value: &str| {
            format!(
                "<configuration><crm_config><cluster_property_set id=\"s\">\
                 <nvpair id=\"a\" name=\"understudy-luns-group-a2\" value=\"x\"/>\
                 <nvpair id=\"b\" name=\"understudy-luns-group-a\" value=\"{value}\"/>\
                 </cluster_property_set></crm_config></configuration>"
            )
        };
        let text = "20:00:00:25:b5:00:00:0a 0:0000000a:2048";
        let known = |xml: &str, group| numbers_in(xml, group).map(|its| its.to_string());
        assert_eq!(known(&set(text), "group-a").as_deref(), Some(text));
        assert_eq!(known(&set(text), "group-b"), None);
        assert_eq!(known(&set("0:x"), "group-a"), None);
        assert_eq!(known("<configuration><crm_config", "group-a"), None);
    }
}
