//! The world of the scenarios: the running lab with both groups served at home, and what
//! can be done to it.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use understudy_fabric::client::Client;
use understudy_fabric::control::{Event, What, contests, overlaps};
use understudy_fabric::wwn::Wwn;

use crate::cluster;
use crate::console;
use crate::error::{Error, Result};
use crate::groups::{self, Group, Lun, groups};
use crate::guest::Guest;
use crate::install::{self, Install};
use crate::lab::Lab;
use crate::load::Load;
use crate::paths;
use crate::plan::{ARRAYS, SIDES, Side};
use crate::{progress, speed, supervise};

/// How long a takeover may take, from the power cut to the login. Emulated nodes start
/// their fence agent slowly.
pub const TAKEOVER: Duration = Duration::from_secs(120);
/// How long a node may take to come back after it was fenced.
pub const COME_BACK: Duration = Duration::from_secs(420);
/// How long the cluster may take to notice a lost link: `dampen` of fcport, and more than
/// two of its monitors.
const KNOWN: Duration = Duration::from_secs(25);
/// How long a command to the cluster may take.
pub const COMMAND: Duration = Duration::from_secs(120);

/// The lab, ready for scenarios.
#[derive(Debug)]
pub struct World {
    /// The lab.
    pub lab: Arc<Lab>,
    /// The two groups that are always there.
    pub groups: [Group; 2],
    /// The load at the initiator.
    pub load: Load,
    /// The LUNs of the group in two fabrics, while that group is there.
    pub(super) paired: Mutex<Option<Vec<Lun>>>,
}

/// A point in the fabrics' event logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark([u64; 2]);

impl Mark {
    /// The mark before all events.
    const BEGIN: Self = Self([0; 2]);

    fn of(self, side: Side) -> u64 {
        let Self([a, b]) = self;
        match side {
            Side::A => a,
            Side::B => b,
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // The server holds the lab too.
        self.lab.stop();
    }
}

impl World {
    /// Boots the lab, installs the agent's package and has both groups served.
    ///
    /// # Errors
    /// The lab does not start, or a group is not served.
    pub fn start() -> Result<Self> {
        Self::on(Lab::start()?, install::packages)
    }

    /// Installs the agent on a lab that has been started, with `install`, and has both
    /// groups served.
    ///
    /// # Errors
    /// See [`Self::start`].
    pub fn on(lab: Lab, install: Install) -> Result<Self> {
        let lab = Arc::new(lab);
        // A person can have a shell in a guest while a scenario runs.
        let served = Arc::clone(&lab);
        thread::spawn(move || supervise::serve(served));
        lab.wait_ready()?;
        progress::during("agent: installed on both nodes", || install(&lab, &ARRAYS))?;
        progress::during("groups: each served by its home", || {
            groups::configure(lab.guest(ARRAYS[0])?, &groups())?;
            for group in groups() {
                wait_served(&lab, Mark::BEGIN, &group, group.home)?;
            }
            Ok::<_, Error>(())
        })?;
        let load = Load::start(lab.host()?, &lab.folders().share());
        let world = Self { lab, groups: groups(), load, paired: Mutex::default() };
        progress::during("initiator: eight LUNs found", || world.luns())?;
        Ok(world)
    }

    /// Returns every LUN, with the name that its device has at the initiator now.
    ///
    /// # Errors
    /// The initiator does not find all LUNs.
    pub fn luns(&self) -> Result<Vec<Lun>> {
        groups::luns(self.lab.host()?, COMMAND)
    }

    /// Returns how often the storage nodes have been powered on, all counted together.
    ///
    /// # Errors
    /// Never in practice.
    pub fn boots(&self) -> Result<u32> {
        ARRAYS.iter().map(|name| Ok(self.node(name)?.boots())).sum()
    }

    /// Returns a storage node.
    ///
    /// # Errors
    /// There is no such node.
    pub fn node(&self, name: &str) -> Result<&Guest> {
        self.lab.guest(name)
    }

