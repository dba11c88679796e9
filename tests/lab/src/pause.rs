//! What the initiator noticed: when its requests ended, and for how long none did.

use std::collections::BTreeMap;

/// When requests ended, in milliseconds since 1970, by group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Completions(BTreeMap<String, Vec<u64>>);

/// A time without completions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gap {
    /// The last completion before it, in milliseconds since 1970.
    pub from: u64,
    /// The first one after it.
    pub to: u64,
}

impl Gap {
    /// Its length.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        (self.to - self.from) as f64 / 1000.0
    }
}

impl Completions {
    /// Adds one of fio's logs: `time, value, direction, size, offset` a line.
    pub fn add(&mut self, group: &str, log: &str) {
        let time = |line: &str| line.split(',').next()?.trim().parse::<u64>().ok();
        let times = log.lines().filter_map(time);
        self.0.entry(group.to_owned()).or_default().extend(times);
    }

    /// Puts them in order; to be called before anything is asked.
    pub fn sort(&mut self) {
        self.0.values_mut().for_each(|times| times.sort_unstable());
    }

    /// The longest time in which none of a group's LUNs completed a request.
    #[must_use]
    pub fn longest_gap(&self, group: &str) -> Gap {
        self.gap_within(group, Gap { from: 0, to: u64::MAX })
    }

    /// The longest such time of those that ended within a time.
    #[must_use]
    pub fn gap_within(&self, group: &str, time: Gap) -> Gap {
        let times = self.0.get(group).map_or([].as_slice(), Vec::as_slice);
        let gaps = times.windows(2).filter_map(|pair| match pair {
            [from, to] => Some(Gap { from: *from, to: *to }),
            _ => None,
        });
        let within = gaps.filter(|gap| (time.from..=time.to).contains(&gap.to));
        within.max_by_key(|gap| gap.to - gap.from).unwrap_or_default()
    }

    /// Completions a second, in steps of `step` milliseconds from `from` to `to`.
    #[must_use]
    pub fn rate(&self, group: &str, from: u64, to: u64, step: u64) -> Vec<f64> {
        let mut counts = vec![0.0; (to.saturating_sub(from) / step) as usize];
        for time in self.0.get(group).into_iter().flatten() {
            let slot = time.checked_sub(from).map(|since| (since / step) as usize);
            if let Some(count) = slot.and_then(|slot| counts.get_mut(slot)) {
                *count += 1000.0 / step as f64;
            }
        }
        counts
    }

    /// The first and the last completion of all.
    #[must_use]
    pub fn span(&self) -> Gap {
        let all = || self.0.values().flatten().copied();
        Gap { from: all().min().unwrap_or(0), to: all().max().unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_is_over_all_luns_of_a_group() {
        let mut all = Completions::default();
        all.add(
            "a",
            "1000, 1, 0, 65536, 0\n1100, 1, 1, 65536, 0\n9000, 1, 0, 65536, 0\n",
        );
        all.add("a", "5000, 1, 0, 65536, 0\n");
        all.add("b", "1000, 1, 0, 65536, 0\n");
        all.sort();
        assert_eq!(all.longest_gap("a"), Gap { from: 5000, to: 9000 });
        assert_eq!(all.longest_gap("b"), Gap::default());
        assert_eq!(all.rate("a", 1000, 2000, 500), [4.0, 0.0]);
        assert_eq!(all.span(), Gap { from: 1000, to: 9000 });
    }
}
