//! The watch over physical ports: how many are online in each fabric.
//!
//! The cluster is told of a change that has lasted. attrd's own dampening would not do: it
//! takes whatever is so at the end of a time, and of a link that flaps that may be anything.
//! A lost fabric is not told of where no other node says that it has it. Each node would
//! tell of the loss, and of the return, at a moment of its own, and for as long as one has
//! and another has not, one seems to be better.
//! A port that has lost its link has lost its fabric's name too, so the fabrics that were
//! seen are remembered, and in which of them each port was. One that is dark comes online
//! with its group: it counts in the fabric in which it was, or else each time its group comes
//! home to it, the node would seem to lack that fabric and the group would go away again.
//! All of it is in a file that is there as long as the watch is kept;
//! with it stands since when each group could have been served here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::fabric;
use crate::failure::{Failure, Kind};
use crate::kernel::{Instant, Kernel, paths};
use crate::wwn::Wwn;

/// Monitors do not come to the millisecond: one that is this early counts as in time.
const SLACK: Duration = Duration::from_millis(500);

/// Physical ports online, or dark and able to come, by fabric; a fabric that was seen and
/// has none is there with 0.
pub type Online = BTreeMap<Wwn, u32>;

/// What is remembered.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Watch {
    /// The resource that keeps it.
    resource: String,
    /// The fabrics that were seen.
    fabrics: BTreeMap<Wwn, Fabric>,
    /// The fabric in which each physical port was last online.
    #[serde(default)]
    ports: BTreeMap<Wwn, Wwn>,
    /// Groups of which something was told, and since when each could be served here, in
    /// seconds of the monotonic clock; nothing where it cannot.
    #[serde(default)]
    groups: BTreeMap<String, Option<u64>>,
    /// When groups were last looked at, in seconds of the monotonic clock.
    #[serde(default)]
    looked: Option<u64>,
}

/// What is remembered of a fabric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Fabric {
    /// How many ports the cluster was told of.
    told: u32,
    /// Since when there have been more or fewer, in milliseconds of the monotonic clock.
    changed: Option<u64>,
    /// The same clock: since when there has been none here, and one elsewhere.
    #[serde(default)]
    elsewhere: Option<u64>,
}

/// What there is, and what the cluster is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// As it is now.
    pub online: Online,
    /// As it has been for long enough.
    pub steady: Online,
    /// How many ports are dark and could come, in a fabric that is not known.
    pub dark: u32,
}

/// Of what something was told to the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// The fabrics that were seen.
    pub fabrics: BTreeSet<Wwn>,
    /// Groups.
    pub groups: BTreeSet<String>,
}

/// Begins the watch, or goes on with it; gives back what the cluster is to be told.
///
/// # Errors
/// Another resource keeps it, the file cannot be written, or a port cannot be read.
pub fn begin(kernel: &dyn Kernel, resource: &str) -> Result<Seen, Failure> {
    let step = "begin the watch";
    let mut watch = match load(kernel)? {
        Some(watch) if watch.resource != resource => {
            let cause = format!("{} keeps it on this node", watch.resource);
            return Err(Failure::new(Kind::Configuration, step, cause)
                .advise("One clone of ocf:understudy:fcport is enough"));
        }
        Some(watch) => watch,
        None => Watch { resource: resource.to_owned(), ..Watch::default() },
    };
    let (online, dark) = count(kernel, &mut watch)?;
    watch.note(&online, kernel.now(), Duration::MAX, &|_| true);
    store(kernel, &watch, step)?;
    Ok(Seen { online, steady: watch.told(), dark })
}

/// Looks; nothing where this resource keeps no watch. A change counts once it has lasted
/// for `dampen`, and a fabric that is lost once another node has had a port online there for
/// as long, as `elsewhere` says; a fabric that was never seen, at once.
///
/// # Errors
/// The file cannot be read or written, or a port cannot be read.
pub fn look(
    kernel: &dyn Kernel,
    resource: &str,
    dampen: Duration,
    elsewhere: &dyn Fn(Wwn) -> bool,
) -> Result<Option<Seen>, Failure> {
    let Some(mut watch) = kept_by(kernel, resource)? else { return Ok(None) };
    let before = (watch.fabrics.clone(), watch.ports.clone());
    let (online, dark) = count(kernel, &mut watch)?;
    watch.note(&online, kernel.now(), dampen, elsewhere);
    if (&watch.fabrics, &watch.ports) != (&before.0, &before.1) {
        store(kernel, &watch, "remember a fabric")?;
    }
    Ok(Some(Seen { online, steady: watch.told(), dark }))
}

