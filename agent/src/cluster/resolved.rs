//! Parameters that templates, rules, scores and references decide, as Pacemaker resolves
//! them for a node.
//!
//! No tool of Pacemaker prints a resource's parameters for a node that one names.
//! `crm_resource --get-parameter` has them for the node where the resource runs, and where
//! that is nowhere it takes no rule on a node for true (`handle_get_param` in its
//! tools/crm_resource.c; `main` in 2.1.5); `--query-xml` expands a template and nothing else.
//! But before Pacemaker uses a resource it has each node probe it, and the probe carries
//! what the agent gets on that node (`add_action_attributes` in its
//! lib/pacemaker/pcmk_graph_producer.c). So the scheduler is asked what it would do if it
//! knew nothing yet of these resources, and nothing is done of its answer. Seen with 2.1.5,
//! where one process answers for all resources and nodes.

use std::collections::BTreeMap;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, Writer};
use understudy_core::action::failure::{Failure, Kind};
use understudy_core::config::group::is_same_node;

use super::configured::Parameters;
use super::view::{value, values};
use super::{ask, ask_with};

const STEP: &str = "resolve the parameters";

/// Returns the parameters that resources have on a node, of those that Pacemaker would
/// probe there.
///
/// # Errors
/// Pacemaker's tools fail: see [`ask`].
pub fn parameters(
    resources: &[String],
    node: &str,
) -> Result<BTreeMap<String, Parameters>, Failure> {
    let failed = |error: quick_xml::Error| Failure::new(Kind::Failed, STEP, error);
    let cib = ask(STEP, "cibadmin", &["--query"])?;
    let unknown = without_history(&cib, resources).map_err(failed)?;
    let arguments = ["--xml-pipe", "--quiet", "--save-graph", "/dev/stdout"];
    let graph = ask_with(STEP, "crm_simulate", &arguments, &unknown)?;
    probes(&graph, node).map_err(failed)
}

/// Returns the failure that Pacemaker does not say what a resource's parameters are.
pub fn not_told(resource: &str, node: &str) -> Failure {
    let cause = format!("Pacemaker would not look for {resource} on {node}");
    Failure::new(Kind::Failed, STEP, cause).advise(
        "Parameters by template, rule or reference are known only where it would: see that \
         the node is online, and that no rule has resource-discovery=never for it",
    )
}

/// Returns the cluster's configuration and state without what is known of resources, and
/// without an option that would leave probes out.
fn without_history(cib: &str, resources: &[String]) -> Result<String, quick_xml::Error> {
    let (mut reader, mut writer) = (Reader::from_str(cib), Writer::new(Vec::new()));
    let is_left_out = |tag: &BytesStart| match tag.name().as_ref() {
        b"lrm_resource" => value(tag, "id").is_some_and(|id| resources.contains(&id)),
        b"nvpair" => {
            value(tag, "name").is_some_and(|name| name == "enable-startup-probes")
        }
        _ => false,
    };
    loop {
        match reader.read_event()? {
            Event::Start(tag) if is_left_out(&tag) => {
                let end = tag.to_end().into_owned();
                reader.read_to_end(end.name())?;
            }
            Event::Empty(tag) if is_left_out(&tag) => {}
            Event::Eof => break,
            event => writer.write_event(event)?,
        }
    }
    Ok(String::from_utf8_lossy(&writer.into_inner()).into_owned())
}

/// Reads the parameters of each resource that a transition graph has probed on a node.
fn probes(
    graph: &str,
    node: &str,
) -> Result<BTreeMap<String, Parameters>, quick_xml::Error> {
    let (mut found, mut reader) = (BTreeMap::new(), Reader::from_str(graph));
    let mut probed = None;
    loop {
        match reader.read_event()? {
            // Where an action is named as another one's trigger it has no content.
            Event::Start(tag) if tag.name().as_ref() == b"rsc_op" => {
                let is_here =
                    value(&tag, "on_node").is_some_and(|on| is_same_node(&on, node));
                let key = value(&tag, "operation_key").filter(|_| is_here);
                let id =
                    key.and_then(|key| Some(key.strip_suffix("_monitor_0")?.to_owned()));
                probed = id;
            }
            Event::Start(tag) | Event::Empty(tag)
                if tag.name().as_ref() == b"attributes" =>
            {
                found.extend(probed.take().map(|id| (id, values(&tag))));
            }
            Event::End(tag) if tag.name().as_ref() == b"rsc_op" => probed = None,
            Event::Eof => return Ok(found),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_of_a_resource_is_left_out_and_no_other() {
        let cib = r#"<cib epoch="1"><nvpair id="o" name="enable-startup-probes"
            value="false"/><status><node_state uname="array-a"><lrm id="1">
            <lrm_resources><lrm_resource id="g" class="ocf"><lrm_rsc_op id="g_last_0"/>
            </lrm_resource><lrm_resource id="h"/><lrm_resource id="i"><lrm_rsc_op id="x"/>
            </lrm_resource></lrm_resources></lrm></node_state></status></cib>"#;
        let left = without_history(cib, &["g".into(), "h".into()]).unwrap();
        assert!(!left.contains(r#""g"#) && !left.contains(r#""h""#), "{left}");
        assert!(left.contains(r#"<lrm_resource id="i"><lrm_rsc_op id="x"/>"#), "{left}");
        assert!(left.starts_with(r#"<cib epoch="1"><status>"#), "{left}");
        assert!(left.ends_with("</cib>"), "{left}");
    }

    /// As crm_simulate of Pacemaker 2.1.5 prints it.
    #[test]
    fn each_node_has_parameters_of_its_own() {
        let op = |id: u8, key: &str, node: &str, ports: &str| {
            format!(
                r#"<synapse id="{id}"><action_set><rsc_op id="{id}" operation="monitor"
                operation_key="{key}" on_node="{node}" on_node_uuid="1"><primitive id="g"
                class="ocf" provider="understudy" type="vport"/><attributes
                CRM_meta_on_node="{node}" crm_feature_set="3.16.1" ports="{ports}"/></rsc_op>
                </action_set><inputs><trigger><rsc_op id="9" operation="monitor"
                operation_key="h_monitor_0" on_node="array-a"/></trigger></inputs></synapse>
                <synapse id="7"><action_set><pseudo_event id="8" operation="running"
                operation_key="x_running_0"><attributes crm_feature_set="3.16.1"
                ports="no"/></pseudo_event></action_set><inputs/></synapse>"#
            )
        };
        let graph = op(1, "g_monitor_0", "array-a", "one")
            + &op(2, "g_monitor_0", "array-b", "two")
            + &op(3, "g_start_0", "array-a", "three");
        let graph = format!("<transition_graph>{graph}</transition_graph>");
        let ports = |node| {
            let found = probes(&graph, node).unwrap();
            assert!(found.len() < 2, "{found:?}");
            found.get("g").map(|its| its["ports"].clone())
        };
        let all = ["array-a", "Array-B", "array-c"].map(ports);
        assert_eq!(all, [Some("one".into()), Some("two".into()), None]);
    }
}
