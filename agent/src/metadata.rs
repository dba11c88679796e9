//! The agents' meta-data (OCF resource agent API 1.1), from the tables of parameters that
//! the configuration is read by.

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use understudy_core::config::kind::Kind;
use understudy_core::config::params::{self, Param};

use crate::environment::Environment;
use crate::exit::{Code, Outcome};
use crate::{fcport, manual, vport};

/// An agent: what is said of it, and what carries out its actions.
pub struct Agent {
    /// The agent's OCF name.
    pub name: &'static str,
    /// What the agent does, in a few words.
    pub short: &'static str,
    /// What the agent does, in full.
    pub long: &'static str,
    /// The agent's parameters.
    pub params: &'static [Param],
    /// The agent's actions.
    pub actions: &'static [Action],
    /// The rest of the agent's manual page, in roff.
    pub manual: &'static str,
    /// Carries out an action. Returns `None` if the agent has no such action.
    pub act: fn(&str, &Environment) -> Option<Outcome>,
}

impl Agent {
    /// Carries out an action.
    pub fn run(&self, action: &str, environment: &Environment) -> Outcome {
        let mut actions: Vec<_> = self.actions.iter().map(|action| action.name).collect();
        actions.dedup();
        let usage = format!("usage: {} {{{}}}", self.name, actions.join("|"));
        match action {
            "meta-data" => Outcome::plain(crate::print(&document(self))),
            "usage" | "help" => Outcome::plain(crate::print(&(usage + "\n"))),
            _ => (self.act)(action, environment).unwrap_or_else(|| Outcome {
                code: Code::Unimplemented,
                reason: Some(format!("there is no action '{action}'; {usage}")),
            }),
        }
    }
}

/// Both.
pub const AGENTS: [&Agent; 2] = [&VPORT, &FCPORT];

/// `ocf:understudy:vport`.
const VPORT: Agent = Agent {
    name: "vport",
    short: "Fibre Channel port identity and disks, moved between nodes",
    long: VPORT_LONG,
    params: params::VPORT,
    actions: VPORT_ACTIONS,
    manual: manual::VPORT,
    act: vport::act,
};

/// `ocf:understudy:fcport`.
const FCPORT: Agent = Agent {
    name: "fcport",
    short: "number of Fibre Channel ports online, as node attributes",
    long: FCPORT_LONG,
    params: params::FCPORT,
    actions: &[
        once("start", 20),
        once("stop", 20),
        Action { name: "monitor", timeout: 20, recurring: Some((5, 0)) },
        once("validate-all", 20),
        once("meta-data", 5),
    ],
    manual: manual::FCPORT,
    act: fcport::act,
};

const FCPORT_LONG: &str = "\
Watches the physical Fibre Channel ports of a node, and reports to the cluster how many \
are online: all of them in the node attribute fcport, those of each fabric in \
fcport-FABRIC, where FABRIC is the fabric's name in 16 digits. A change is reported \
once it has lasted. Run this agent as a clone. Add a location rule that prefers nodes \
with a port online, with a score higher than the groups' stickiness. A lost link then \
moves the groups on it, but only if their partner has a port online. Set \
link_loss=degraded on those groups. On QLogic HBAs a reset of the HBA may log ports in \
that this node does not serve. This agent logs them out again.";

const VPORT_LONG: &str = "\
Serves a takeover group: the Fibre Channel port names (WWPN) under one node name (WWNN) \
and the disks behind them. A start on a storage node takes ownership of the disks by \
persistent reservations and exports them through LIO. Then it brings the port names up \
as NPIV virtual ports on a physical port of that node. Initiators log in to the same \
ports again and find the same LUNs. Fencing must be configured: a stop that cannot \
prove that nothing is left fails, so that the node is fenced.";

/// An action, with the timeout and the interval to suggest, in seconds.
pub struct Action {
    /// The action's OCF name.
    pub name: &'static str,
    /// The timeout to suggest, in seconds.
    pub timeout: u32,
    /// The interval in seconds and the check level, if the action recurs.
    pub recurring: Option<(u32, u32)>,
}

const fn once(name: &'static str, timeout: u32) -> Action {
    Action { name, timeout, recurring: None }
}

const VPORT_ACTIONS: &[Action] = &[
    once("start", 60),
    // With the fence after one that fails, within initiators' 60 s of patience.
    once("stop", 25),
    Action { name: "monitor", timeout: 20, recurring: Some((10, 0)) },
    Action { name: "monitor", timeout: 30, recurring: Some((60, 10)) },
    Action { name: "monitor", timeout: 30, recurring: Some((120, 20)) },
    once("reload-agent", 60),
    once("validate-all", 20),
    once("meta-data", 5),
];

type Xml = Writer<Vec<u8>>;

/// The document.
fn document(agent: &Agent) -> String {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    // Writing to memory does not fail.
    let _ = write(&mut xml, agent);
    let mut text = String::from_utf8_lossy(&xml.into_inner()).into_owned();
    text.push('\n');
    text
}

