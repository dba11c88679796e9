//! The cluster as `crm_mon --output-as=xml` has it (Pacemaker's xml/api/crm_mon-*.rng).

use std::collections::BTreeMap;

use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use understudy_core::action::failure::{Failure, Kind};
use understudy_core::config::group::is_same_node;
use understudy_core::text::quoted;

use super::{GROUP, PORTS, READY};

/// The cluster at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Whether the whole cluster is in maintenance mode.
    pub maintenance: bool,
    /// Whether the cluster fences nodes.
    pub fencing: bool,
    /// The cluster's nodes.
    pub nodes: Vec<Member>,
    /// The cluster's resources, including those in clones and groups.
    pub resources: Vec<Resource>,
    /// The rules in force now that keep a resource from a node.
    pub bans: Vec<Ban>,
}

/// A rule that keeps a resource from a node.
#[derive(Debug, PartialEq, Eq)]
pub struct Ban {
    /// The rule's id.
    pub id: String,
    /// The resource, or a collection that it is in.
    pub resource: String,
    /// The node.
    pub node: String,
}

/// A node.
#[derive(Debug, PartialEq, Eq)]
pub struct Member {
    /// The node's name.
    pub name: String,
    /// Whether the node is a member and its state is known.
    pub online: bool,
    /// Whether the node is in standby: it may run nothing.
    pub standby: bool,
    /// Whether the node is in maintenance mode.
    pub maintenance: bool,
    /// How many physical ports are online, where `ocf:understudy:fcport` reports it.
    pub ports_online: Option<u32>,
    /// Whether the node could serve each group, by its own report: see [`super::ready`].
    pub ready: BTreeMap<String, i32>,
}

/// A resource.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    /// The resource's id.
    pub id: String,
    /// The resource's agent, for example `ocf:understudy:vport`.
    pub agent: String,
    /// What the resource is or is about to be, in Pacemaker's words: `Started`,
    /// `Stopping`, ...
    pub state: String,
    /// Whether the cluster manages the resource.
    pub managed: bool,
    /// Whether the resource has a failure that the cluster does not mend by itself.
    pub blocked: bool,
    /// The nodes on which the resource runs.
    pub nodes: Vec<String>,
    /// The collections that the resource is in, the outermost first: clones, groups,
    /// bundles.
    pub within: Vec<String>,
}

/// Minus infinity, as Pacemaker prints it as a number.
const NEVER: &str = "-1000000";
/// Elements that collect resources, as crm_mon names them.
const COLLECTIONS: [&[u8]; 3] = [b"clone", b"group", b"bundle"];

impl View {
    /// Returns the cluster that `crm_mon` printed.
    ///
    /// # Errors
    /// The text is not XML.
    pub fn parse(text: &str) -> Result<Self, quick_xml::Error> {
        let mut view = Self::default();
        let mut reader = Reader::from_str(text);
        // A `node` in a resource is a place; a `node` with attributes of its own is a
        // member.
        let mut inside = false;
        let mut node = String::new();
        let mut within = Vec::new();
        loop {
            let (tag, is_empty) = match reader.read_event()? {
                Event::Start(tag) => (tag, false),
                Event::Empty(tag) => (tag, true),
                Event::End(tag) if tag.name().as_ref() == b"resource" => {
                    inside = false;
                    continue;
                }
                Event::End(tag) if COLLECTIONS.contains(&tag.name().as_ref()) => {
                    within.pop();
                    continue;
                }
                Event::Eof => return Ok(view),
                _ => continue,
            };
            match tag.name().as_ref() {
                b"cluster_options" => {
                    view.maintenance = is(&tag, "maintenance-mode");
                    // Pacemaker 3.0.2 prints both names (cluster_options_xml in its
                    // lib/pengine/pe_output.c), older ones the second alone.
                    view.fencing =
                        is(&tag, "fencing-enabled") || is(&tag, "stonith-enabled");
                }
                name if COLLECTIONS.contains(&name) && !is_empty => {
                    within.push(value(&tag, "id").unwrap_or_default());
                }
                b"resource" => {
                    view.resources.push(resource(&tag, &within));
                    inside = !is_empty;
                }
                b"ban" => view.bans.extend(ban(&tag)),
                b"node" if inside => {
                    if let Some(resource) = view.resources.last_mut() {
                        resource.nodes.extend(value(&tag, "name"));
                    }
                }
                b"node" if value(&tag, "online").is_some() => {
                    view.nodes.push(member(&tag));
                }
                b"node" => node = value(&tag, "name").unwrap_or_default(),
                b"attribute" => {
                    let member = view.nodes.iter_mut().find(|its| its.name == node);
                    if let Some(member) = member {
                        member.note(&tag);
                    }
                }
                _ => {}
            }
        }
    }