    /// Returns a mark for the present end of the fabrics' event logs.
    ///
    /// # Errors
    /// A fabric does not answer.
    pub fn mark(&self) -> Result<Mark> {
        let last = |side| {
            let events = client(&self.lab, side)?.events(0).map_err(fabric)?;
            Ok::<_, Error>(events.last().map_or(0, |event| event.seq))
        };
        Ok(Mark([last(Side::A)?, last(Side::B)?]))
    }

    /// Returns a fabric's events since a mark.
    ///
    /// # Errors
    /// The fabric does not answer.
    pub fn events(&self, since: Mark, side: Side) -> Result<Vec<Event>> {
        client(&self.lab, side)?.events(since.of(side)).map_err(fabric)
    }

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

    /// Waits until every port of a group logs in on a node's link, each in its fabric.
    /// Returns the event of the last one.
    ///
    /// # Errors
    /// A port does not log in there in that time.
    pub fn wait_served(&self, since: Mark, group: &Group, node: &str) -> Result<Event> {
        wait_served(&self.lab, since, group, node)
    }

    /// Returns the link on which all ports of a group are logged in now, and the address
    /// of the first port.
    ///
    /// # Errors
    /// A port is not logged in, or is on another link than the first, or a fabric does
    /// not answer.
    pub fn serving(&self, group: &Group) -> Result<(String, String)> {
        let mut places = Vec::new();
        for (side, wwpn) in group.ports()? {
            let ports = client(&self.lab, side)?.ports().map_err(fabric)?;
            let port = ports.into_iter().find(|port| port.wwpn == wwpn);
            let port = port.ok_or_else(|| {
                Error::other(format!("{}: {wwpn} is logged in nowhere", group.name))
            })?;
            places.push((port.link, port.fcid.to_string()));
        }
        let mut places = places.into_iter();
        let first = places.next().ok_or_else(|| Error::other("a group without ports"))?;
        match places.find(|(link, _)| *link != first.0) {
            Some((link, _)) => {
                let (name, one) = (group.name, first.0);
                Err(Error::other(format!("{name} is on {one}, and on {link}")))
            }
            None => Ok(first),
        }
    }

    /// Commands a move through Pacemaker and waits until the cluster has done it. Removes
    /// the rule that the move leaves behind.
    ///
    /// # Errors
    /// The group does not get there.
    pub fn move_to(&self, group: &Group, node: &str) -> Result<Event> {
        let login = self.go_to(group, node)?;
        self.load.in_bursts(|| self.forget_move(group))?;
        Ok(login)
    }

    /// Commands a move and waits until the cluster has done it. Its rule stays, until the
    /// next move or [`Self::forget_move`].
    ///
    /// # Errors
    /// The group does not get there.
    pub fn go_to(&self, group: &Group, node: &str) -> Result<Event> {
        let mark = self.mark()?;
        self.order_move(group, node)?;
        let login = self.wait_served(mark, group, node)?;
        // The cluster's commands are programs that take their time beside a full load.
        self.load.in_bursts(|| self.wait_runs_on(group, node))?;
        Ok(login)
    }

    /// Commands a move, and does not wait for it. Its rule stays, until
    /// [`Self::forget_move`].
    ///
    /// # Errors
    /// The cluster refuses.
    pub fn order_move(&self, group: &Group, node: &str) -> Result<()> {
        let command = format!("crm_resource -r {} --move -N {node}", group.name);
        self.node(group.partner)?.run(&command, COMMAND).map(drop)
    }

    /// Removes the rule of a move. The partner is asked to do it, because a fault may
    /// have struck the home.
    ///
    /// # Errors
    /// The cluster refuses.
    pub fn forget_move(&self, group: &Group) -> Result<()> {
        let command = format!("crm_resource -r {} --clear", group.name);
        self.node(group.partner)?.run(&command, COMMAND).map(drop)
    }

