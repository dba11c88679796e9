//! A cluster for tests.

use std::collections::BTreeMap;

use crate::cluster::{Member, Resource, View};

/// Returns a cluster of the nodes `a`, which may be offline, and `b`, with the group `g` on
/// these nodes and in this state.
pub fn view(on: &[&str], state: &str, online: bool) -> View {
    let member = |name: &str, online| Member {
        name: name.into(),
        online,
        standby: false,
        maintenance: false,
        ports_online: None,
        ready: BTreeMap::new(),
    };
    View {
        maintenance: false,
        fencing: true,
        nodes: vec![member("a", online), member("b", true)],
        resources: vec![Resource {
            id: "g".into(),
            agent: "ocf:understudy:vport".into(),
            state: state.into(),
            managed: true,
            blocked: false,
            nodes: on.iter().map(|node| (*node).to_owned()).collect(),
            within: Vec::new(),
        }],
        bans: Vec::new(),
    }
}
