//! `understudy`: the OCF resource agent `ocf:understudy:vport`.
//!
//! Pacemaker calls it by a link named `vport` below the OCF root, with the action as its
//! argument; people call it by its own name.

mod actions;
mod commands;
mod environment;
mod exit;
mod manual;
mod metadata;

use std::io::Write;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::ExitCode;

use environment::Environment;
use exit::{Code, Outcome};

const HELP: &str = "\
understudy: a Fibre Channel port moves to its partner node

  understudy vport ACTION   act as the resource agent ocf:understudy:vport;
                            ACTION: start stop monitor reload-agent
                            validate-all meta-data
  understudy status         what this node serves: ports, sessions, LUNs,
                            owners; --json, --watch; the exit code is 0
                            where all of it is healthy
  understudy man            print the manual page of ocf:understudy:vport
  understudy --version
  understudy --help

Pacemaker runs it as /usr/lib/ocf/resource.d/understudy/vport; configure it
there, see ocf_understudy_vport(7).
";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().map(|a| a.to_string_lossy().into_owned());
    let program = arguments.next().unwrap_or_default();
    let called = Path::new(&program).file_name().unwrap_or_default();
    let first = if called == "vport" { Some("vport".into()) } else { arguments.next() };
    let text = match first.as_deref() {
        // Further arguments are to be ignored (OCF 1.1, "API").
        Some("vport") => return act(&arguments.next().unwrap_or_default()).into(),
        Some("status") => {
            let environment = Environment::read();
            let (kernel, node) = (environment.kernel(), environment.node.as_str());
            return commands::status(&kernel, node, arguments).into();
        }
        Some("man") => manual::page(),
        Some("--version") => format!("understudy {}\n", env!("CARGO_PKG_VERSION")),
        Some("--help" | "help") => HELP.to_owned(),
        _ => {
            let _ = std::io::stderr().write_all(HELP.as_bytes());
            return Code::Arguments.into();
        }
    };
    print(&text).into()
}

/// One action of the agent, with its reason told where it failed.
fn act(action: &str) -> Code {
    let environment = Environment::read();
    environment.start_log(action);
    // A panic would end with a code that Pacemaker does not know, and without a reason.
    std::panic::set_hook(Box::new(|panic| log::error!("{panic}")));
    let outcome = catch_unwind(|| actions::run(action, &environment))
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
