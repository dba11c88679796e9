//! The actions of `ocf:understudy:fcport`: a clone that tells the cluster how many physical
//! ports are online.

use understudy_core::failure::{Failure, Kind};
use understudy_core::params::{self, FCPORT, quoted};
use understudy_core::watch::{self, Online};

use crate::cluster;
use crate::environment::Environment;
use crate::exit::{Code, Outcome};

/// Carries out an action, if there is such a one.
pub fn act(action: &str, environment: &Environment) -> Option<Outcome> {
    let acts = matches!(action, "start" | "stop" | "monitor" | "status");
    if acts && !environment.kernel().may_act() {
        let reason = format!("{action}: only root may keep the watch; be root");
        return Some(Outcome { code: Code::Permission, reason: Some(reason) });
    }
    Some(match action {
        "start" => Outcome::of(start(environment)),
        "stop" => stop(environment),
        "monitor" | "status" => monitor(environment),
        "validate-all" => Outcome::of(dampen(environment).map(drop)),
        _ => return None,
    })
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

fn stop(environment: &Environment) -> Outcome {
    let fabrics = match watch::end(&environment.kernel(), &environment.instance) {
        Ok(Some(fabrics)) => fabrics,
        // What another resource tells the cluster stays told.
        Ok(None) => return Outcome::plain(Code::Success),
        Err(failure) => return Outcome::failed(failure.to_string()),
    };
    let names = fabrics.into_iter().map(cluster::ports_in);
    // What cannot be withdrawn ends with the node's membership: it need not be fenced.
    for name in names.chain([cluster::PORTS.to_owned()]) {
        if let Err(failure) = cluster::withdraw(&name) {
            log::warn!("{failure}");
        }
    }
    Outcome::plain(Code::Success)
}

fn tell(online: &Online, dampen: u32) -> Result<(), Failure> {
    cluster::publish(cluster::PORTS, online.values().sum(), dampen)?;
    online.iter().try_for_each(|(fabric, ports)| {
        cluster::publish(&cluster::ports_in(*fabric), *ports, dampen)
    })
}

/// Seconds; an `s` may follow.
fn dampen(environment: &Environment) -> Result<u32, Failure> {
    let spec = FCPORT.iter().find(|spec| spec.name == "dampen");
    let given = spec.and_then(|spec| params::value(spec, environment.param(spec.name)));
    let text = given.unwrap_or_default();
    let digits = text.strip_suffix('s').unwrap_or(&text);
    digits.parse().map_err(|_| {
        let cause = format!("dampen: {} is not a number of seconds", quoted(&text));
        Failure::new(Kind::Configuration, "read the parameters", cause)
    })
}
