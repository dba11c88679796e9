//! The groups of a schedule, and what their configuration may say meanwhile.

use understudy_sim::{Hba, Rng};

use crate::agent::NAMES;
use crate::common::{INITIATORS, Setup};

/// What kind of disks there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    Scsi,
    Nvme,
}

/// The number of the LUN that comes and goes.
pub const SPARE: u16 = 2;
/// The initiator that comes and goes. It never logs in.
pub const GUEST: &str = "21:00:00:24:ff:00:00:03";

/// What the cluster says of a group at some time.
pub struct Config {
    pub setup: Setup,
    pub wrong: Option<Wrong>,
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// A word means nothing.
    Nonsense,
    /// A LUN is a disk that no node has.
    Missing,
    /// The number of a LUN leads to another disk.
    Swapped,
}

impl Config {
    /// Returns whether this has the LUN that comes and goes.
    pub fn has_spare(&self) -> bool {
        self.setup.disks.iter().any(|(lun, _)| *lun == SPARE)
    }

    /// Returns this with the LUN that comes and goes, if it is not there, or without it; or
    /// with an initiator more or less.
    pub fn changed(&self, spare: Option<&str>) -> Self {
        let mut setup = self.setup.clone();
        match spare {
            Some(_) if self.has_spare() => setup.disks.retain(|(lun, _)| *lun != SPARE),
            Some(disk) => setup.disks.push((SPARE, disk.to_owned())),
            None if setup.initiators.iter().any(|name| name == GUEST) => {
                setup.initiators.retain(|name| name != GUEST);
            }
            None => setup.initiators.push(GUEST.to_owned()),
        }
        Self { setup, wrong: None }
    }

    /// Returns this with something wrong.
    pub fn spoilt(&self, wrong: Wrong, spare: &str) -> Self {
        let mut setup = self.setup.clone();
        match wrong {
            Wrong::Nonsense => setup.initiators.push("nonsense".into()),
            Wrong::Missing => setup.disks.push((SPARE + 1, "sdmissing".into())),
            Wrong::Swapped => {
                setup.disks.retain(|(lun, _)| *lun != SPARE);
                setup.disks[0].1 = spare.into();
            }
        }
        Self { setup, wrong: Some(wrong) }
    }
}

/// Returns a group at home on a node, with one or two LUNs, one or two ports, and
/// sometimes a state disk for what initiators register.
pub fn setup(home: usize, shelf: Shelf, rng: &mut Rng) -> Setup {
    let disk = |which: &str| disk(home, shelf, which);
    let (luns, ports) = (1 + rng.below(4) / 3, 1 + rng.below(4) / 3);
    Setup {
        name: format!("group-{}", NAMES[home]),
        wwnn: format!("20:00:00:25:b5:00:00:0{}", NAMES[home]),
        ports: (1..=ports)
            .map(|n| format!("20:0{n}:00:25:b5:00:00:0{}", NAMES[home]))
            .collect(),
        disks: (0..luns).map(|n| (n as u16, disk(&n.to_string()))).collect(),
        initiators: INITIATORS.map(str::to_owned).to_vec(),
        hba: Hba::Libfc,
        beside: None,
        home: NAMES[home].into(),
        state: rng.one_in(4).then(|| disk("s")),
    }
}

/// Returns the kernel name of a disk of a group.
pub fn disk(home: usize, shelf: Shelf, which: &str) -> String {
    match shelf {
        Shelf::Scsi => format!("sd{}{which}", NAMES[home]),
        Shelf::Nvme => format!("nvme{home}n{which}"),
    }
}
