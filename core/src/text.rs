//! Text of others, in messages of ours.

/// A text of the user's, as a message repeats it: in quotes, on one line, and never a
/// page of it.
pub fn quoted(text: &str) -> String {
    const SHOWN: usize = 48;
    let shown = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let more = if text.chars().nth(SHOWN).is_some() { "..." } else { "" };
    format!("'{}{more}'", shown.take(SHOWN).collect::<String>())
}
