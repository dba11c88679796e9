//! The watch over physical ports: how many are online in each fabric.
//!
//! A change is reported to the cluster only after it has lasted. attrd's own dampening is
//! no substitute: it reports whatever the value is when its timer ends, which for a
//! flapping link is random.
//!
//! A lost fabric is reported only if another node reports that it is online there.
//! Otherwise each node would report the loss at a different moment, and the return too.
//! Until all had done so, one of them would look better than it is.
//!
//! A port that has lost its link has lost its fabric's name too. So the watch remembers
//! the fabrics that were seen, and the last fabric of each port. A dark port comes online
//! with its group, so it counts in its last fabric. Otherwise the node would seem to lack
//! that fabric whenever the group has just come home, and the group would leave again.
//!
//! All of this is in a file that exists as long as the watch goes on. The file also says
//! since when each group could have been served on this node.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::action::failure::{Failure, Kind};
use crate::fc;
use crate::kernel::{Instant, Kernel, paths};
use crate::wwn::Wwn;

/// How much too early a monitor may come and still count as in time. Monitors do not come
/// exactly on time.
const SLACK: Duration = Duration::from_millis(500);

/// The number of physical ports in each fabric that are online, or dark and able to come
/// online. A fabric that was seen earlier and has no such port is listed with 0.
pub type Online = BTreeMap<Wwn, u32>;

/// Everything that the watch remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Watch {
    /// The Pacemaker resource to which the watch belongs.
    resource: String,
    /// The fabrics that were seen.
    fabrics: BTreeMap<Wwn, Fabric>,
    /// The fabric in which each physical port was last online.
    #[serde(default)]
    ports: BTreeMap<Wwn, Wwn>,
    /// The groups that were reported to the cluster, each with the time since when it
    /// could be served here, in seconds of the monotonic clock. `None` if it cannot be
    /// served.
    #[serde(default)]
    groups: BTreeMap<String, Option<u64>>,
    /// When the groups were last checked, in seconds of the monotonic clock.
    #[serde(default)]
    looked: Option<u64>,
}

/// What the watch remembers of a fabric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Fabric {
    /// The number of ports that was last reported to the cluster.
    told: u32,
    /// Since when the number has been different, in milliseconds of the monotonic clock.
    changed: Option<u64>,
    /// Since when no port has been online here and one has been on another node, in
    /// milliseconds of the monotonic clock.
    #[serde(default)]
    elsewhere: Option<u64>,
}

/// The physical ports that were seen, and what to report of them to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The number of ports in each fabric now.
    pub online: Online,
    /// The number of ports in each fabric that has lasted long enough to be reported.
    pub steady: Online,
    /// The number of dark ports that could come online in a fabric that is not known.
    pub dark: u32,
}

/// The fabrics and groups that the cluster has reports about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// The fabrics that were reported.
    pub fabrics: BTreeSet<Wwn>,
    /// The groups that were reported.
    pub groups: BTreeSet<String>,
}

/// Begins the watch, or continues it. Returns what to report to the cluster.
///
/// # Errors
/// When the watch belongs to another resource, the file cannot be written, or a port
/// cannot be read.
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

/// Counts the ports and returns what to report; `None` if no watch of this resource goes
/// on. A change counts once it has lasted for `dampen`. The loss of a fabric counts once
/// another node, by `elsewhere`, has had a port online there for that long. A new fabric
/// counts at once.
///
/// # Errors
/// When the file cannot be read or written, or a port cannot be read.
pub fn look(
    kernel: &dyn Kernel,
    resource: &str,
    dampen: Duration,
    elsewhere: &dyn Fn(Wwn) -> bool,
) -> Result<Option<Seen>, Failure> {
    let Some(mut watch) = kept_by(kernel, resource)? else { return Ok(None) };
    let before = watch.clone();
    let (online, dark) = count(kernel, &mut watch)?;
    watch.note(&online, kernel.now(), dampen, elsewhere);
    if watch != before {
        store(kernel, &watch, "remember a fabric")?;
    }
    Ok(Some(Seen { online, steady: watch.told(), dark }))
}

impl Watch {
    /// Notes the numbers of ports online. A number that differs from the reported one is
    /// noted as a change, or replaces the reported one if it has lasted for `dampen`.
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

/// Returns whether the groups are to be checked now, because the last check was at least
/// `every` ago. If so, notes the time of this check.
///
/// # Errors
/// When the file cannot be read or written.
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

/// Returns for how many seconds each group could have been served here without
/// interruption; `None` for a group that cannot. `groups` has every group, with whether
/// it could be served now. Where that is not known at this moment, the earlier answer
/// still counts. A group that was never seen before then counts as one that could be
/// served.
///
/// # Errors
/// When the file cannot be read or written.
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

/// Ends the watch. Returns what was reported to the cluster; `None` if no watch of this
/// resource goes on.
///
/// # Errors
/// When the file cannot be read or removed.
pub fn end(kernel: &dyn Kernel, resource: &str) -> Result<Option<Told>, Failure> {
    let Some(watch) = kept_by(kernel, resource)? else { return Ok(None) };
    kernel
        .discard(Path::new(paths::WATCH))
        .map_err(|error| Failure::kernel("end the watch", &[error]))?;
    let (fabrics, groups) = (watch.fabrics.into_keys(), watch.groups.into_keys());
    Ok(Some(Told { fabrics: fabrics.collect(), groups: groups.collect() }))
}

/// Returns the number of ports in each fabric, and the number of dark ports that could
/// come online in an unknown one. Remembers in which fabric each port is.
fn count(kernel: &dyn Kernel, watch: &mut Watch) -> Result<(Online, u32), Failure> {
    let failed = |error| Failure::kernel("count the physical ports", &[error]);
    let mut online: Online = watch.fabrics.keys().map(|fabric| (*fabric, 0)).collect();
    let mut dark = 0;
    for port in fc::physical_ports(kernel).map_err(failed)? {
        let now = port.fabric.filter(|_| port.state == fc::PortState::Online);
        if let Some(fabric) = now {
            watch.ports.insert(port.wwpn, fabric);
        }
        let comes = || fc::can_come(kernel, &port).map_err(failed);
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
    // A damaged file counts as no watch. A fabric that still exists will be seen again.
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
