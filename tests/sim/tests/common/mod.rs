//! A group on simulated nodes, for the tests of the verbs.
#![allow(dead_code, reason = "each test has its own use for it")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use understudy_core::action::Action;
use understudy_core::action::budget::Budget;
use understudy_core::action::failure::Failure;
use understudy_core::disks::ownership::Keys;
use understudy_core::kernel::reservation::Key;
use understudy_core::kernel::{Kernel, Op};
use understudy_core::lio;
use understudy_core::situation::scope::Scope;
use understudy_core::verbs::{Health, Level, health, release, reload, takeover};
use understudy_core::wwn::Wwn;
use understudy_sim::{Hba, Killed, San, SharedSan, SimKernel};

/// With the system's allocator the simulations take a quarter longer.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A takeover group's parameters.
#[derive(Clone)]
pub struct Setup {
    pub name: String,
    pub wwnn: String,
    pub ports: Vec<String>,
    /// LUN number and kernel name.
    pub disks: Vec<(u16, String)>,
    pub initiators: Vec<String>,
    pub home: String,
    /// Kernel name of the state device, where there is one.
    pub state: Option<String>,
    /// What drives the nodes' physical ports.
    pub hba: Hba,
    /// Another group, which the same node serves.
    pub beside: Option<Box<Setup>>,
}

pub const INITIATORS: [&str; 2] = ["21:00:00:24:ff:00:00:01", "21:00:00:24:ff:00:00:02"];
/// Disks that are there and in no group, until [`Setup::changed`].
pub const SPARE: [&str; 2] = ["sdx", "sdy"];

impl Setup {
    /// Returns a group with that many LUNs and ports.
    pub fn new(luns: u16, ports: usize) -> Self {
        Self {
            name: "group-a".into(),
            wwnn: "20:00:00:25:b5:00:00:0a".into(),
            ports: (1..=ports).map(|n| format!("20:0{n}:00:25:b5:00:00:0a")).collect(),
            // The numbers have a gap, since nothing forbids one.
            disks: (0..luns)
                .map(|n| (n + n / 2 * 3, format!("sd{}", letter(n))))
                .collect(),
            initiators: INITIATORS.map(str::to_owned).to_vec(),
            home: "a".into(),
            state: None,
            hba: Hba::Libfc,
            beside: None,
        }
    }

    /// Returns this group with a state disk, so that it has a keeper.
    pub fn keeping(mut self) -> Self {
        self.state = Some("sdz".into());
        self
    }

    /// Returns this group with NVMe namespaces in place of its SCSI disks.
    pub fn on_nvme(mut self) -> Self {
        let disks = self.disks.iter_mut().map(|(_, name)| name);
        for (number, name) in disks.chain(self.state.as_mut()).enumerate() {
            *name = format!("nvme{number}n1");
        }
        self
    }

    /// Returns this group on nodes whose ports are on a qla2xxx HBA.
    pub fn on_qla2xxx(self) -> Self {
        Self { hba: Hba::Qla2xxx, ..self }
    }

    /// Returns this group with another one beside it, which has two LUNs and a port.
    pub fn with_another(self) -> Self {
        let another = Self {
            name: "group-b".into(),
            wwnn: "20:00:00:25:b5:00:00:0b".into(),
            ports: vec!["20:01:00:25:b5:00:00:0b".into()],
            disks: vec![(0, "sdu".into()), (1, "sdv".into())],
            ..self.clone()
        };
        Self { beside: Some(Box::new(another)), ..self }
    }

    /// Returns the group after a change: its first and last LUNs are gone, and two have
    /// come; an initiator is gone, and another has come.
    pub fn changed(&self) -> Self {
        let [other, new] = SPARE.map(str::to_owned);
        let mut changed = self.clone();
        changed.disks.remove(0);
        changed.disks.pop();
        changed.disks.extend([(61, other), (60, new)]);
        changed.initiators.remove(0);
        changed.initiators.push("21:00:00:24:ff:00:00:03".into());
        changed
    }

    pub fn param(&self, name: &str) -> Option<String> {
        let disk = |(lun, name): &(u16, String)| match lun % 2 {
            0 => format!("{lun}={}", link(name)),
            _ if name.starts_with("nvme") => format!("{lun}=eui.0025385b{name}"),
            _ => format!("{lun}=naa.6001405{name}"),
        };
        Some(match name {
            "wwnn" => self.wwnn.clone(),
            "ports" => self.ports.join(" "),
            "disks" => self.disks.iter().map(disk).collect::<Vec<_>>().join(" "),
            "initiators" => self.initiators.join(" "),
            "home" => self.home.clone(),
            "state" => link(self.state.as_ref()?),
            _ => return None,
        })
    }