    /// Changes a parameter of a group while it is served, and waits until that is done.
    ///
    /// # Errors
    /// The cluster or the agent refuses.
    pub fn set_parameter(&self, group: &Group, name: &str, value: &str) -> Result<()> {
        let command =
            format!("crm_resource -r {} -p {name} -v '{value}' && lab-idle", group.name);
        self.node(group.partner)?.run(&command, COMMAND).map(drop)
    }

    /// Puts a node in standby or takes it out again; the other node is asked to do it.
    ///
    /// # Errors
    /// The cluster refuses.
    pub fn set_standby(&self, node: &str, is: bool) -> Result<()> {
        let value = if is { "on" } else { "off" };
        let script = format!("crm_attribute -t nodes -N {node} -n standby -v {value}");
        self.other(node)?.run(&script, COMMAND).map(drop)
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

    /// Returns the storage node that is not `node`.
    fn other(&self, node: &str) -> Result<&Guest> {
        let [a, b] = ARRAYS;
        self.node(if node == a { b } else { a })
    }

    /// Checks that the fabrics have noticed nothing since a mark: no port came or went.
    ///
    /// # Errors
    /// A port came or went.
    pub fn must_be_unnoticed(&self, since: Mark) -> Result<()> {
        for side in SIDES {
            if let Some(event) = self.events(since, side)?.first() {
                return Err(Error::other(format!("{} saw {event:?}", side.name())));
            }
        }
        Ok(())
    }

    /// Checks that a node serves a group.
    ///
    /// # Errors
    /// The node does not serve it.
    pub fn must_be_on(&self, group: &Group, node: &str) -> Result<()> {
        match self.serving(group)? {
            (on, _) if on == node => Ok(()),
            (on, _) => Err(Error::other(format!("{} is on {on}", group.name))),
        }
    }

    /// Checks that the cluster runs a group on a node. The group's port need not be
    /// logged in.
    ///
    /// # Errors
    /// The cluster does not run it there.
    pub fn must_run_on(&self, group: &Group, node: &str) -> Result<()> {
        self.any_node()?.run(&runs_on(group, node), COMMAND).map(drop)
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

    /// Checks through the Python module that a node serves a whole group and owns every
    /// disk of it.
    ///
    /// # Errors
    /// The node does not serve the group, or does not own a disk.
    pub fn must_own(&self, group: &Group, node: &str) -> Result<()> {
        let script = format!(
            "python3 - <<'PYTHON'
import understudy
served = {{served.group: served for served in understudy.status().groups}}['{}']
assert not served.faults, served.faults
assert len(served.luns) == {}
for lun in served.luns:
    reservation = understudy.reservation(lun.node)
    assert reservation.owned_by_node('{node}'), (lun.node, reservation.keys)
PYTHON",
            group.name,
            group.disk_specs().len()
        );
        self.node(node)?.run(&script, COMMAND).map(drop)
    }

    /// Waits until a group's home is back, and brings the group there.
    ///
    /// # Errors
    /// The home does not come back, or the group does not get there.
    pub fn back_home(&self, group: &Group) -> Result<()> {
        let step = progress::step(format!("{}: boots, joins, gets it back", group.home));
        self.forget_move(group)?;
        self.wait_whole()?;
        self.giveback()?;
        step.done("");
        Ok(())
    }

    /// Returns a storage node that takes commands.
    ///
    /// # Errors
    /// No storage node takes commands.
    pub fn any_node(&self) -> Result<&Guest> {
        let up = |name: &&&str| self.node(name).is_ok_and(|node| node.boot().is_some());
        let name = ARRAYS.iter().find(up);
        self.node(name.ok_or_else(|| Error::other("no storage node is up"))?)
    }

    /// Cuts a node's power and waits until it is powered on again, which the cluster's
    /// fence does.
    ///
    /// # Errors
    /// The node is not powered on in time.
    pub fn cut_power(&self, name: &str) -> Result<()> {
        let node = self.node(name)?;
        let (step, boots) =
            (progress::step(format!("{name}: power cut, fenced")), node.boots());
        node.power_off();
        self.wait_fenced(name, boots)?;
        step.done("");
        Ok(())
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

    /// Brings home every group that is not there.
    ///
    /// # Errors
    /// A group does not get there.
    pub fn giveback(&self) -> Result<()> {
        for group in &self.groups {
            if self.serving(group).map_or(true, |(node, _)| node != group.home) {
                self.move_to(group, group.home)?;
            }
        }
        Ok(())
    }

    /// Checks what must hold whatever happened since a mark: no name is logged in twice,
    /// and no kernel reports damage. Returns where a kernel hung: a text for each boot in
    /// which one did.
    ///
    /// # Errors
    /// One of these does not hold.
    pub fn check_invariants(&self, since: Mark) -> Result<Vec<String>> {
        for side in SIDES {
            let all = self.events(Mark::BEGIN, side)?;
            if let Some(twice) = overlaps(&all).first() {
                return Err(Error::other(format!("{} was logged in twice", twice.wwpn)));
            }
            if let Some(refused) = contests(&self.events(since, side)?).first() {
                let error = format!("a name was claimed twice: {refused:?}");
                return Err(Error::other(error));
            }
        }
        let mut hung = Vec::new();
        for guest in self.lab.all() {
            for boot in 1..=guest.boots() {
                let name = format!("{}.{boot}.console", guest.name());
                let console = paths::read(&self.lab.folders().log(&name))?;
                if let Some(trouble) = console::trouble(&console) {
                    return Err(Error::other(format!("{name}:\n{trouble}")));
                }
                hung.extend(console::hung(&console).map(|at| format!("{name}:\n{at}")));
            }
        }
        Ok(hung)
    }
}

/// Returns a shell command that succeeds if the cluster runs a group on a node.
pub fn runs_on(group: &Group, node: &str) -> String {
    let found = format!("resource {} is running on: {node}", group.name);
    format!("crm_resource -r {} -W | grep -q '^{found}'", group.name)
}

/// Returns a connection to a fabric.
///
/// # Errors
/// The fabric does not answer.
pub fn client(lab: &Lab, side: Side) -> Result<Client> {
    Client::connect(lab.fabric(side).control()).map_err(fabric)
}

/// Returns a fabric's error as an error of the lab.
pub fn fabric(error: understudy_fabric::client::ClientError) -> Error {
    Error::other(error.to_string())
}

fn wait_served(lab: &Lab, since: Mark, group: &Group, node: &str) -> Result<Event> {
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
    let after = speed::stretch(TAKEOVER);
    let deadline = Instant::now() + after;
    let mut watch = client(lab, side)?.watch(Some(since.of(side))).map_err(fabric)?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = left.max(Duration::from_millis(1));
        watch.set_timeout(wait).map_err(Error::io("use", lab.fabric(side).control()))?;
        match watch.next() {
            Some(Ok(event)) => {
                let here =
                    event.wwpn == Some(wwpn) && event.link.as_deref() == Some(node);
                if event.event == What::Login && here {
                    return Ok(event);
                }
            }
            Some(Err(_)) if left.is_zero() => {
                let what = format!("{wwpn} logs in on {node}");
                return Err(Error::Timeout { what, after });
            }
            Some(Err(_)) => {}
            None => return Err(Error::other("the fabric has ended")),
        }
    }
}

/// Returns the wall clock, in milliseconds since 1970.
#[must_use]
pub fn wall() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Returns how many milliseconds a guest's clock is ahead of this machine's.
///
/// # Errors
/// The guest does not say what time it is.
pub fn ahead(guest: &Guest) -> Result<i64> {
    let before = wall();
    let theirs = guest.run("date +%s%3N", Duration::from_secs(20))?;
    let ours = u64::midpoint(before, wall());
    let theirs: i64 =
        theirs.trim().parse().map_err(|_| Error::other("date printed no number"))?;
    Ok(theirs - i64::try_from(ours).unwrap_or(0))
}
