//! Zoning: which ports may know of one another (FC-GS, zone server). The members of a
//! zone are port names.

use std::collections::BTreeSet;

use crate::wwn::Wwn;

/// The zones in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Zoning {
    /// The members of each zone. If it is `None`, there is no zoning, and all ports see
    /// all.
    zones: Option<Vec<BTreeSet<Wwn>>>,
}

impl Zoning {
    /// Returns zones with these members. A port that is in none of them sees no other
    /// port.
    pub fn of(zones: Vec<Vec<Wwn>>) -> Self {
        let set = |members: Vec<Wwn>| members.into_iter().collect();
        Self { zones: Some(zones.into_iter().map(set).collect()) }
    }

    /// Returns whether two ports may know of one another. A port always knows itself.
    pub fn joins(&self, one: Wwn, other: Wwn) -> bool {
        let Some(zones) = &self.zones else { return true };
        one == other || zones.iter().any(|z| z.contains(&one) && z.contains(&other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_one_zone_see_one_another() {
        let [a, b, c, d] = [1, 2, 3, 4].map(Wwn);
        let zoning = Zoning::of(vec![vec![a, b], vec![b, c]]);
        let joined = |one, other| zoning.joins(one, other) && zoning.joins(other, one);
        assert!(joined(a, b) && joined(b, c) && joined(d, d));
        assert!(!joined(a, c) && !joined(a, d));
        assert!(Zoning::default().joins(a, d));
        assert!(!Zoning::of(Vec::new()).joins(a, b));
    }
}
