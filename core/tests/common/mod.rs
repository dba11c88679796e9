//! A group on simulated nodes, as the tests of the verbs want it.
#![allow(dead_code, reason = "each test has its own use for it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use understudy_core::budget::Budget;
use understudy_core::failure::Failure;
use understudy_core::kernel::Kernel;
use understudy_core::kernel::sim::{Killed, San, SharedSan, SimKernel};
use understudy_core::ownership::key_of;
use understudy_core::phases::Phases;
use understudy_core::scope::Scope;
use understudy_core::verbs::{Health, Level, health, release, reload, takeover};
use understudy_core::wwn::Wwn;

/// Simulations spend a quarter of their time more in the system's own.
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
}

pub const INITIATORS: [&str; 2] = ["21:00:00:24:ff:00:00:01", "21:00:00:24:ff:00:00:02"];
/// Disks that are there and in no group, until [`Setup::changed`].
pub const SPARE: [&str; 2] = ["sdx", "sdy"];

impl Setup {
    /// A group with that many LUNs and ports.
    pub fn new(luns: u16, ports: usize) -> Self {
        Self {
            name: "group-a".into(),
            wwnn: "20:00:00:25:b5:00:00:0a".into(),
            ports: (1..=ports).map(|n| format!("20:0{n}:00:25:b5:00:00:0a")).collect(),
            // A gap, since nothing says that there is none.
            disks: (0..luns)
                .map(|n| (n + n / 2 * 3, format!("sd{}", letter(n))))
                .collect(),
            initiators: INITIATORS.map(str::to_owned).to_vec(),
            home: "a".into(),
            state: None,
        }
    }

    /// The same, with a state device.
    pub fn keeping(mut self) -> Self {
        self.state = Some("sdz".into());
        self
    }

    /// The same group after a change: its first LUN is gone, its last number leads to
    /// another disk, a LUN has come; an initiator is gone, and another has come.
    pub fn changed(&self) -> Self {
        let [other, new] = SPARE.map(str::to_owned);
        let mut changed = self.clone();
        if let Some((_, disk)) = changed.disks.last_mut() {
            *disk = other;
        }
        changed.disks.remove(0);
        changed.disks.push((60, new));
        changed.initiators.remove(0);
        changed.initiators.push("21:00:00:24:ff:00:00:03".into());
        changed
    }

    pub fn param(&self, name: &str) -> Option<String> {
        let disk = |(lun, name): &(u16, String)| match lun % 2 {
            0 => format!("{lun}=/dev/disk/by-id/wwn-{name}"),
            _ => format!("{lun}=naa.6001405{name}"),
        };
        Some(match name {
            "wwnn" => self.wwnn.clone(),
            "ports" => self.ports.join(" "),
            "disks" => self.disks.iter().map(disk).collect::<Vec<_>>().join(" "),
            "initiators" => self.initiators.join(" "),
            "home" => self.home.clone(),
            "state" => format!("/dev/disk/by-id/wwn-{}", self.state.as_ref()?),
            _ => return None,
        })
    }

    pub fn san(&self) -> SharedSan {
        let names = self.disks.iter().map(|(_, name)| name.as_str());
        let state = self.state.iter().map(String::as_str);
        let names: Vec<_> = names.chain(SPARE).chain(state).collect();
        Rc::new(RefCell::new(San::new(&names, &initiators())))
    }
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

    pub fn scope_with(&self, change: &[(&str, &str)]) -> Scope {
        Scope::gather(&self.kernel, &self.setup.name, |name| {
            let changed = change.iter().find(|(changed, _)| *changed == name);
            match changed {
                Some((_, value)) => Some((*value).to_owned()),
                None => self.setup.param(name),
            }
        })
    }

    pub fn budget(&self) -> Budget {
        Budget::new(&self.kernel, Duration::from_secs(20))
    }

    pub fn phases(&self) -> Phases {
        Phases::since(self.kernel.now())
    }

    pub fn start_with(&self, change: &[(&str, &str)]) -> Result<(), Failure> {
        let scope = self.scope_with(change);
        takeover(&self.kernel, self.name, &scope, self.budget(), &mut self.phases())
    }

    pub fn start(&self) -> Result<(), Failure> {
        self.start_with(&[])
    }

    pub fn stop_with(&self, change: &[(&str, &str)]) -> Result<(), Failure> {
        let scope = self.scope_with(change);
        release(&self.kernel, self.name, &scope, self.budget(), &mut self.phases())
    }

    pub fn stop(&self) -> Result<(), Failure> {
        self.stop_with(&[])
    }

    /// Changes the group that it serves, whose initiators have let go of what goes.
    pub fn reload(&mut self, to: &Setup) -> Result<(), Failure> {
        self.setup = to.clone();
        let scope = self.scope_with(&[]);
        reload(&self.kernel, self.name, &scope, self.budget(), &mut self.phases())
    }

    pub fn health(&self, level: Level) -> Health {
        health(&self.kernel, self.name, &self.scope_with(&[]), level, self.budget())
    }

    /// Everything that a stop must not leave: ports, exports, entries, keys.
    pub fn leavings(&self) -> Vec<String> {
        let below = [
            "/sys/class/fc_vports",
            "/sys/kernel/config/target/core",
            "/sys/kernel/config/target/fc",
            "/run/understudy/ports",
            "/run/understudy/kept",
            "/var/target/pr",
        ];
        let paths = below.iter().flat_map(|dir| self.kernel.below(dir));
        let mut left: Vec<_> = paths.map(|path| path.display().to_string()).collect();
        left.extend(self.kernel.read("/proc/self/mounts".as_ref()).ok());
        left.retain(|line| !line.is_empty());
        let san = self.san.borrow();
        let keyed = san
            .disks
            .names()
            .filter(|name| san.disks.reservation(name).keys.contains(&key_of(self.name)));
        left.extend(keyed.map(|name| format!("a key on {name}")));
        left
    }

    /// Whether the kernel's grace periods are expedited.
    pub fn is_hurried(&self) -> bool {
        self.kernel.read("/sys/kernel/rcu_expedited".as_ref()).unwrap() != "0\n"
    }

    /// Whether this node alone owns every disk of the group, and no other.
    pub fn owns_all(&self) -> bool {
        let (disks, key) = (&self.san.borrow().disks, key_of(self.name));
        disks.names().all(|name| {
            let now = disks.reservation(name);
            let mut names = self.setup.disks.iter().map(|(_, its)| its);
            match names.any(|its| its == name) || self.setup.state.as_ref() == Some(name) {
                true => now.owned_by(key),
                false => !now.keys.contains(&key),
            }
        })
    }
}

/// Two nodes with the same disks; the group is native to the first.
pub fn pair(setup: &Setup) -> (Node, Node) {
    let san = setup.san();
    (Node::new("a", &san, setup), Node::new("b", &san, setup))
}

/// Runs until the simulated process is killed; `None` when it was.
pub fn unless_killed<T>(run: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(end) => Some(end),
        Err(death) if death.is::<Killed>() => None,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