    /// Returns the takeover groups.
    pub fn groups(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter().filter(|resource| resource.agent == GROUP)
    }

    /// Returns a takeover group by its id.
    ///
    /// # Errors
    /// No resource has this id, or it is something else.
    pub fn group(&self, id: &str) -> Result<&Resource, Failure> {
        self.groups().find(|group| group.id == id).ok_or_else(|| {
            let names: Vec<_> = self.groups().map(|group| group.id.as_str()).collect();
            let names = if names.is_empty() { "none".into() } else { names.join(", ") };
            let cause = format!("{} is no takeover group", quoted(id));
            Failure::new(Kind::Failed, "find the resource", cause)
                .advise(format!("There are: {names}"))
        })
    }

    /// Returns a resource by its id.
    pub fn resource(&self, id: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.id == id)
    }

    /// Returns whether a resource, or an instance of its clone, is at work on a node. A
    /// replicated device that is promoted on the other node is not at work here.
    pub fn runs(&self, id: &str, node: &str) -> bool {
        let is_it = |its: &str| {
            its.strip_prefix(id)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        };
        // Pacemaker 2.1 and older call a promoted instance `Master`.
        let at_work = ["Started", "Promoted", "Master"];
        self.resources.iter().any(|its| {
            is_it(&its.id)
                && at_work.contains(&its.state.as_str())
                && its.nodes.iter().any(|on| is_same_node(on, node))
        })
    }

    /// Returns a node by its name.
    pub fn node(&self, name: &str) -> Option<&Member> {
        self.nodes.iter().find(|node| is_same_node(&node.name, name))
    }
}

impl Member {
    /// Returns whether the node's `fcport` says anything.
    pub fn has_spoken(&self) -> bool {
        self.ports_online.is_some() || !self.ready.is_empty()
    }

    /// Takes in one of the node's attributes, if `ocf:understudy:fcport` set it.
    fn note(&mut self, tag: &BytesStart) {
        let name = value(tag, "name").unwrap_or_default();
        let number = value(tag, "value").and_then(|text| text.parse::<i32>().ok());
        if name == PORTS {
            self.ports_online = number.and_then(|ports| ports.try_into().ok());
        } else if let (Some(group), Some(number)) = (name.strip_prefix(READY), number) {
            self.ready.insert(group.to_owned(), number);
        }
    }
}

fn member(tag: &BytesStart) -> Member {
    Member {
        name: value(tag, "name").unwrap_or_default(),
        online: is(tag, "online") && !is(tag, "unclean") && !is(tag, "pending"),
        standby: is(tag, "standby") || is(tag, "standby_onfail"),
        maintenance: is(tag, "maintenance"),
        ports_online: None,
        ready: BTreeMap::new(),
    }
}

fn resource(tag: &BytesStart, within: &[String]) -> Resource {
    // Pacemaker 3.0 says what is being done within the role; its schema has an attribute
    // for it too.
    let pending = value(tag, "pending").filter(|what| what != "Monitoring");
    Resource {
        id: value(tag, "id").unwrap_or_default(),
        agent: value(tag, "resource_agent").unwrap_or_default(),
        state: pending.or(value(tag, "role")).unwrap_or_default(),
        managed: is(tag, "managed"),
        blocked: is(tag, "blocked"),
        nodes: Vec::new(),
        within: within.to_vec(),
    }
}

