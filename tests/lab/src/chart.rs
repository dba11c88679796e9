//! The I/O rate for a person who watches: a line each second, with a bar for each group.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::channel::Event;
use crate::error::Result;
use crate::groups::{Lun, groups};
use crate::guest::Guest;
use crate::progress;

/// The width of a bar, in columns.
const BAR: usize = 24;

/// Draws the rate in a thread of its own until `over` is set.
pub fn draw<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    host: &Guest,
    luns: &[Lun],
    over: &'scope AtomicBool,
) -> ScopedJoinHandle<'scope, Result<()>> {
    let sampler = host.spawn(&script(luns), None);
    scope.spawn(move || {
        let began = Instant::now();
        let (mut before, mut highest) = (None, 50);
        let mut rest = String::new();
        while !over.load(Ordering::SeqCst) {
            match sampler.next(Duration::from_millis(200)) {
                Some(Event::Out(text)) => rest.push_str(&text),
                Some(Event::Ended(_)) => break,
                _ => continue,
            }
            while let Some((line, after)) = rest.split_once('\n') {
                let sums: Vec<u64> =
                    line.split_whitespace().filter_map(|n| n.parse().ok()).collect();
                rest = after.to_owned();
                if let (Some(old), [a, b]) =
                    (before.replace(sums.clone()), sums.as_slice())
                {
                    let rate =
                        |now: u64, i: usize| now - old.get(i).copied().unwrap_or(now);
                    let rates = [rate(*a, 0), rate(*b, 1)];
                    highest = highest.max(rates.into_iter().max().unwrap_or(0));
                    progress::note(&line_of(began.elapsed(), rates, highest));
                }
            }
        }
        sampler.kill(nix::sys::signal::Signal::SIGKILL as i32);
        Ok(())
    })
}

/// Returns a script that prints, each second, how many requests each group's LUNs have
/// completed.
fn script(luns: &[Lun]) -> String {
    let devices = |group: &str| {
        let of_group = luns.iter().filter(|lun| lun.group == group);
        of_group.map(|lun| lun.device.clone()).collect::<Vec<_>>().join(" ")
    };
    let [a, b] = groups();
    format!(
        "sum() {{
             s=0
             for d; do read -r r a b c w rest < /sys/block/$d/stat; s=$((s + r + w)); done
         }}
         while :; do
             sum {}; A=$s; sum {}; echo $A $s; sleep 1
         done",
        devices(a.name),
        devices(b.name)
    )
}

fn line_of(time: Duration, rates: [u64; 2], highest: u64) -> String {
    let [a, b] = rates.map(|rate| format!("{} {rate:>4}/s", bar(rate, highest)));
    format!("{:>4} s  A {a}  B {b}", time.as_secs())
}

fn bar(rate: u64, highest: u64) -> String {
    let full = (rate as usize * BAR).div_ceil(highest.max(1) as usize).min(BAR);
    format!("{}{}", "█".repeat(full), "·".repeat(BAR - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_and_a_pause_shows() {
        let line = line_of(Duration::from_secs(999), [0, 5000], 5000);
        assert!(line.chars().count() <= 80, "{line}");
        assert!(line.contains(&format!("A {}", "·".repeat(BAR))));
        assert!(line.contains(&format!("B {}", "█".repeat(BAR))));
    }
}
