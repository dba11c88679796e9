//! A resource as it is configured: its agent, its parameters, and how long its operations may
//! take.

use std::collections::BTreeMap;

use quick_xml::events::BytesStart;
use understudy_core::action::failure::{Failure, Kind};
use understudy_core::kernel::Kernel;
use understudy_core::situation::scope::Scope;

use super::times::{DEFAULT, Timeout};
use super::view::value;

/// Parameters of a resource, by name.
pub type Parameters = BTreeMap<String, String>;

/// How a resource is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// The resource's id.
    pub id: String,
    /// The resource's agent, for example `ocf:understudy:vport`.
    pub agent: String,
    /// The agent's parameters, or why they are not known.
    pub parameters: Result<Parameters, Failure>,
    /// The collections that the resource is in, the outermost first.
    pub within: Vec<Collection>,
    /// The template that the resource is made from.
    pub(super) template: Option<String>,
    /// Whether this is a template itself.
    pub(super) is_template: bool,
    /// How many sets of parameters the parser has met in the resource.
    pub(super) sets: usize,
    /// How long operations may take, by name, for those that say so.
    pub(super) timeouts: BTreeMap<String, Timeout>,
    /// Whether operations are references to another resource's.
    pub(super) has_references: bool,
    /// How long an operation may take that does not say so.
    pub(super) default: Timeout,
}

/// A collection that a resource is in: a group, a clone or a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// The collection's id.
    pub id: String,
    /// Whether the members start one after the other, as those of a `group` do.
    pub is_group: bool,
}

impl Configured {
    /// Returns whether the parameters were a plain list and have been read.
    pub fn is_plain(&self) -> bool {
        self.parameters.is_ok()
    }

    /// Returns whether an id is that of the resource or of a collection that it is in.
    pub fn is_or_is_in(&self, id: &str) -> bool {
        self.id == id || self.within.iter().any(|its| its.id == id)
    }

    /// Returns the node that a group belongs to, if its configuration names one.
    pub fn home(&self) -> Option<&str> {
        let home = self.parameters.as_ref().ok()?.get("home").map(|home| home.trim());
        home.filter(|home| !home.is_empty())
    }

    /// Returns how long an operation may take. The operation's own value counts first,
    /// then its template's, then that of `op_defaults`, and last Pacemaker's own default
    /// (`pcmk__unpack_action_meta` in its lib/pengine/pe_actions.c).
    pub fn timeout(&self, operation: &str) -> Timeout {
        match self.timeouts.get(operation) {
            Some(timeout) => timeout.clone(),
            None if self.has_references => Timeout::NotJudged,
            None => self.default.clone(),
        }
    }

    /// Returns what to look for of a group that is configured this way.
    ///
    /// # Errors
    /// The group's parameters are not known.
    pub fn scope(&self, kernel: &dyn Kernel) -> Result<Scope, Failure> {
        let parameters = self.parameters.as_ref().map_err(Failure::clone)?;
        Ok(Scope::gather(kernel, &self.id, |name| parameters.get(name).cloned()))
    }

    /// Returns a resource or a template by its start tag. What is inside it comes later.
    pub(super) fn new(tag: &BytesStart, is_template: bool) -> Self {
        let part = |name| value(tag, name).unwrap_or_default();
        let template = value(tag, "template");
        let mut new = Self {
            id: part("id"),
            agent: ["class", "provider", "type"].map(part).join(":"),
            parameters: Ok(Parameters::new()),
            within: Vec::new(),
            is_template,
            sets: 0,
            timeouts: BTreeMap::new(),
            has_references: false,
            default: Timeout::Seconds(DEFAULT),
            template,
        };
        if new.template.is_some() {
            new.leave_to_pacemaker();
        }
        new
    }

    /// Takes in a parameter of the only set. If two have the same name, Pacemaker uses
    /// the first (`populate_hash` in its lib/pengine/rules.c, 2.1.5).
    pub(super) fn take_parameter(&mut self, tag: &BytesStart) {
        let pair = value(tag, "name").zip(value(tag, "value"));
        let is_plain = |value: &str| !value.eq_ignore_ascii_case("#default");
        match (pair, &mut self.parameters) {
            (_, Err(_)) => {}
            (Some((name, value)), Ok(parameters)) if is_plain(&value) => {
                parameters.entry(name).or_insert(value);
            }
            _ => self.leave_to_pacemaker(),
        }
    }

    /// Notes that only Pacemaker can tell the parameters.
    pub(super) fn leave_to_pacemaker(&mut self) {
        let cause = format!("{} has others than a plain list", self.id);
        self.parameters = Err(Failure::new(Kind::Failed, "read the parameters", cause));
    }
}
