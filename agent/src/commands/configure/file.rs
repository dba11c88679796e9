//! The file in which a person describes a pair of groups.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Value;
use understudy_core::config::kind::Kind;
use understudy_core::config::params::{Param, VPORT};
use understudy_core::text::quoted;

/// The file that a person writes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Initiators of the groups that name none.
    #[serde(default)]
    pub initiators: Vec<String>,
    /// Seconds after which groups come home by themselves; not set, never.
    pub giveback: Option<u32>,
    /// The groups.
    pub group: Vec<Item>,
}

/// A group in the file.
#[derive(Debug, Deserialize)]
pub struct Item {
    /// The resource's id.
    pub name: String,
    /// Which of the group's fabrics count.
    #[serde(default)]
    pub fabrics: Fabrics,
    /// Everything else: the resource's parameters.
    #[serde(flatten)]
    parameters: BTreeMap<String, Value>,
}

/// Which of a group's fabrics count, where a node has lost one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fabrics {
    /// Each: the group goes where more of them are online.
    #[default]
    Each,
    /// Any: the group stays as long as one is online.
    Any,
}

impl File {
    /// Reads the file's text.
    ///
    /// # Errors
    /// What is wrong with its form, on one line, with the place in the file.
    pub fn read(text: &str) -> Result<Self, String> {
        let in_a_line = |error: toml::de::Error| {
            error.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ")
        };
        toml::from_str(text).map_err(in_a_line)
    }
}

impl Item {
    /// Returns the group's parameters by their names, and what is wrong with them.
    /// `initiators` are those of a group that names none.
    pub fn values(
        &self,
        initiators: &[String],
    ) -> (BTreeMap<&'static str, String>, Vec<String>) {
        let (mut values, mut faults) = (BTreeMap::new(), Vec::new());
        for (name, value) in &self.parameters {
            let declared = VPORT.iter().find(|param| param.name == name);
            match declared.map(|param| (param.name, text(param, value))) {
                Some((name, Ok(text))) => drop(values.insert(name, text)),
                Some((_, Err(fault))) => faults.push(fault),
                None => faults.push(format!("there is no parameter {}", quoted(name))),
            }
        }
        values.entry("initiators").or_insert_with(|| initiators.join(" "));
        // The rules that are printed move a group whose link is lost.
        values.entry("link_loss").or_insert_with(|| "degraded".into());
        (values, faults)
    }
}

/// Returns a parameter's value as the cluster is to have it.
fn text(param: &Param, value: &Value) -> Result<String, String> {
    let (text, expected) = match param.kind {
        Kind::Words => (in_words(value), "a list of texts"),
        Kind::Number { .. } | Kind::Seconds => {
            (value.as_integer().map(|number| number.to_string()), "a number")
        }
        Kind::Text | Kind::Choice(_) | Kind::Flag => {
            (value.as_str().map(str::to_owned), "a text")
        }
    };
    let (name, found) = (param.name, value.type_str());
    text.ok_or_else(|| format!("{name}: found {found}, expected {expected}"))
}

/// Returns a list of texts as words, separated by spaces.
fn in_words(value: &Value) -> Option<String> {
    let words: Option<Vec<_>> = value.as_array()?.iter().map(Value::as_str).collect();
    Some(words?.join(" "))
}

#[cfg(test)]
mod tests {
    use super::super::pair::{read, tests::PAIR};
    use super::*;

    #[test]
    fn every_parameter_is_accepted_and_no_other_name() {
        let with = |name: &str, value: &str| {
            let (top, groups) = PAIR.split_once("[[group]]").unwrap();
            let (one, other) = groups.split_once("[[group]]").unwrap();
            let is_other = |line: &&str| !line.trim().starts_with(&format!("{name} ="));
            let one: Vec<_> = one.lines().filter(is_other).collect();
            let one = one.join("\n");
            read(&format!("{top}[[group]]{one}\n{name} = {value}\n[[group]]{other}"))
        };
        for param in VPORT {
            let (value, text) = match (param.name, param.kind) {
                ("wwnn", _) => one("20:00:75:64:00:00:00:0c"),
                ("ports" | "initiators", _) => list("20:01:75:64:00:00:00:0c"),
                ("disks", _) => list("7=naa.600140575de500000000000000000007"),
                (_, Kind::Text) => one("naa.600140575de500000000000000000007"),
                (_, Kind::Words) => list("naa.600140575de500000000000000000007"),
                (_, Kind::Choice(words)) => one(words.last().unwrap()),
                (_, Kind::Flag) => one("no"),
                (_, Kind::Number { most, .. }) => (most.to_string(), most.to_string()),
                (_, Kind::Seconds) => ("7".into(), "7".into()),
            };
            let plan = with(param.name, &value).unwrap();
            let has = &plan.groups[0].parameters;
            assert!(has.contains(&(param.name, text)), "{}: {has:?}", param.name);
        }
        let faults = with("disk", "\"naa.600140575de500000000000000000007\"");
        assert_eq!(faults.unwrap_err(), ["group-a: there is no parameter 'disk'"]);
    }

    /// Returns a text as the file has it, and as the cluster has it.
    fn one(text: &str) -> (String, String) {
        (format!("\"{text}\""), text.into())
    }

    /// Returns a list as the file has it, and as the cluster has it.
    fn list(word: &str) -> (String, String) {
        (format!("[\"{word}\"]"), word.into())
    }
}
