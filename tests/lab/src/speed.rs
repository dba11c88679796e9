//! How fast this machine runs the lab, and what follows from it.
//!
//! Speed 1 is two processors of 2026 that emulate three guests. A slower machine gets more
//! time for everything and presses less; what is judged (errors, lost writes, counts) is
//! judged alike on all.

use std::sync::OnceLock;
use std::time::Duration;

/// From the guests' power-on until the cluster is formed, at speed 1.
pub const NOMINAL: Duration = Duration::from_secs(50);
/// Before the speed is measured it is taken for this.
const UNKNOWN: f64 = 0.25;

static SPEED: OnceLock<f64> = OnceLock::new();

/// Sets the speed, by the time that the guests took from their power-on until the cluster
/// was formed. The first time counts. `UNDERSTUDY_LAB_SPEED` counts more: with it a fast
/// machine tries what a slow one does.
pub fn measure(took: Duration) {
    let told = std::env::var("UNDERSTUDY_LAB_SPEED").ok().and_then(|s| s.parse().ok());
    let _ =
        SPEED.set(told.unwrap_or(NOMINAL.as_secs_f64() / took.as_secs_f64().max(1.0)));
}

/// The speed of this machine; a low one until it is measured.
#[must_use]
pub fn measured() -> f64 {
    SPEED.get().copied().unwrap_or(UNKNOWN)
}

/// So much time as this takes at speed 1: more on a slower machine, never less.
#[must_use]
pub fn stretch(time: Duration) -> Duration {
    time.mul_f64((1.0 / measured()).max(1.0))
}

/// A text in which every time that something may take, of an action (`timeout=25s`) or of a
/// fence (`priority-fencing-delay=8s`), is stretched; as shells and the CIB's XML have them.
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
