//! The watch over physical ports: how many are online in each fabric.
//!
//! A port that has lost its link has lost its fabric's name too. So the fabrics that were
//! seen are remembered, in a file that is there as long as the watch is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::fabric;
use crate::failure::{Failure, Kind};
use crate::kernel::{Kernel, paths};
use crate::wwn::Wwn;

/// Physical ports online, by fabric; a fabric that was seen and has none is there with 0.
pub type Online = BTreeMap<Wwn, u32>;

/// What is remembered.
#[derive(Debug, Serialize, Deserialize)]
struct Watch {
    /// The resource that keeps it.
    resource: String,
    /// The fabrics that were seen.
    fabrics: BTreeSet<Wwn>,
}

/// Begins the watch, or goes on with it.
///
/// # Errors
/// Another resource keeps it, or the file cannot be written.
pub fn begin(kernel: &dyn Kernel, resource: &str) -> Result<Online, Failure> {
    let step = "begin the watch";
    let fabrics = match load(kernel)? {
        Some(watch) if watch.resource != resource => {
            let cause = format!("{} keeps it on this node", watch.resource);
            return Err(Failure::new(Kind::Configuration, step, cause)
                .advise("One clone of ocf:understudy:fcport is enough"));
        }
        Some(watch) => watch.fabrics,
        None => BTreeSet::new(),
    };
    let online = count(kernel, &fabrics);
    store(kernel, resource, &online, step)?;
    Ok(online)
}

/// Looks; nothing where this resource keeps no watch.
///
/// # Errors
/// The file cannot be read or written.
pub fn look(kernel: &dyn Kernel, resource: &str) -> Result<Option<Online>, Failure> {
    let Some(watch) = load(kernel)?.filter(|watch| watch.resource == resource) else {
        return Ok(None);
    };
    let online = count(kernel, &watch.fabrics);
    if online.len() != watch.fabrics.len() {
        store(kernel, resource, &online, "remember a fabric")?;
    }
    Ok(Some(online))
}

/// Ends the watch; gives back the fabrics of which something was told, and nothing where
/// this resource keeps no watch.
///
/// # Errors
/// The file cannot be read or removed.
pub fn end(
    kernel: &dyn Kernel,
    resource: &str,
) -> Result<Option<BTreeSet<Wwn>>, Failure> {
    let Some(watch) = load(kernel)?.filter(|watch| watch.resource == resource) else {
        return Ok(None);
    };
    kernel
        .discard(Path::new(paths::WATCH))
        .map_err(|error| Failure::kernel("end the watch", &[error]))?;
    Ok(Some(watch.fabrics))
}

fn count(kernel: &dyn Kernel, seen: &BTreeSet<Wwn>) -> Online {
    let mut online: Online = seen.iter().map(|fabric| (*fabric, 0)).collect();
    for port in fabric::physical_ports(kernel) {
        if let Some(fabric) = port.fabric.filter(|_| port.state == "Online") {
            *online.entry(fabric).or_insert(0) += 1;
        }
    }
    online
}

fn load(kernel: &dyn Kernel) -> Result<Option<Watch>, Failure> {
    let path = Path::new(paths::WATCH);
    let text = match kernel.load(path) {
        Ok(text) => text,
        Err(error) if error.is(Errno::ENOENT) => return Ok(None),
        Err(error) => return Err(Failure::kernel("read the watch", &[error])),
    };
    // One that is damaged is none: what was seen is seen again, or is gone.
    Ok(serde_json::from_str(&text).ok())
}

fn store(
    kernel: &dyn Kernel,
    resource: &str,
    online: &Online,
    step: &'static str,
) -> Result<(), Failure> {
    let fabrics = online.keys().copied().collect();
    let watch = Watch { resource: resource.to_owned(), fabrics };
    let text = serde_json::to_string(&watch)
        .map_err(|error| Failure::new(Kind::Failed, step, error))?;
    kernel
        .store(Path::new(paths::WATCH), &(text + "\n"))
        .map_err(|error| Failure::kernel(step, &[error]))
}
