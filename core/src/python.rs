//! The Python module `understudy`: what the commands for operators show, as objects.
//! Nothing in this module changes a node. Its documentation for users is in the stubs,
//! core/python/understudy.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyString;
use serde::Serialize;

use crate::action::failure::{Failure, Kind};
use crate::action::step::Step;
use crate::config;
use crate::config::group::DeviceName;
use crate::disks::ownership::Keys;
use crate::fc::{PhysicalPort, PortState, Seen, VportState};
use crate::kernel::RealKernel;
use crate::kernel::reservation::{Holder, Key, Reservation};
use crate::node::Node;
use crate::run_files::registry::{Role, Took};
use crate::verbs::check::{Finding, Verdict};
use crate::verbs::status::{
    Lun, Owner, Physical, Port, Served, Service, Session, Status,
};
use crate::wwn::Wwn;

create_exception!(understudy, Error, PyException);

/// Returns the text that stands for a value in JSON.
fn spelled(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        other => format!("{other:?}"),
    }
}

/// Converts types to Python's `str`, by the given function.
macro_rules! as_text {
    ($text:expr => $($type:ty),*) => {$(
        impl<'py> IntoPyObject<'py> for &$type {
            type Target = PyString;
            type Output = Bound<'py, PyString>;
            type Error = Infallible;

            fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Infallible> {
                Ok(PyString::new(py, &$text(self)))
            }
        }

        impl<'py> IntoPyObject<'py> for $type {
            type Target = PyString;
            type Output = Bound<'py, PyString>;
            type Error = Infallible;

            fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Infallible> {
                (&self).into_pyobject(py)
            }
        }
    )*};
}
as_text!(spelled => Role, Service, Owner, Verdict, DeviceName);
as_text!(ToString::to_string => Key, PortState, Seen<PortState>, Seen<VportState>);

/// Returns a failure as a Python exception. Its text is the one that the agent prints;
/// kind, step, causes, path and advice are attributes.
fn raised(failure: Failure) -> PyErr {
    Python::attach(|py| {
        let error = Error::new_err(failure.to_string());
        let kind = match failure.kind {
            Kind::Configuration => "configuration",
            Kind::Node => "node",
            Kind::Failed | Kind::Refused => "failed",
        };
        let path = failure.path.as_ref().map(|path| path.display().to_string());
        let causes: Vec<_> = failure.causes.iter().map(ToString::to_string).collect();
        let value = error.value(py);
        let set = value
            .setattr("kind", kind)
            .and_then(|()| value.setattr("step", failure.step))
            .and_then(|()| value.setattr("causes", causes))
            .and_then(|()| value.setattr("path", path))
            .and_then(|()| value.setattr("advice", &failure.advice));
        set.err().unwrap_or(error)
    })
}

fn wrong(step: &'static str, cause: impl std::fmt::Display) -> PyErr {
    raised(Failure::new(Kind::Configuration, step, cause))
}

#[pymethods]
impl Wwn {
    #[new]
    fn read(text: &str) -> PyResult<Self> {
        text.parse().map_err(|error| wrong("read the name", error))
    }

    fn __str__(&self) -> String {
        self.to_string()
    }

    fn __repr__(&self) -> String {
        format!("Wwn('{self}')")
    }

    fn __int__(&self) -> u64 {
        self.value()
    }
}

#[pymethods]
impl Status {
    #[getter]
    fn healthy(&self) -> bool {
        self.is_healthy()
    }
}

#[pymethods]
impl Reservation {
    /// Returns whether a node owns the disk and no other key is registered on it.
    fn owned_by_node(&self, node: &str) -> PyResult<bool> {
        Ok(keys_of(node)?.own(self))
    }
}

/// Returns the reservation keys of a node in this node's cluster.
fn keys_of(node: &str) -> PyResult<Keys> {
    let failed = |error| raised(Failure::kernel("look at this node", &[error]));
    Keys::of(&RealKernel::of_environment(), node).map_err(failed)
}

/// A takeover group as configured.
#[pyclass(frozen, module = "understudy")]
struct Group {
    read: config::group::Group,
    parameters: BTreeMap<String, String>,
}

/// The value of a parameter, as Python gives it: one text, or a list of words.
#[derive(FromPyObject)]
enum Words {
    One(String),
    Many(Vec<String>),
}

#[pymethods]
impl Group {
    #[new]
    #[pyo3(signature = (name, **parameters))]
    fn read(name: String, parameters: Option<BTreeMap<String, Words>>) -> PyResult<Self> {
        let text = |words| match words {
            Words::One(text) => text,
            Words::Many(words) => words.join(" "),
        };
        let parameters = parameters.unwrap_or_default().into_iter();
        let parameters: BTreeMap<_, _> =
            parameters.map(|(name, words)| (name, text(words))).collect();
        let given = parameters.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let read = config::group::Group::of(&name, given)
            .map_err(|error| wrong("read the group", error))?;
        Ok(Self { read, parameters })
    }

    #[getter]
    fn name(&self) -> &str {
        &self.read.name
    }

    #[getter]
    fn parameters(&self) -> BTreeMap<String, String> {
        self.parameters.clone()
    }
}

/// A step of a plan.
#[pyclass(frozen, get_all, name = "Step", module = "understudy")]
struct Planned {
    title: &'static str,
    operations: Vec<String>,
}

/// Returns this node, under another name if one is given.
fn node_of(name: Option<&str>) -> Result<Node<'static>, Failure> {
    let here = Node::here()?;
    Ok(match name {
        Some(name) => here.named(name),
        None => here,
    })
}

#[pymodule(name = "_core")]
mod understudy {
    use super::*;

    #[pymodule_export]
    use super::{
        Error, Finding, Group, Holder, Lun, Physical, PhysicalPort, Planned, Port,
        Reservation, Served, Session, Status, Took, Wwn,
    };

    #[pyfunction]
    #[pyo3(signature = (node=None))]
    fn status(node: Option<&str>) -> PyResult<Status> {
        node_of(node).and_then(|node| node.status()).map_err(raised)
    }

    #[pyfunction]
    #[pyo3(signature = (group, node=None))]
    fn check(group: &Group, node: Option<&str>) -> PyResult<Vec<Finding>> {
        node_of(node).map(|node| node.check(&group.read)).map_err(raised)
    }

    #[pyfunction]
    #[pyo3(signature = (group, action, node=None))]
    fn plan(group: &Group, action: &str, node: Option<&str>) -> PyResult<Vec<Planned>> {
        let planned = |Step { title, chains }: Step| {
            let operations = chains.iter().flatten().map(ToString::to_string).collect();
            Planned { title, operations }
        };
        let steps = node_of(node).and_then(|node| node.plan(&group.read, action));
        Ok(steps.map_err(raised)?.into_iter().map(planned).collect())
    }

    #[pyfunction]
    fn reservation(device: PathBuf) -> PyResult<Reservation> {
        Node::here().and_then(|node| node.reservation(&device)).map_err(raised)
    }

    #[pyfunction]
    fn key_of(node: &str) -> PyResult<Key> {
        Ok(keys_of(node)?.now)
    }
}
