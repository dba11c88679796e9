//! `understudy configure`: the cluster's whole configuration for a pair of groups, printed
//! for `pcs`, for `crm`, or as XML for `cibadmin`. Nothing is changed.

mod file;
mod pair;
mod shell;
mod xml;

use std::io::Read;

use understudy_core::kernel::Kernel;
use understudy_core::text::quoted;

use super::complain;
use super::line::Line;
use crate::exit::Code;
use pair::Plan;

pub use pair::operations;

/// How it is printed.
type Format = fn(&Plan) -> String;

/// Prints it.
pub fn configure(_: &dyn Kernel, _: &str, line: &Line) -> Code {
    let format: Format = match line.value("--format") {
        None | Some("pcs") => shell::pcs,
        Some("crm") => shell::crm,
        Some("xml") => xml::document,
        Some(other) => {
            let other = quoted(other);
            let why = format!("configure: {other} is neither pcs nor crm nor xml");
            return complain(&why, Code::Arguments);
        }
    };
    let file = line.word();
    let text = match file {
        "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        }
        file => std::fs::read_to_string(file),
    };
    let text = match text {
        Ok(text) => text,
        Err(error) => return complain(&format!("read {file}: {error}"), Code::Failed),
    };
    match pair::read(&text) {
        Ok(plan) => crate::print(&format(&plan)),
        Err(faults) => {
            for fault in faults {
                complain(&format!("{file}: {fault}"), Code::Configured);
            }
            Code::Configured
        }
    }
}
