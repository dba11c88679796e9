//! The speed of this machine, and what follows from it.
//!
//! Speed 1 is two processors of 2026 that emulate three guests. A slower machine gets
//! more time for everything, and less load. Errors, lost writes and counts are judged
//! alike on all machines.

use std::sync::OnceLock;
use std::time::Duration;

/// How long it takes from the guests' power-on until the cluster has formed, at speed 1.
pub const NOMINAL: Duration = Duration::from_secs(50);
/// The speed that is assumed before it is measured.
const UNKNOWN: f64 = 0.25;

static SPEED: OnceLock<f64> = OnceLock::new();

/// Sets the speed, by the time from the guests' power-on until the cluster has formed.
/// Only the first call sets it. `UNDERSTUDY_LAB_SPEED` replaces what is measured: with it
/// a fast machine tries what a slow one does.
pub fn measure(took: Duration) {
    let told = std::env::var("UNDERSTUDY_LAB_SPEED").ok().and_then(|s| s.parse().ok());
    let _ =
        SPEED.set(told.unwrap_or(NOMINAL.as_secs_f64() / took.as_secs_f64().max(1.0)));
}

/// Returns the speed of this machine, or a low speed before it is measured.
#[must_use]
pub fn measured() -> f64 {
    SPEED.get().copied().unwrap_or(UNKNOWN)
}

/// Returns how long this machine needs for what takes `time` at speed 1. The result is
/// never shorter than `time`.
#[must_use]
pub fn stretch(time: Duration) -> Duration {
    time.mul_f64((1.0 / measured()).max(1.0))
}

/// Returns a text in which the times of actions (`timeout=25s`) and of fences
/// (`priority-fencing-delay=8s`) are stretched, as shells and the CIB's XML spell them.
#[must_use]
pub fn stretch_times(text: &str) -> String {
    const BEFORE: [&str; 4] =
        ["timeout=", "timeout=\"", "-fencing-delay=", "-fencing-delay\" value=\""];
    let factor = (1.0 / measured()).max(1.0);
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, number) = rest.split_at(at);
        let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
        let (number, after) = number.split_at(end);
        out += before;
        let is_time =
            BEFORE.iter().any(|word| out.ends_with(word)) && after.starts_with('s');
        match number.parse::<f64>() {
            Ok(seconds) if is_time => out += &(seconds * factor).ceil().to_string(),
            _ => out += number,
        }
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_stretched_and_other_numbers_are_not() {
        // At half the speed; the only test that sets it.
        measure(NOMINAL * 2);
        assert_eq!(stretch(Duration::from_secs(30)), Duration::from_secs(60));
        for (text, stretched) in [
            (
                "op stop timeout=25s op monitor interval=10s",
                "op stop timeout=50s op monitor interval=10s",
            ),
            (
                "<op interval=\"0s\" timeout=\"60s\"/>",
                "<op interval=\"0s\" timeout=\"120s\"/>",
            ),
            ("set priority-fencing-delay=8s x", "set priority-fencing-delay=16s x"),
            (
                "name=\"priority-fencing-delay\" value=\"8s\"",
                "name=\"priority-fencing-delay\" value=\"16s\"",
            ),
            ("timeout=25 x9", "timeout=25 x9"),
        ] {
            assert_eq!(stretch_times(text), stretched);
        }
    }
}
