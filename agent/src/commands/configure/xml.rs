//! The configuration as XML, for `cibadmin --modify --allow-create`.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesText, Event};

use super::pair::{
    FENCING, HOME, MAY_COME, ONLINE, Operation, Plan, Primitive, RETRY, SPLIT,
    STICKINESS, WATCH, rule_id,
};
use crate::cluster;

/// The set that the cluster's own tools keep its properties in.
const PROPERTIES: &str = "cib-bootstrap-options";

type Xml = Writer<Vec<u8>>;

/// Returns a whole `configuration` element. Applied at once, nothing starts where it does
/// not belong.
pub fn document(plan: &Plan) -> String {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    // Writing to memory does not fail.
    let _ = write(&mut xml, plan);
    String::from_utf8_lossy(&xml.into_inner()).into_owned() + "\n"
}

fn write(xml: &mut Xml, plan: &Plan) -> io::Result<()> {
    let reminder = format!(" {FENCING} ");
    xml.write_event(Event::Comment(BytesText::from_escaped(&reminder)))?;
    element(xml, "configuration", &[], |xml| {
        element(xml, "crm_config", &[], |xml| {
            let (name, value) = SPLIT;
            set(xml, "cluster_property_set", PROPERTIES, &[(name, value.into())])
        })?;
        element(xml, "resources", &[], |xml| {
            plan.groups.iter().try_for_each(|group| primitive(xml, group))?;
            watch(xml, plan.giveback)
        })?;
        element(xml, "constraints", &[], |xml| {
            plan.groups.iter().try_for_each(|group| places(xml, group))?;
            match plan.giveback {
                Some(_) => plan.groups.iter().try_for_each(|group| come_home(xml, group)),
                None => Ok(()),
            }
        })
    })
}

fn primitive(xml: &mut Xml, group: &Primitive) -> io::Result<()> {
    let id = group.id.as_str();
    element(xml, "primitive", &agent(id, "vport"), |xml| {
        let stickiness = ("resource-stickiness", STICKINESS.to_string());
        let priority = ("priority", group.priority.to_string());
        let retry = (RETRY.0, RETRY.1.to_owned());
        pairs(xml, "meta_attributes", id, &[stickiness, priority, retry])?;
        pairs(xml, "instance_attributes", id, &group.parameters)?;
        operations(xml, id, &group.operations)
    })
}

fn watch(xml: &mut Xml, giveback: Option<u32>) -> io::Result<()> {
    element(xml, "clone", &[("id", "fcport-clone")], |xml| {
        element(xml, "primitive", &agent("fcport", "fcport"), |xml| {
            if let Some(seconds) = giveback {
                let giveback = [("giveback", seconds.to_string())];
                pairs(xml, "instance_attributes", "fcport", &giveback)?;
            }
            operations(xml, "fcport", &[WATCH])
        })
    })
}

fn agent<'a>(id: &'a str, kind: &'a str) -> [(&'a str, &'a str); 4] {
    [("id", id), ("class", "ocf"), ("provider", "understudy"), ("type", kind)]
}

fn operations(xml: &mut Xml, id: &str, all: &[Operation]) -> io::Result<()> {
    element(xml, "operations", &[], |xml| {
        all.iter().try_for_each(|Operation { name, interval, timeout, level }| {
            let id = format!("{id}-{name}-{interval}");
            let (interval, timeout) = (format!("{interval}s"), format!("{timeout}s"));
            let attributes = [
                ("id", id.as_str()),
                ("name", name),
                ("interval", &interval),
                ("timeout", &timeout),
            ];
            if *level == 0 {
                return empty(xml, "op", &attributes);
            }
            element(xml, "op", &attributes, |xml| {
                let level = [("OCF_CHECK_LEVEL", level.to_string())];
                pairs(xml, "instance_attributes", &id, &level)
            })
        })
    })
}

