//! The actions of `ocf:understudy:fcport`: a clone that tells the cluster how many physical
//! ports are online.

use understudy_core::failure::{Failure, Kind};
use understudy_core::params::{FCPORT as PARAMS, quoted};
use understudy_core::watch::{self, Online};
use understudy_core::wwn::Wwn;

use crate::cluster;
use crate::environment::Environment;
use crate::exit::{Code, Outcome};
use crate::metadata::{self, FCPORT};

const USAGE: &str = "usage: fcport {start|stop|monitor|validate-all|meta-data}\n";
/// The node attribute with the number of all ports online.
const ALL: &str = "fcport";

/// Carries out an action.
pub fn run(action: &str, environment: &Environment) -> Outcome {
    let acts = matches!(action, "start" | "stop" | "monitor" | "status");
    if acts && !environment.kernel().may_act() {
        let reason = format!("{action}: only root may keep the watch; be root");
        return Outcome { code: Code::Permission, reason: Some(reason) };
    }
    match action {
        "start" => Outcome::of(start(environment)),
        "stop" => stop(environment),
        "monitor" | "status" => monitor(environment),
        "validate-all" => Outcome::of(dampen(environment).map(drop)),
        "meta-data" => Outcome::plain(crate::print(&metadata::document(&FCPORT))),
        "usage" | "help" => Outcome::plain(crate::print(USAGE)),
        _ => Outcome {
            code: Code::Unimplemented,
            reason: Some(format!("there is no action '{action}'; {}", USAGE.trim())),
        },
    }
}

fn start(environment: &Environment) -> Result<(), Failure> {
    let dampen = dampen(environment)?;
    let online = watch::begin(&environment.kernel(), &environment.instance)?;
    tell(&online, dampen)
}

fn monitor(environment: &Environment) -> Outcome {
    let kernel = environment.kernel();
    let online = match watch::look(&kernel, &environment.instance) {
        Ok(Some(online)) => online,
        Ok(None) => return Outcome::plain(Code::NotRunning),
        Err(failure) => return Outcome::failed(failure.to_string()),
    };
    // Told each time: the cluster may have forgotten it.
    match dampen(environment).and_then(|dampen| tell(&online, dampen)) {
        Ok(()) => said(&online),
        Err(failure) => Outcome::failed(failure.to_string()),
    }
}

/// A fabric that this node has lost is worth a word where operators look.
fn said(online: &Online) -> Outcome {
    let lost = online.iter().filter(|(_, ports)| **ports == 0);
    let lost: Vec<_> = lost.map(|(fabric, _)| fabric.to_string()).collect();
    if lost.is_empty() && !online.is_empty() {
        return Outcome::plain(Code::Success);
    }
    let fabrics = match lost.as_slice() {
        [] => "any fabric".to_owned(),
        lost => format!("fabric {}", lost.join(", ")),
    };
    let reason = format!("no physical port is online in {fabrics}");
    Outcome { code: Code::Degraded, reason: Some(reason) }
}

/// What cannot be withdrawn ends with the node's membership: no reason to have it fenced.
fn stop(environment: &Environment) -> Outcome {
    let fabrics = match watch::end(&environment.kernel(), &environment.instance) {
        Ok(fabrics) => fabrics,
        Err(failure) => return Outcome::failed(failure.to_string()),
    };
    let names = fabrics.into_iter().map(attribute).chain([ALL.to_owned()]);
    for failure in names.filter_map(|name| cluster::withdraw(&name).err()) {
        log::warn!("{failure}");
    }
    Outcome::plain(Code::Success)
}

fn tell(online: &Online, dampen: u32) -> Result<(), Failure> {
    cluster::publish(ALL, online.values().sum(), dampen)?;
    online.iter().try_for_each(|(fabric, ports)| {
        cluster::publish(&attribute(*fabric), *ports, dampen)
    })
}

/// The node attribute of a fabric. No colons: they mean something in crmsh's rules.
fn attribute(fabric: Wwn) -> String {
    format!("{ALL}-{}", fabric.hex())
}

/// Seconds; an `s` may follow.
fn dampen(environment: &Environment) -> Result<u32, Failure> {
    let given = environment.param("dampen").filter(|text| !text.trim().is_empty());
    let default = PARAMS.iter().find(|p| p.name == "dampen").and_then(|p| p.default);
    let text = given.or(default.map(String::from)).unwrap_or_default();
    let digits = text.trim().strip_suffix('s').unwrap_or(text.trim());
    digits.parse().map_err(|_| {
        let cause = format!("dampen: {} is not a number of seconds", quoted(&text));
        Failure::new(Kind::Configuration, "read the parameters", cause)
    })
}