fn write(xml: &mut Xml, agent: &Agent) -> std::io::Result<()> {
    // No encoding: crmsh has read it as text by then, and its parser refuses a text that
    // declares one.
    xml.write_event(Event::Decl(BytesDecl::new("1.0", None, None)))?;
    let doctype = BytesText::from_escaped("resource-agent SYSTEM \"ra-api-1.dtd\"");
    xml.write_event(Event::DocType(doctype))?;
    xml.create_element("resource-agent")
        .with_attributes([("name", agent.name), ("version", env!("CARGO_PKG_VERSION"))])
        .write_inner_content(|xml| {
            text(xml, "version", None, "1.1")?;
            text(xml, "longdesc", Some("en"), agent.long)?;
            text(xml, "shortdesc", Some("en"), agent.short)?;
            xml.create_element("parameters").write_inner_content(|xml| {
                agent.params.iter().try_for_each(|p| param(xml, p))
            })?;
            xml.create_element("actions").write_inner_content(|xml| {
                agent.actions.iter().try_for_each(|a| action(xml, a))
            })?;
            Ok(())
        })?;
    Ok(())
}

fn text(
    xml: &mut Xml,
    tag: &str,
    lang: Option<&str>,
    words: &str,
) -> std::io::Result<()> {
    let element = xml.create_element(tag);
    let element = match lang {
        Some(lang) => element.with_attribute(("lang", lang)),
        None => element,
    };
    element.write_text_content(BytesText::new(words)).map(|_| ())
}

fn param(xml: &mut Xml, param: &Param) -> std::io::Result<()> {
    let mut element =
        xml.create_element("parameter").with_attribute(("name", param.name));
    if param.unique {
        element = element.with_attribute(("unique-group", param.name));
    }
    if param.reloadable {
        element = element.with_attribute(("reloadable", "1"));
    }
    let required = if param.required() { "1" } else { "0" };
    element.with_attribute(("required", required)).write_inner_content(|xml| {
        text(xml, "longdesc", Some("en"), param.long)?;
        text(xml, "shortdesc", Some("en"), param.short)?;
        let (content_type, words) = (content_type(param.kind), param.kind.words());
        let mut content =
            xml.create_element("content").with_attribute(("type", content_type));
        // An empty default says no more than none.
        if let Some(default) = param.default.filter(|default| !default.is_empty()) {
            content = content.with_attribute(("default", default));
        }
        if words.is_empty() {
            content.write_empty()?;
            return Ok(());
        }
        content.write_inner_content(|xml| {
            words.iter().try_for_each(|word| {
                let option = xml.create_element("option");
                option.with_attribute(("value", *word)).write_empty().map(|_| ())
            })
        })?;
        Ok(())
    })?;
    Ok(())
}

/// Returns the OCF content type of a kind. OCF 1.1 has `string`, `integer`, `boolean` and
/// `select`, and no type for a time (Pacemaker's xml/api/ocf-ra-1.1.rng).
fn content_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Words => "string",
        Kind::Choice(_) | Kind::Flag => "select",
        Kind::Number { .. } | Kind::Seconds => "integer",
    }
}

fn action(xml: &mut Xml, action: &Action) -> std::io::Result<()> {
    let seconds = |n: u32| format!("{n}s");
    let timeout = seconds(action.timeout);
    let mut element = xml
        .create_element("action")
        .with_attributes([("name", action.name), ("timeout", timeout.as_str())]);
    if let Some((interval, level)) = action.recurring {
        let (interval, level) = (seconds(interval), level.to_string());
        element = element.with_attributes([
            ("interval", interval.as_str()),
            ("depth", level.as_str()),
        ]);
    }
    element.write_empty().map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use quick_xml::Reader;

    #[test]
    fn it_is_well_formed_and_names_every_parameter() {
        let text = document(&VPORT);
        let mut reader = Reader::from_str(&text);
        let (mut names, mut reloadable) = (Vec::new(), 0);
        loop {
            match reader.read_event().unwrap() {
                Event::Eof => break,
                Event::Start(tag) if tag.name().as_ref() == b"parameter" => {
                    let name = tag.try_get_attribute("name").unwrap().unwrap();
                    names.push(String::from_utf8_lossy(&name.value).into_owned());
                    let attribute = tag.try_get_attribute("reloadable").unwrap();
                    reloadable += usize::from(attribute.is_some());
                }
                _ => {}
            }
        }
        let want: Vec<_> = params::VPORT.iter().map(|p| p.name.to_owned()).collect();
        assert_eq!((names, reloadable), (want, 5));
    }

    #[test]
    fn a_kind_has_its_content_type() {
        let (vport, fcport) = (document(&VPORT), document(&FCPORT));
        let count =
            |text: &str, what: &str| text.matches(&format!("type=\"{what}\"")).count();
        let types = ["string", "select", "integer"];
        assert_eq!(types.map(|what| count(&vport, what)), [6, 5, 0]);
        assert_eq!(types.map(|what| count(&fcport, what)), [0, 0, 2]);
        assert!(
            fcport.contains("<content type=\"integer\" default=\"10\"/>"),
            "{fcport}"
        );
        assert!(vport.contains("<option value=\"no\"/>"), "{vport}");
    }
}
