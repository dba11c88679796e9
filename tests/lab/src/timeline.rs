//! A picture of the I/O rate over time, with events marked on it.

use std::fmt::Write as _;

use crate::groups::groups;
use crate::pause::Completions;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 150.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 70.0;
const BETWEEN: f64 = 40.0;
/// The length of a step of the curves, in milliseconds.
const STEP: u64 = 500;
const COLOURS: [&str; 2] = ["#2563eb", "#d97706"];

/// Returns the picture as SVG. `events` are in milliseconds, on the clock of the
/// completions.
#[must_use]
pub fn svg(completions: &Completions, events: &[(u64, &str)]) -> String {
    let span = completions.span();
    let length = (span.to.saturating_sub(span.from)).max(1) as f64;
    let x = |at: u64| LEFT + at.saturating_sub(span.from) as f64 / length * WIDTH;
    let (total, bottom) = (LEFT + WIDTH + 20.0, TOP + 2.0 * HEIGHT + BETWEEN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{total}\" height=\"{}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"15\">I/O at the initiator: requests \
         completed a second, by takeover group</text>\n",
        bottom + 40.0
    );
    let rates =
        groups().map(|group| completions.rate(group.name, span.from, span.to, STEP));
    let highest = rates.iter().flatten().fold(1.0_f64, |high, rate| high.max(*rate));
    for (((group, rate), colour), row) in
        groups().iter().zip(&rates).zip(COLOURS).zip(0..)
    {
        let base = TOP + f64::from(row) * (HEIGHT + BETWEEN) + HEIGHT;
        let mut points = format!("{LEFT},{base}");
        for (value, i) in rate.iter().zip(0_u64..) {
            let (left, right) = (x(span.from + i * STEP), x(span.from + (i + 1) * STEP));
            let y = base - value / highest * HEIGHT;
            let _ = write!(points, " {left:.1},{y:.1} {right:.1},{y:.1}");
        }
        let _ = write!(points, " {},{base}", LEFT + WIDTH);
        let _ = writeln!(
            out,
            "<polygon points=\"{points}\" fill=\"{colour}\" fill-opacity=\"0.25\" \
             stroke=\"{colour}\"/>\n\
             <text x=\"{LEFT}\" y=\"{}\" fill=\"{colour}\">{} (home: {})</text>\n\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{highest:.0}</text>\n\
             <text x=\"{}\" y=\"{base}\" text-anchor=\"end\">0</text>",
            base - HEIGHT - 4.0,
            group.name,
            group.home,
            LEFT - 6.0,
            base - HEIGHT + 10.0,
            LEFT - 6.0,
        );
    }
    for ((at, what), i) in events.iter().zip(0..) {
        // Names of events that are close together stand on lines of their own.
        let (x, y) = (x(*at), 36.0 + f64::from(i % 2) * 14.0);
        let _ = writeln!(
            out,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{y}\" y2=\"{bottom}\" \
             stroke=\"#444\" stroke-dasharray=\"4 3\"/>\n\
             <text x=\"{:.1}\" y=\"{y}\">{what}</text>",
            x + 3.0
        );
    }
    let seconds = length / 1000.0;
    let every = if seconds > 120.0 { 30 } else { 10 };
    for second in (0..=seconds as u64).step_by(every) {
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{second} s</text>",
            x(span.from + second * 1000),
            bottom + 18.0
        );
    }
    out + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_marked() {
        let mut all = Completions::default();
        all.add("group-a", "1000, 1\n1200, 1\n9000, 1\n");
        all.add("group-b", "1000, 1\n5000, 1\n");
        let svg = svg(&all, &[(2000, "power cut"), (8000, "taken over")]);
        assert!(svg.contains("power cut") && svg.contains("taken over"));
        assert_eq!(svg.matches("<polygon").count(), 2);
    }
}
