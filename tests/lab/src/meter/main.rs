//! The bench's instruments inside a guest: a meter for programs, and the kernel's bare
//! operations.

mod limit;
mod measure;

use std::process::ExitCode;

const USAGE: &str = "\
usage: understudy-lab-meter measure COMMAND...
       understudy-lab-meter limit start|stop LUNS LANES";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let answer = match words.as_slice() {
        ["measure", command @ ..] => measure::measure(command),
        ["limit", action, luns, lanes] => match (luns.parse(), lanes.parse()) {
            (Ok(luns), Ok(lanes)) => limit::limit(action, luns, lanes),
            _ => Err(USAGE.into()),
        },
        _ => Err(USAGE.into()),
    };
    match answer {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
