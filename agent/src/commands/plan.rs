//! `understudy plan`: the steps of a start or a stop here, now, and nothing done.

use std::fmt::Write as _;

use understudy_core::action::Action;
use understudy_core::action::budget::Budget;
use understudy_core::action::failure::Failure;
use understudy_core::action::step::Step;
use understudy_core::kernel::Kernel;
use understudy_core::verbs::plan;

use super::line::Line;
use super::{TIME, complain};
use crate::cluster::{self, Configuration};
use crate::exit::Code;

/// Prints it.
pub fn plan(kernel: &dyn Kernel, node: &str, line: &Line) -> Code {
    let steps = match plan::planner(line.words.get(1).map_or("", String::as_str)) {
        Ok(steps) => steps,
        Err(failure) => return complain(&failure.to_string(), Code::Arguments),
    };
    let planned = || -> Result<Vec<Step>, Failure> {
        let view = cluster::view()?;
        let id = &view.group(line.word())?.id;
        let scope = Configuration::read(node)?.group(id)?.scope(kernel)?;
        steps(&Action::new(kernel, node, Budget::new(kernel, TIME)), &scope)
    };
    match planned() {
        Ok(steps) => crate::print(&text(&steps)),
        Err(failure) => complain(&failure.to_string(), Code::Failed),
    }
}

fn text(steps: &[Step]) -> String {
    if steps.is_empty() {
        return "nothing to do\n".into();
    }
    let mut text = String::new();
    for (number, step) in (1..).zip(steps) {
        let _ = writeln!(text, "{number}. {}", step.title);
        for op in step.chains.iter().flatten() {
            let _ = writeln!(text, "   {op}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use understudy_core::kernel::Op;

    #[test]
    fn a_plan_is_read_from_the_top() {
        let make = |path: &str| vec![Op::MakeDir(path.into())];
        let step = Step::new("make the LUNs", vec![make("/a"), make("/b")]);
        assert_eq!(text(&[step]), "1. make the LUNs\n   mkdir /a\n   mkdir /b\n");
        assert_eq!(text(&[]), "nothing to do\n");
    }
}
