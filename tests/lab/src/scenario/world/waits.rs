//! What a scenario waits for: logins, attributes, nodes that are back.

use std::thread;
use std::time::{Duration, Instant};

use super::{COME_BACK, COMMAND, Mark, TAKEOVER, World, client, fabric, runs_on};
use crate::cluster;
use crate::error::{Error, Result};
use crate::groups::Group;
use crate::lab::Lab;
use crate::plan::{ARRAYS, Side, owner};
use crate::speed;
use understudy_fabric::control::{Event, What};
use understudy_fabric::wwn::Wwn;

/// How long the cluster may take to notice a lost link: `dampen` of fcport, and more than
/// two of its monitors.
const KNOWN: Duration = Duration::from_secs(25);

impl World {
    /// Waits until a port logs in on a node's link. Returns the event.
    ///
    /// # Errors
    /// The port does not log in there in that time.
    pub fn wait_login(
        &self,
        since: Mark,
        side: Side,
        wwpn: Wwn,
        node: &str,
    ) -> Result<Event> {
        wait_login(&self.lab, since, side, wwpn, node)
    }

    /// Waits until a fabric has an event since a mark for which `is` returns true. Returns
    /// that event. `what` says in words what is waited for.
    ///
    /// # Errors
    /// There is no such event in that time.
    pub fn wait_event(
        &self,
        since: Mark,
        side: Side,
        what: &str,
        is: impl Fn(&Event) -> bool,
    ) -> Result<Event> {
        wait_event(&self.lab, since, side, what, is)
    }

    /// Waits until every port of a group logs in on a node's link, each in its fabric.
    /// Returns the event of the last one.
    ///
    /// # Errors
    /// A port does not log in there in that time.
    pub fn wait_served(&self, since: Mark, group: &Group, node: &str) -> Result<Event> {
        wait_served(&self.lab, since, group, node)
    }

    /// Waits until an attribute of a node has this value, and the cluster has done what
    /// follows from it.
    ///
    /// # Errors
    /// The attribute does not have this value in time.
    pub fn wait_attribute(&self, node: &str, name: &str, value: &str) -> Result<()> {
        let script = format!(
            "until [ \"$(crm_attribute -N {node} -l reboot -n {name} -G -q)\" = {value} ]; do
                 sleep 0.5
             done
             lab-idle"
        );
        self.other(node)?.run(&script, COMMAND).map(drop)
    }

    /// Waits until a node's watch knows that it has lost a fabric, and the cluster has
    /// nothing to do. Then waits as long as the watch would take to report the loss.
    ///
    /// # Errors
    /// The watch does not know in time.
    pub fn wait_lost(&self, node: &str, side: Side) -> Result<()> {
        let script = format!(
            "since='s/.*\"{}\":{{[^}}]*\"changed\":\\([0-9]*\\).*/\\1/p'
             while known=$(sed -n \"$since\" /run/understudy/fcport.json)
                   read -r up rest < /proc/uptime
                   [ -z \"$known\" ] || [ $((${{up%.*}} * 1000 - known)) -lt {} ]
             do sleep 0.5; done
             lab-idle",
            side.wwn(),
            KNOWN.as_millis()
        );
        self.node(node)?.run(&script, COMMAND).map(drop)
    }

    /// Waits until the cluster runs a group on a node. Does not wait until the cluster is
    /// idle, because it never is while a resource's first monitor reports "degraded".
    ///
    /// # Errors
    /// The group does not get there in time.
    pub fn wait_runs_on(&self, group: &Group, node: &str) -> Result<()> {
        let script = format!("until {}; do sleep 0.5; done", runs_on(group, node));
        self.any_node()?.run(&script, COMMAND).map(drop)
    }

    /// Waits until a node that was powered on `boots` times is powered on once more,
    /// which the cluster's fence does.
    ///
    /// # Errors
    /// The node is not powered on in time.
    pub fn wait_fenced(&self, node: &str, boots: u32) -> Result<()> {
        let node = self.node(node)?;
        let after = speed::stretch(TAKEOVER);
        let deadline = Instant::now() + after;
        while node.boots() <= boots {
            if Instant::now() >= deadline {
                let what = format!("{} is fenced", node.name());
                return Err(Error::Timeout { what, after });
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Waits until both nodes are members, with their ports Online and their disks
    /// attached. Then clears the failures that the cluster remembers.
    ///
    /// # Errors
    /// A node does not come back in time.
    pub fn wait_whole(&self) -> Result<()> {
        self.load.in_bursts(|| {
            for name in ARRAYS {
                let node = self.node(name)?;
                node.wait_up(COME_BACK)?;
                crate::lab::wait_port(node, COME_BACK)?;
                crate::lab::wait_unit(node, "lab-disks.service", COME_BACK)?;
            }
            cluster::wait_online(self.any_node()?, ARRAYS.len(), COME_BACK)
        })?;
        let node = self.any_node()?;
        node.run("crm_resource --cleanup && lab-idle", COMMAND * 2).map(drop)
    }
}

pub(super) fn wait_served(
    lab: &Lab,
    since: Mark,
    group: &Group,
    node: &str,
) -> Result<Event> {
    let login = |(side, wwpn)| wait_login(lab, since, side, wwpn, node);
    let logins = group.ports()?.into_iter().map(login).collect::<Result<Vec<_>>>()?;
    let last = logins.into_iter().max_by(|one, other| one.t.total_cmp(&other.t));
    last.ok_or_else(|| Error::other("a group without ports"))
}

fn wait_login(
    lab: &Lab,
    since: Mark,
    side: Side,
    wwpn: Wwn,
    node: &str,
) -> Result<Event> {
    wait_event(lab, since, side, &format!("{wwpn} logs in on {node}"), |event| {
        event.event == What::Login
            && event.wwpn == Some(wwpn)
            && event.link.as_deref().map(owner) == Some(node)
    })
}

/// Waits until a fabric has an event since a mark for which `is` returns true. Returns that
/// event. `what` says in words what is waited for.
fn wait_event(
    lab: &Lab,
    since: Mark,
    side: Side,
    what: &str,
    is: impl Fn(&Event) -> bool,
) -> Result<Event> {
    let after = speed::stretch(TAKEOVER);
    let deadline = Instant::now() + after;
    let mut watch = client(lab, side)?.watch(Some(since.of(side))).map_err(fabric)?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = left.max(Duration::from_millis(1));
        watch.set_timeout(wait).map_err(Error::io("use", lab.fabric(side).control()))?;
        match watch.next() {
            Some(Ok(event)) if is(&event) => return Ok(event),
            Some(Ok(_)) => {}
            Some(Err(_)) if left.is_zero() => {
                return Err(Error::Timeout { what: what.to_owned(), after });
            }
            Some(Err(_)) => {}
            None => return Err(Error::other("the fabric has ended")),
        }
    }
}
