//! What the initiator noticed: when its requests ended, and how long no request ended.

use std::collections::BTreeMap;

/// The requests that ended: by group, then by LUN.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Completions(BTreeMap<String, Vec<Vec<Request>>>);

/// A request of the initiator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    /// When the request ended, in milliseconds since 1970.
    ended: u64,
    /// When the request was issued.
    issued: u64,
}

/// A time in which no request ended although one was waiting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gap {
    /// The beginning, in milliseconds since 1970.
    pub from: u64,
    /// The end, in milliseconds since 1970: when the next request ended.
    pub to: u64,
}

impl Gap {
    /// Returns how long the gap was, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.to.saturating_sub(self.from) as f64 / 1000.0
    }
}

impl Completions {
    /// Adds the requests of a LUN from its log. Each line has when a request ended, in
    /// milliseconds since 1970, and how long it took, in nanoseconds.
    pub fn add(&mut self, group: &str, log: &str) {
        let request = |line: &str| {
            let mut numbers = line.split(',').map(|number| number.trim().parse::<u64>());
            let ended = numbers.next()?.ok()?;
            let took = numbers.next()?.ok()? / 1_000_000;
            Some(Request { ended, issued: ended.saturating_sub(took) })
        };
        let mut requests: Vec<_> = log.lines().filter_map(request).collect();
        requests.sort_unstable();
        self.0.entry(group.to_owned()).or_default().push(requests);
    }

    /// Returns the longest gap of any of a group's LUNs.
    #[must_use]
    pub fn longest_gap(&self, group: &str) -> Gap {
        self.gap_within(group, Gap { from: 0, to: u64::MAX })
    }

    /// Returns the longest gap of any of a group's LUNs, among the gaps that ended within
    /// a time.
    #[must_use]
    pub fn gap_within(&self, group: &str, time: Gap) -> Gap {
        let luns = self.0.get(group).into_iter().flatten();
        let gaps = luns.flat_map(|requests| {
            let before = std::iter::once(0).chain(requests.iter().map(|one| one.ended));
            // A gap begins with the completion before, if the request was waiting then
            // already.
            let gap = |(before, request): (u64, &Request)| Gap {
                from: before.max(request.issued),
                to: request.ended,
            };
            before.zip(requests).map(gap)
        });
        let within = gaps.filter(|gap| (time.from..=time.to).contains(&gap.to));
        within.max_by_key(|gap| gap.to.saturating_sub(gap.from)).unwrap_or_default()
    }

    /// Returns how many requests a group completed per second, in steps of `step`
    /// milliseconds from `from` to `to`.
    #[must_use]
    pub fn rate(&self, group: &str, from: u64, to: u64, step: u64) -> Vec<f64> {
        let mut counts = vec![0.0; (to.saturating_sub(from) / step) as usize];
        for request in self.0.get(group).into_iter().flatten().flatten() {
            let slot =
                request.ended.checked_sub(from).map(|since| (since / step) as usize);
            if let Some(count) = slot.and_then(|slot| counts.get_mut(slot)) {
                *count += 1000.0 / step as f64;
            }
        }
        counts
    }

    /// Returns the time from the first to the last request that ended, of all groups.
    #[must_use]
    pub fn span(&self) -> Gap {
        let all = || self.0.values().flatten().flatten().map(|request| request.ended);
        Gap { from: all().min().unwrap_or(0), to: all().max().unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_counts_while_a_request_waits() {
        const MS: u64 = 1_000_000;
        let mut all = Completions::default();
        let line =
            |ended: u64, took: u64| format!("{ended}, {}, 0, 65536, 0\n", took * MS);
        let early = [line(1000, 50), line(1100, 150), line(5000, 3950)].concat();
        all.add("a", &early);
        // A LUN under load from within a pause on, and one after it.
        all.add("a", &[line(2000, 1500), line(2100, 40)].concat());
        all.add("a", &line(9000, 20));
        all.add("b", &line(1000, 0));
        assert_eq!(all.longest_gap("a"), Gap { from: 1100, to: 5000 });
        assert_eq!(all.longest_gap("b").seconds(), 0.0);
        let early = Gap { from: 0, to: 3000 };
        assert_eq!(all.gap_within("a", early), Gap { from: 500, to: 2000 });
        assert_eq!(all.rate("a", 1000, 2000, 500), [4.0, 0.0]);
        assert_eq!(all.span(), Gap { from: 1000, to: 9000 });
    }
}
