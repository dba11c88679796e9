//! The groups of a schedule.

use understudy_sim::{Hba, Rng};

use crate::agent::NAMES;
use crate::common::{INITIATORS, Setup};

/// What kind of disks there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    Scsi,
    Nvme,
}

/// Returns a group at home on a node, with one or two LUNs, one or two ports, and
/// sometimes a state disk for what initiators register.
pub fn setup(home: usize, shelf: Shelf, rng: &mut Rng) -> Setup {
    let disk = |which: &str| match shelf {
        Shelf::Scsi => format!("sd{}{which}", NAMES[home]),
        Shelf::Nvme => format!("nvme{home}n{which}"),
    };
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
