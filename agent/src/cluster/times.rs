//! How long an operation may take, as Pacemaker reads it.

/// What Pacemaker gives an operation that has no time, in seconds.
pub const DEFAULT: u64 = 20;

/// How long an operation may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timeout {
    /// This many seconds.
    Seconds(u64),
    /// A text that is no time to Pacemaker, which takes [`DEFAULT`] instead.
    NoTime(String),
    /// Rules or references decide it, and nothing here follows them.
    NotJudged,
}

impl Timeout {
    /// Reads a timeout as Pacemaker does (`crm_get_msec` in its lib/common/strings.c): the
    /// whole part of a number, and a unit, whose first letters count. ISO 8601
    /// (`PT3M`) is for intervals only: for a timeout `unpack_timeout` in
    /// lib/pengine/pe_actions.c takes the default, from 2.1.5 to 3.0.2 alike.
    pub fn read(text: &str) -> Self {
        let seconds = seconds(text.trim_ascii());
        seconds.map_or_else(|| Self::NoTime(text.to_owned()), Self::Seconds)
    }
}

fn seconds(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64, u64); 5] = [
        ("ms", 1, 1000),
        ("us", 1, 1_000_000),
        ("s", 1, 1),
        ("m", 60, 1),
        ("h", 3600, 1),
    ];
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let unit = text.trim_start_matches(is_number);
    let number = text.strip_suffix(unit)?.split('.').next()?.parse::<u64>().ok()?;
    let unit = unit.trim_ascii().to_ascii_lowercase();
    if unit.is_empty() {
        return Some(number);
    }
    let (_, times, parts) =
        UNITS.into_iter().find(|(name, ..)| unit.starts_with(name))?;
    Some(number.saturating_mul(times) / parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each with what crm_simulate of Pacemaker 2.1.5 made of it.
    #[test]
    fn times_are_read_as_pacemaker_reads_them() {
        for (text, wanted) in [
            ("90", Some(90)),
            (" 60s ", Some(60)),
            ("3min", Some(180)),
            ("3minutes", Some(180)),
            ("2 MIN", Some(120)),
            ("1h", Some(3600)),
            ("1.5min", Some(60)),
            ("5mx", Some(300)),
            ("500ms", Some(0)),
            ("PT3M", None),
            ("60 parsecs", None),
            ("x", None),
            ("", None),
        ] {
            let read = Timeout::read(text);
            let wanted = wanted.map_or(Timeout::NoTime(text.into()), Timeout::Seconds);
            assert_eq!(read, wanted, "{text}");
        }
    }
}