fn ban(tag: &BytesStart) -> Option<Ban> {
    let (id, resource) = (value(tag, "id")?, value(tag, "resource")?);
    let node = value(tag, "node")?;
    (value(tag, "weight")? == NEVER).then_some(Ban { id, resource, node })
}

/// Returns an attribute's value, with XML's escapes resolved.
pub fn value(tag: &BytesStart, name: &str) -> Option<String> {
    let attribute = tag.try_get_attribute(name).ok()??;
    let value = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?;
    Some(value.into_owned())
}

/// Returns every attribute and its value, with XML's escapes resolved.
pub fn values(tag: &BytesStart) -> BTreeMap<String, String> {
    let value = |attribute: Attribute| {
        let name = String::from_utf8_lossy(attribute.key.as_ref()).into_owned();
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?;
        Some((name, value.into_owned()))
    };
    tag.attributes().flatten().filter_map(value).collect()
}

fn is(tag: &BytesStart, name: &str) -> bool {
    value(tag, name).as_deref() == Some("true")
}

#[cfg(test)]
mod tests {
    use super::super::LACKS;
    use super::*;

    const MON: &str = r#"<pacemaker-result api-version="2.38" request="crm_mon">
        <summary><cluster_options maintenance-mode="false" stonith-enabled="true"/></summary>
        <nodes>
          <node name="array-a" id="1" online="true" standby="false" unclean="false"
                maintenance="false" pending="false" type="member"/>
          <node name="array-b" id="2" online="true" standby="true" unclean="false"/>
          <node name="array-c" id="3" online="true" unclean="true"/>
        </nodes>
        <resources>
          <resource id="group-a" resource_agent="ocf:understudy:vport" role="Started"
                    managed="true" blocked="false" pending="Stopping">
            <node name="array-a" id="1" cached="true"/>
          </resource>
          <resource id="group-b" resource_agent="ocf:understudy:vport" role="Stopped"
                    managed="false" blocked="true"/>
          <clone id="fcport-clone">
            <resource id="fcport" resource_agent="ocf:understudy:fcport" role="Started"/>
          </clone>
        </resources>
        <node_attributes>
          <node name="array-a"><attribute name="fcport" value="1"/>
            <attribute name="ready-group-a" value="-1"/></node>
          <node name="array-b"><attribute name="other" value="7"/></node>
        </node_attributes>
        <node_history><node name="array-a"><resource_history id="group-a"/></node>
        </node_history></pacemaker-result>"#;

    #[test]
    fn fencing_is_known_by_its_old_name_and_its_new_one() {
        let fencing = |options: &str| {
            let options = format!("<cluster_options {options}/>");
            View::parse(&options).unwrap().fencing
        };
        assert!(fencing("stonith-enabled='true'"));
        assert!(fencing("fencing-enabled='true'"));
        assert!(fencing("fencing-enabled='true' stonith-enabled='true'"));
        assert!(!fencing("fencing-enabled='false'"));
        assert!(!fencing("maintenance-mode='true'"));
    }

    #[test]
    fn nodes_and_resources_are_told_apart() {
        let view = View::parse(MON).unwrap();
        let flags: Vec<_> = view.nodes.iter().map(|n| (n.online, n.standby)).collect();
        assert_eq!(flags, [(true, false), (true, true), (false, false)]);
        assert!(view.fencing && !view.maintenance);
        let group = view.resource("group-a").unwrap();
        assert_eq!(group.nodes, ["array-a"]);
        assert_eq!(group.state, "Stopping");
        let ports: Vec<_> = view.nodes.iter().map(|node| node.ports_online).collect();
        assert_eq!(ports, [Some(1), None, None]);
        assert_eq!(view.nodes[0].ready, BTreeMap::from([("group-a".into(), LACKS)]));
        assert!(group.managed && !group.blocked);
        assert_eq!(view.resource("group-b").unwrap().nodes, [""; 0]);
        assert_eq!(view.resource("fcport").unwrap().agent, "ocf:understudy:fcport");
        let refused = view.group("fcport").unwrap_err().to_string();
        let want = "'fcport' is no takeover group. There are: group-a, group-b";
        assert!(refused.ends_with(want), "{refused}");
    }
}
