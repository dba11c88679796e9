//! Text from outside, made fit for a message.

/// Returns a text from outside in quotes, for a message: on one line, and cut after 48
/// characters.
pub fn quoted(text: &str) -> String {
    const SHOWN: usize = 48;
    let shown = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let more = if text.chars().nth(SHOWN).is_some() { "..." } else { "" };
    format!("'{}{more}'", shown.take(SHOWN).collect::<String>())
}
