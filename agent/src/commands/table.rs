//! Rows of text in columns, and colour for a terminal.

/// What is wrong.
pub const RED: &str = "31";
/// What is in doubt.
pub const YELLOW: &str = "33";
/// What is well.
pub const GREEN: &str = "32";

/// Cells in columns of these widths, of which each ends with a space.
pub fn line(cells: &[&str], widths: &[usize]) -> String {
    let cell = |(cell, width): (&&str, &usize)| format!("{cell:<width$}");
    let line: String = cells.iter().zip(widths).map(cell).collect();
    line.trim_end().to_owned() + "\n"
}

/// In a colour, on a terminal.
pub fn painted(text: &str, colour: Option<&str>, paint: bool) -> String {
    match colour {
        Some(colour) if paint => format!("\x1b[{colour}m{text}\x1b[0m"),
        _ => text.to_owned(),
    }
}

/// Text that goes on in the next line, at a column, before it is wider than a terminal.
pub fn wrapped(text: &str, column: usize) -> String {
    const WIDTH: usize = 80;
    let (mut lines, mut line) = (String::new(), String::new());
    for word in text.split_whitespace() {
        let length = line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && column + length > WIDTH {
            lines += &format!("{line}\n{:column$}", "");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    lines + &line + "\n"
}
