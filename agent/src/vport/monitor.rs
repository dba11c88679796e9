//! monitor, and the probe, which is the same: the kernel is asked first. An answer "not
//! running" for a port that is live would have it started a second time elsewhere.

use understudy_core::disks::identity::Identity;
use understudy_core::verbs::{Health, Level, guests_of, health};

use super::Call;
use super::numbers::remember_growth;
use crate::cluster;
use crate::exit::{Code, Outcome};

pub fn monitor(call: &Call) -> Outcome {
    let level = match call.environment.check_level {
        0..10 => Level::Port,
        10..20 => Level::Owner,
        _ => Level::Disk,
    };
    let health = health(&call.action(), &call.scope, level);
    if matches!(health, Health::Running | Health::Degraded(_)) {
        if level > Level::Port {
            tell_identity(call);
            remember_growth(call);
        }
        tell_guests(call);
    }
    match health {
        Health::Running => Outcome::plain(Code::Success),
        Health::Degraded(lost) => {
            Outcome { code: Code::Degraded, reason: Some(lost.join("; ")) }
        }
        Health::NotRunning => Outcome::plain(Code::NotRunning),
        Health::Failed(faults) => Outcome::failed(faults.join("; ")),
    }
}

/// Reports to the cluster which groups hang from this group's physical port, where it has
/// the names of one. `understudy takeover` on another node asks for that.
fn tell_guests(call: &Call) {
    match guests_of(call.kernel(), &call.scope) {
        Ok(Some(names)) => cluster::publish_guests(&call.scope.name, &names),
        Ok(None) => {}
        Err(error) => log::warn!("{error}"),
    }
}

/// Reports to the cluster what this node presents, for `understudy check` on another
/// node.
fn tell_identity(call: &Call) {
    if let Ok(group) = &call.scope.group {
        let identity = Identity::of(call.kernel(), group);
        cluster::publish_identity(&call.scope.name, identity);
    }
}