    /// Returns the kernel names of every disk that the group owns.
    pub fn all_disks(&self) -> impl Iterator<Item = &str> {
        self.disks.iter().map(|(_, name)| name.as_str()).chain(self.state.as_deref())
    }

    pub fn san(&self) -> SharedSan {
        let others = self.beside.iter().flat_map(|other| other.all_disks());
        let names: Vec<_> = self.all_disks().chain(others).chain(SPARE).collect();
        let mut san = San::new(&names, &initiators());
        san.hba = self.hba;
        Rc::new(RefCell::new(san))
    }
}

/// Returns the link that udev makes to a disk.
fn link(disk: &str) -> String {
    let name = if disk.starts_with("nvme") { "nvme-eui.0025385b" } else { "wwn-" };
    format!("/dev/disk/by-id/{name}{disk}")
}

fn letter(n: u16) -> String {
    let letter = |n: u16| char::from(b'a' + n as u8);
    match n {
        0..26 => letter(n).into(),
        _ => format!("{}{}", letter(n / 26 - 1), letter(n % 26)),
    }
}

pub fn initiators() -> Vec<Wwn> {
    INITIATORS.iter().map(|name| name.parse().unwrap()).collect()
}

/// Returns the key of a node that does not know its cluster's word.
pub fn key_of(node: &str) -> Key {
    Keys::new(node, None).now
}

/// A node, and the agent on it.
pub struct Node {
    pub name: &'static str,
    pub kernel: SimKernel<'static>,
    pub san: SharedSan,
    pub setup: Setup,
}

impl Node {
    pub fn new(name: &'static str, san: &SharedSan, setup: &Setup) -> Self {
        let kernel = SimKernel::boot(san);
        Self { name, kernel, san: Rc::clone(san), setup: setup.clone() }
    }

    /// Returns the agent on this node for the group beside this one, if there is one.
    pub fn another(&self) -> Option<Self> {
        Some(self.with((**self.setup.beside.as_ref()?).clone()))
    }

    /// Returns the agent on this node for another group.
    pub fn with(&self, setup: Setup) -> Self {
        let kernel = SimKernel::enter(&self.san, self.kernel.node());
        Self { name: self.name, kernel, san: Rc::clone(&self.san), setup }
    }

    pub fn scope_with(&self, change: &[(&str, &str)]) -> Scope {
        Scope::gather(&self.kernel, &self.setup.name, |name| {
            let changed = change.iter().find(|(changed, _)| *changed == name);
            match changed {
                Some((_, value)) => Some((*value).to_owned()),
                None => self.setup.param(name),
            }
        })
    }

    /// Returns the node's reservation keys.
    pub fn keys(&self) -> Keys {
        Keys::of(&self.kernel, self.name).unwrap()
    }

    pub fn budget(&self) -> Budget {
        Budget::new(&self.kernel, Duration::from_secs(20))
    }

