//! The lab's groups: two that are always there, and those that come for a scenario.

use super::{Carrier, Group, Storage};
use crate::plan::{ARRAYS, SIDES, SPARE, Side};

/// The first two of the disks that come and go.
const FIRST_TWO: Storage = Storage::Spares { first: 0, count: 2 };
/// The last two of the disks that come and go.
const LAST_TWO: Storage = Storage::Spares { first: 2, count: 2 };
/// All of the disks that come and go.
const ALL_FOUR: Storage = Storage::Spares { first: 0, count: 4 };

/// Returns a group with one virtual port in the first fabric, on the iSCSI shelf.
fn group(
    name: &'static str,
    letter: char,
    home: &'static str,
    partner: &'static str,
) -> Group {
    let (sides, carrier, storage) = (&[Side::A], Carrier::Any, Storage::Own);
    Group { name, home, partner, letter, sides, carrier, storage }
}

/// Returns the two groups that are always there, each native to one node.
#[must_use]
pub fn groups() -> [Group; 2] {
    let [a, b] = ARRAYS;
    [group("group-a", 'a', a, b), group("group-b", 'b', b, a)]
}

/// Returns the group with a port in each fabric, on two of the disks that come and go.
/// Its home is the node whose fence strikes at once. The other node's fence is delayed,
/// so that nodes that lose sight of each other do not both die.
#[must_use]
pub fn pair() -> Group {
    let [a, b] = ARRAYS;
    Group { sides: &SIDES, storage: FIRST_TWO, ..group("pair", 'e', b, a) }
}

/// Returns the group with the names of its home's physical port in the second fabric, on
/// the other two of the disks that come and go.
#[must_use]
pub fn own() -> Group {
    let [a, b] = ARRAYS;
    let (carrier, storage) = (Carrier::Home, LAST_TWO);
    Group { sides: &[Side::B], carrier, storage, ..group("own", 'f', b, a) }
}

/// Returns the group of the third storage node, on two of the disks that come and go.
#[must_use]
pub fn third() -> Group {
    Group { storage: FIRST_TWO, ..group("group-c", 'd', SPARE, ARRAYS[0]) }
}

/// Returns the group on the NVMe shelf, with three namespaces and one for its state. Its
/// home is the node whose fence strikes at once.
#[must_use]
pub fn on_nvme() -> Group {
    let [a, b] = ARRAYS;
    Group { storage: Storage::Nvme, ..group("on-nvme", '9', b, a) }
}

/// Returns a group in the second fabric, with one port there. The QLogic HBAs are in that
/// fabric.
fn beside_hbas(
    name: &'static str,
    letter: char,
    home: &'static str,
    partner: &'static str,
) -> Group {
    Group { sides: &[Side::B], ..group(name, letter, home, partner) }
}

/// Returns the group that the storage nodes' QLogic HBAs serve, on two of the disks that
/// come and go.
#[must_use]
pub fn on_qlogic() -> Group {
    let ([a, b], carrier, storage) = (ARRAYS, Carrier::Hba, FIRST_TWO);
    Group { carrier, storage, ..beside_hbas("on-qlogic", '6', b, a) }
}

/// Returns the second group that the QLogic HBAs serve, on the other two of the disks that
/// come and go. Its home is the partner of the first.
#[must_use]
pub fn on_qlogic_too() -> Group {
    let ([a, b], carrier, storage) = (ARRAYS, Carrier::Hba, LAST_TWO);
    Group { carrier, storage, ..beside_hbas("on-qlogic-too", '7', a, b) }
}

/// Returns the group that the QLogic HBAs serve with a disk for its initiators'
/// reservations, on all the disks that come and go.
#[must_use]
pub fn on_qlogic_with_state() -> Group {
    let ([a, b], carrier, storage) = (ARRAYS, Carrier::Hba, ALL_FOUR);
    Group { carrier, storage, ..beside_hbas("on-qlogic-with-state", '8', b, a) }
}

/// Returns the group in the HBAs' fabric that any physical port there may serve, on all the
/// disks that come and go. Where a node has a software port in that fabric, the agent takes
/// it, because it has more room for virtual ports than an HBA.
#[must_use]
pub fn on_any() -> Group {
    let [a, b] = ARRAYS;
    Group { storage: ALL_FOUR, ..beside_hbas("on-any", '5', b, a) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_are_served_together_share_no_disk() {
        let (first, second) = (on_qlogic().disks(), on_qlogic_too().disks());
        assert_eq!((first.len(), second.len()), (2, 2));
        assert!(first.iter().all(|disk| !second.contains(disk)));
        assert!(groups().iter().all(|group| group.disks().len() == 4));
    }

    #[test]
    fn reservations_on_hbas_have_a_disk_of_their_own() {
        let group = on_qlogic_with_state();
        let state = group.state_disk();
        assert!(state.is_some_and(|disk| !group.disks().contains(&disk)));
        assert_eq!(group.disks().len(), 4);
        assert_eq!(on_qlogic().state_disk(), None);
    }
}