impl Watch {
    /// Takes what is online now for a change, or for what has lasted.
    fn note(
        &mut self,
        online: &Online,
        now: Instant,
        dampen: Duration,
        elsewhere: &dyn Fn(Wwn) -> bool,
    ) {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        for (fabric, ports) in online {
            let first = Fabric { told: *ports, changed: None, elsewhere: None };
            let known = self.fabrics.entry(*fabric).or_insert(first);
            if known.told == *ports {
                *known = first;
                continue;
            }
            let mut since = *known.changed.get_or_insert(now);
            if *ports == 0 {
                if !elsewhere(*fabric) {
                    known.elsewhere = None;
                    continue;
                }
                since = *known.elsewhere.get_or_insert(now);
            }
            let lasted = Duration::from_millis(now.saturating_sub(since));
            if lasted + SLACK >= dampen {
                *known = first;
            }
        }
    }

    fn told(&self) -> Online {
        self.fabrics.iter().map(|(fabric, known)| (*fabric, known.told)).collect()
    }
}

/// Takes note of a look at the groups, where the last one was so long ago; says whether it
/// was.
///
/// # Errors
/// The file cannot be read or written.
pub fn note_look_if_due(
    kernel: &dyn Kernel,
    resource: &str,
    every: Duration,
) -> Result<bool, Failure> {
    let Some(mut watch) = kept_by(kernel, resource)? else { return Ok(false) };
    let now = kernel.now().as_secs();
    if watch.looked.is_some_and(|then| now.saturating_sub(then) < every.as_secs()) {
        return Ok(false);
    }
    watch.looked = Some(now);
    store(kernel, &watch, "remember a look at the groups")?;
    Ok(true)
}

/// For how many seconds each group could have been served here, without a break that was
/// seen; `groups` are all, and whether each could be now. Of one for which that cannot be
/// told at this moment, what was so before still is; at the first look it could.
///
/// # Errors
/// The file cannot be read or written.
pub fn could_serve_for(
    kernel: &dyn Kernel,
    resource: &str,
    groups: BTreeMap<String, Option<bool>>,
) -> Result<BTreeMap<String, Option<u64>>, Failure> {
    let Some(mut watch) = kept_by(kernel, resource)? else { return Ok(BTreeMap::new()) };
    let now = kernel.now().as_secs();
    let since = |(name, could): (String, Option<bool>)| {
        let before = watch.groups.get(&name).copied();
        let since = match could {
            None => before.unwrap_or(Some(now)),
            Some(true) => Some(before.flatten().unwrap_or(now)),
            Some(false) => None,
        };
        (name, since)
    };
    let groups = groups.into_iter().map(since).collect();
    if groups != watch.groups {
        watch.groups = groups;
        store(kernel, &watch, "remember the groups")?;
    }
    let steady = |since: Option<u64>| since.map(|since| now.saturating_sub(since));
    Ok(watch.groups.into_iter().map(|(name, since)| (name, steady(since))).collect())
}

/// Ends the watch; gives back of what something was told, and nothing where this resource
/// keeps no watch.
///
/// # Errors
/// The file cannot be read or removed.
pub fn end(kernel: &dyn Kernel, resource: &str) -> Result<Option<Told>, Failure> {
    let Some(watch) = kept_by(kernel, resource)? else { return Ok(None) };
    kernel
        .discard(Path::new(paths::WATCH))
        .map_err(|error| Failure::kernel("end the watch", &[error]))?;
    let (fabrics, groups) = (watch.fabrics.into_keys(), watch.groups.into_keys());
    Ok(Some(Told { fabrics: fabrics.collect(), groups: groups.collect() }))
}

/// Returns the ports of each fabric, and how many more could come in one that is not known.
/// Remembers in which fabric each port is.
fn count(kernel: &dyn Kernel, watch: &mut Watch) -> Result<(Online, u32), Failure> {
    let failed = |error| Failure::kernel("count the physical ports", &[error]);
    let mut online: Online = watch.fabrics.keys().map(|fabric| (*fabric, 0)).collect();
    let mut dark = 0;
    for port in fabric::physical_ports(kernel).map_err(failed)? {
        let now = port.fabric.filter(|_| port.state == "Online");
        if let Some(fabric) = now {
            watch.ports.insert(port.wwpn, fabric);
        }
        let comes = || fabric::can_come(kernel, &port).map_err(failed);
        match now.or_else(|| watch.ports.get(&port.wwpn).copied()) {
            Some(fabric) if now.is_some() || comes()? => {
                *online.entry(fabric).or_insert(0) += 1;
            }
            Some(_) => {}
            None => dark += u32::from(comes()?),
        }
    }
    Ok((online, dark))
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

fn kept_by(kernel: &dyn Kernel, resource: &str) -> Result<Option<Watch>, Failure> {
    Ok(load(kernel)?.filter(|watch| watch.resource == resource))
}

fn store(kernel: &dyn Kernel, watch: &Watch, step: &'static str) -> Result<(), Failure> {
    let text = serde_json::to_string(watch)
        .map_err(|error| Failure::new(Kind::Failed, step, error))?;
    kernel
        .store(Path::new(paths::WATCH), &(text + "\n"))
        .map_err(|error| Failure::kernel(step, &[error]))
}
