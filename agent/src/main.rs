//! `understudy`: the OCF resource agents `ocf:understudy:vport` and
//! `ocf:understudy:fcport`.
//!
//! Pacemaker calls the program by a link of an agent's name below the OCF root, with the
//! action as its argument. People call it by its own name.

mod cluster;
mod commands;
mod completion;
mod environment;
mod exit;
mod fcport;
mod keep;
mod manual;
mod metadata;
mod vport;
mod watched;

use std::io::Write;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::ExitCode;

use commands::COMMANDS;
use environment::Environment;
use exit::{Code, Outcome};
use metadata::{AGENTS, Agent};
use understudy_core::kernel::keeper;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().map(|a| a.to_string_lossy().into_owned());
    let program = arguments.next().unwrap_or_default();
    let called = Path::new(&program).file_name().unwrap_or_default();
    let link = AGENTS.into_iter().find(|agent| called == agent.name);
    let first = link.map(|agent| agent.name.into()).or_else(|| arguments.next());
    let agent = AGENTS.into_iter().find(|agent| first.as_deref() == Some(agent.name));
    if let Some(agent) = agent {
        // Further arguments are to be ignored (OCF 1.1, "API").
        return act(agent, &arguments.next().unwrap_or_default()).into();
    }
    if first.as_deref() == Some(keeper::COMMAND) {
        return keep::keep(arguments).into();
    }
    let command = COMMANDS.iter().find(|command| first.as_deref() == Some(command.name));
    if let Some(command) = command {
        return command.call(arguments).into();
    }
    let text = match (first.as_deref(), arguments.next().as_deref()) {
        (Some("man"), Some(page)) => manual::page(page),
        (Some("completion"), Some(shell)) => completion::script(shell),
        (Some("--version"), None) => {
            Some(format!("understudy {}\n", env!("CARGO_PKG_VERSION")))
        }
        (Some("--help" | "help"), None) => Some(manual::help()),
        _ => None,
    };
    match text {
        Some(text) => print(&text).into(),
        None => {
            let _ = std::io::stderr().write_all(manual::help().as_bytes());
            Code::Arguments.into()
        }
    }
}

/// Runs an action of an agent, and prints the reason where the outcome has one.
fn act(agent: &Agent, action: &str) -> Code {
    let environment = Environment::read(agent.name);
    environment.start_log(action);
    // A panic would end with a code that Pacemaker does not know, and without a reason.
    std::panic::set_hook(Box::new(|panic| log::error!("{panic}")));
    let outcome = catch_unwind(|| agent.run(action, &environment))
        .unwrap_or_else(|_| Outcome::failed("a fault of the agent itself; see its log"));
    if let Some(reason) = &outcome.reason {
        environment.tell_reason(reason);
    }
    outcome.code
}

fn print(text: &str) -> Code {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Code::Success,
        Err(_) => Code::Failed,
    }
}