    /// Returns what a verb is given.
    pub fn action(&self) -> Action<'_> {
        self.action_on(&self.kernel)
    }

    /// Returns what a verb is given that has another door to the node's kernel.
    pub fn action_on<'a>(&'a self, kernel: &'a dyn Kernel) -> Action<'a> {
        Action::new(kernel, self.name, self.budget())
    }

    pub fn start_with(&self, change: &[(&str, &str)]) -> Result<(), Failure> {
        let scope = self.scope_with(change);
        takeover(&mut self.action(), &scope)
    }

    pub fn start(&self) -> Result<(), Failure> {
        self.start_with(&[])
    }

    pub fn stop_with(&self, change: &[(&str, &str)]) -> Result<(), Failure> {
        let scope = self.scope_with(change);
        release(&mut self.action(), &scope)
    }

    pub fn stop(&self) -> Result<(), Failure> {
        self.stop_with(&[])
    }

    /// Changes the group that the node serves. Its initiators have let go of what is
    /// removed.
    pub fn reload(&mut self, to: &Setup) -> Result<(), Failure> {
        self.setup = to.clone();
        let scope = self.scope_with(&[]);
        reload(&mut self.action(), &scope)
    }

    pub fn health(&self, level: Level) -> Health {
        health(&self.action(), &self.scope_with(&[]), level)
    }

    /// Returns everything that a stop must not leave: ports, exports, entries, keys.
    pub fn leavings(&self) -> Vec<String> {
        let below = [
            "/sys/class/fc_vports",
            "/sys/kernel/config/target/core",
            "/sys/kernel/config/target/fc",
            "/sys/kernel/config/target/qla2xxx",
            "/run/understudy/ports",
            "/run/understudy/kept",
            "/var/target/pr",
        ];
        let paths = below.iter().flat_map(|dir| self.kernel.below(dir));
        let paths = paths.filter(|path| !self.is_kept(path) && !self.is_others(path));
        let mut left: Vec<_> = paths.map(|path| path.display().to_string()).collect();
        left.extend(self.kernel.read("/proc/self/mounts".as_ref()).ok());
        left.retain(|line| !line.is_empty());
        let ours = self.keys();
        let san = self.san.borrow();
        let keyed =
            san.disks.names().filter(|name| !self.is_others_disk(name)).filter(|name| {
                san.disks.reservation(name).keys.iter().any(|key| ours.are(*key))
            });
        left.extend(keyed.map(|name| format!("a key on {name}")));
        left
    }

    /// Whether qla2xxx keeps this until a boot: a port that was told to stay out, or its
    /// target with nothing in it.
    fn is_kept(&self, path: &Path) -> bool {
        if self.setup.hba != Hba::Qla2xxx {
            return false;
        }
        if let Some(vport) = vport_of(path) {
            let state = self.kernel.read(&vport.join("vport_state"));
            return state.is_ok_and(|state| state == "Disabled\n");
        }
        let inside = path.strip_prefix("/sys/kernel/config/target/qla2xxx");
        inside.is_ok_and(|path| {
            path.iter().count() <= 3 || path.iter().nth(2) == Some("attrib".as_ref())
        })
    }

    /// Whether a path belongs to the group beside this one.
    fn is_others(&self, path: &Path) -> bool {
        let Some(other) = &self.setup.beside else { return false };
        let wwpn: Wwn = other.ports[0].parse().unwrap();
        if let Some(vport) = vport_of(path) {
            let name = self.kernel.read(&vport.join("port_name"));
            return name.is_ok_and(|name| name.trim() == format!("{:#x}", wwpn.value()));
        }
        let text = path.to_string_lossy();
        path.starts_with(lio::hba(other.wwnn.parse().unwrap()))
            || [wwpn.to_string(), wwpn.hex()].iter().any(|name| text.contains(name))
    }

    fn is_others_disk(&self, name: &str) -> bool {
        let other = self.setup.beside.as_ref();
        other.is_some_and(|other| other.disks.iter().any(|(_, disk)| disk == name))
    }

    /// Whether the kernel's grace periods are expedited.
    pub fn is_hurried(&self) -> bool {
        self.kernel.read("/sys/kernel/rcu_expedited".as_ref()).unwrap() != "0\n"
    }

    /// Has the account of a port's commands end, as where somebody flushes the ruleset.
    pub fn flush(&self, port: &str) {
        let wwpn = port.parse().unwrap();
        let end = Op::EndAccount { link: "eth1".into(), wwpn, fcid: 0 };
        self.kernel.run(&[vec![end]], self.kernel.now() + Duration::from_secs(1));
    }

    /// Whether this node alone owns every disk of the group, and no other.
    pub fn owns_all(&self) -> bool {
        let ours = self.keys();
        let disks = &self.san.borrow().disks;
        disks.names().filter(|name| !self.is_others_disk(name)).all(|name| {
            let now = disks.reservation(name);
            let mut names = self.setup.disks.iter().map(|(_, its)| its);
            match names.any(|its| its == name) || self.setup.state.as_ref() == Some(name)
            {
                true => ours.own(&now),
                false => !now.keys.iter().any(|key| ours.are(*key)),
            }
        })
    }
}

/// Returns the virtual port that a path belongs to.
fn vport_of(path: &Path) -> Option<PathBuf> {
    let dir = Path::new("/sys/class/fc_vports");
    Some(dir.join(path.strip_prefix(dir).ok()?.iter().next()?))
}

/// Returns a node that serves a group, to initiators that have found it.
pub fn served(setup: &Setup) -> Node {
    let (node, _) = pair(setup);
    node.start().unwrap();
    node.kernel.sleep(Duration::from_secs(1));
    node.kernel.plan(None);
    node
}

/// Returns two nodes with the same disks; the group is native to the first.
pub fn pair(setup: &Setup) -> (Node, Node) {
    let san = setup.san();
    (Node::new("a", &san, setup), Node::new("b", &san, setup))
}

/// Returns two nodes with this many paths to each disk.
pub fn pair_by_paths(setup: &Setup, paths: usize) -> (Node, Node) {
    let san = setup.san();
    san.borrow_mut().disks.set_paths(paths);
    (Node::new("a", &san, setup), Node::new("b", &san, setup))
}

/// Runs an action; returns `None` if the simulated process was killed.
pub fn unless_killed<T>(run: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(end) => Some(end),
        Err(death) if death.is::<Killed>() => None,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