fn places(xml: &mut Xml, group: &Primitive) -> io::Result<()> {
    let rsc = group.id.as_str();
    let (home, score) = (format!("{rsc}-home"), HOME.to_string());
    let place =
        [("id", home.as_str()), ("rsc", rsc), ("node", &group.home), ("score", &score)];
    empty(xml, "rsc_location", &place)?;
    let score = ONLINE.to_string();
    group.online.iter().try_for_each(|attributes| {
        let id = rule_id(rsc, attributes);
        let rule = format!("{id}-rule");
        element(xml, "rsc_location", &[("id", &id), ("rsc", rsc)], |xml| {
            let or = [("id", rule.as_str()), ("score", &score), ("boolean-op", "or")];
            element(xml, "rule", &or, |xml| {
                attributes.iter().try_for_each(|attribute| online(xml, rsc, attribute))
            })
        })
    })
}

/// Writes a rule's expressions: a port is online by this attribute, or nothing is known.
fn online(xml: &mut Xml, rsc: &str, attribute: &str) -> io::Result<()> {
    let id = |part: &str| format!("{rsc}-{attribute}-{part}");
    let (unknown, online) = (id("unknown"), id("online"));
    let unknown = [
        ("id", unknown.as_str()),
        ("attribute", attribute),
        ("operation", "not_defined"),
    ];
    empty(xml, "expression", &unknown)?;
    let online = [
        ("id", online.as_str()),
        ("attribute", attribute),
        ("operation", "gt"),
        ("value", "0"),
        ("type", "number"),
    ];
    empty(xml, "expression", &online)
}

/// Writes the rule by which a group comes home once its home reports that it may.
fn come_home(xml: &mut Xml, group: &Primitive) -> io::Result<()> {
    let rsc = group.id.as_str();
    let id = format!("{rsc}-giveback");
    let (rule, ready) = (format!("{id}-rule"), format!("{id}-ready"));
    let (score, attribute) = (MAY_COME.to_string(), cluster::ready(rsc));
    element(xml, "rsc_location", &[("id", &id), ("rsc", rsc)], |xml| {
        let attributes = [("id", rule.as_str()), ("score", &score)];
        element(xml, "rule", &attributes, |xml| {
            let ready = [
                ("id", ready.as_str()),
                ("attribute", &attribute),
                ("operation", "eq"),
                ("value", "1"),
                ("type", "number"),
            ];
            empty(xml, "expression", &ready)
        })
    })
}

/// Writes the names and values of a resource or an operation.
fn pairs(
    xml: &mut Xml,
    tag: &str,
    owner: &str,
    all: &[(&str, String)],
) -> io::Result<()> {
    set(xml, tag, &format!("{owner}-{tag}"), all)
}

/// Writes a set of names and values.
fn set(xml: &mut Xml, tag: &str, id: &str, all: &[(&str, String)]) -> io::Result<()> {
    element(xml, tag, &[("id", id)], |xml| {
        all.iter().try_for_each(|(name, value)| {
            let id = format!("{id}-{name}");
            empty(xml, "nvpair", &[("id", &id), ("name", name), ("value", value)])
        })
    })
}

fn element(
    xml: &mut Xml,
    tag: &str,
    attributes: &[(&str, &str)],
    inside: impl FnOnce(&mut Xml) -> io::Result<()>,
) -> io::Result<()> {
    let element = xml.create_element(tag).with_attributes(attributes.iter().copied());
    element.write_inner_content(inside).map(drop)
}

fn empty(xml: &mut Xml, tag: &str, attributes: &[(&str, &str)]) -> io::Result<()> {
    let element = xml.create_element(tag).with_attributes(attributes.iter().copied());
    element.write_empty().map(drop)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use quick_xml::Reader;

    use super::super::pair::{read, tests::PAIR};
    use super::*;

    #[test]
    fn no_id_is_there_twice() {
        let text = document(&read(&format!("giveback = 300\n{PAIR}")).unwrap());
        let mut reader = Reader::from_str(&text);
        let (mut ids, mut count) = (BTreeSet::new(), 0);
        loop {
            match reader.read_event().unwrap() {
                Event::Eof => break,
                Event::Start(tag) | Event::Empty(tag) => {
                    if let Some(id) = tag.try_get_attribute("id").unwrap() {
                        ids.insert(String::from_utf8_lossy(&id.value).into_owned());
                        count += 1;
                    }
                }
                _ => {}
            }
        }
        assert_eq!(ids.len(), count);
        assert!(count > 40, "{text}");
        assert!(text.contains("a&apos;b"), "{text}");
    }
}
