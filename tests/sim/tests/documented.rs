//! `docs/status.md` names every field that `understudy status --json` prints of a node.

mod common;

use std::collections::BTreeSet;

use common::{Setup, pair};
use serde_json::Value;
use understudy_core::verbs::status::{self, Status};

/// Collects the names of all fields, at every depth.
fn fields(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                found.insert(name.clone());
                fields(value, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| fields(value, found)),
        _ => {}
    }
}

/// Returns the words that a page has between backticks.
fn named(page: &str) -> BTreeSet<&str> {
    let quoted = page.split('`').skip(1).step_by(2);
    let is_part = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    quoted.flat_map(|text| text.split(move |letter| !is_part(letter))).collect()
}

#[test]
fn every_field_of_a_nodes_status_is_on_the_page() {
    let (a, _) = pair(&Setup::new(2, 2).keeping());
    a.start().unwrap();
    let status = status::status(&a.action()).unwrap();
    let mut printed = BTreeSet::new();
    fields(&serde_json::to_value(&status).unwrap(), &mut printed);
    let page = include_str!("../../../docs/status.md");
    let (node, _) = page.split_once("## The cluster").unwrap();
    let named = named(node);
    let missing: Vec<_> =
        printed.iter().filter(|f| !named.contains(f.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(printed.contains("vports_free") && printed.contains("took"), "{printed:?}");
}

#[test]
fn a_program_reads_a_nodes_status_back() {
    let (a, _) = pair(&Setup::new(2, 2));
    a.start().unwrap();
    a.kernel.set("/sys/class/fc_host/host2/port_state", "Half Way\n");
    let status = status::status(&a.action()).unwrap();
    let json = serde_json::to_string(&status).unwrap();
    assert!(json.contains("Half Way") && json.contains("\"absent\""), "{json}");
    assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status);
}
