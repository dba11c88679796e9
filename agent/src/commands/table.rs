//! Rows of text in columns, and colour for a terminal.

/// The colour of what is wrong.
pub const RED: &str = "31";
/// The colour of what is in doubt.
pub const YELLOW: &str = "33";
/// The colour of what is well.
pub const GREEN: &str = "32";

/// Returns a row of cells in columns of these widths. A width includes the space after
/// the cell.
pub fn line(cells: &[&str], widths: &[usize]) -> String {
    let cell = |(cell, width): (&&str, &usize)| format!("{cell:<width$}");
    let line: String = cells.iter().zip(widths).map(cell).collect();
    line.trim_end().to_owned() + "\n"
}

/// Returns a text in a colour, where there is one and `paint` says so.
pub fn painted(text: &str, colour: Option<&str>, paint: bool) -> String {
    match colour {
        Some(colour) if paint => format!("\x1b[{colour}m{text}\x1b[0m"),
        _ => text.to_owned(),
    }
}

/// Returns a text wrapped at the width of a terminal; further lines begin at a column.
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
