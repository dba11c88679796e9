//! The commands of the lab.

mod bench;
mod client;
mod demo;
mod down;
mod image;
mod link;
mod power;
mod setup;
mod shell;
mod soak;
mod status;
mod supervise;
mod test;
mod up;

use std::ffi::OsString;
use std::process::ExitCode;

use lexopt::Parser;
use lexopt::prelude::*;
use understudy_lab::{Error, Result};

const USAGE: &str = "\
usage: understudy-lab VERB
  setup                       install the Debian packages that the lab needs
  image                       build the guests' image, if it is not cached
  demo                        a node loses its power, for people
  test [SCENARIO...]          run the scenarios of the first rank, or these
  test --all [--anew]         run every scenario, from where the last run stopped
  soak FAULTS [SEED [FAULT...]]   mixed faults, all or these, as the seed decides
  bench [MINUTES [CONTENDER...]]   what start, monitor and stop cost
  bench-pause [LUNS...]       what an initiator waits for
  up                          start the lab and wait until it is ready
  down                        end it
  status                      what is there now
  shell GUEST [COMMAND...]    a shell, or one command, in a guest
  power GUEST on|off          switch a guest's power
  link GUEST INTERFACE up|down   plug or pull a cable (fc0, cluster0, ...)
guests: array-a, array-b, host; the lab's files: target/lab";

/// Runs the command that the command line names.
pub fn run() -> Result<ExitCode> {
    let mut arguments = Parser::from_env();
    let verb = match arguments.next().map_err(usage)? {
        Some(Value(verb)) => verb,
        Some(Short('h') | Long("help")) => {
            println!("{USAGE}");
            return Ok(ExitCode::SUCCESS);
        }
        Some(other) => return Err(usage(other.unexpected())),
        None => return Err(Error::other(USAGE)),
    };
    let rest: Vec<OsString> = arguments.raw_args().map_err(usage)?.collect();
    let rest: Vec<String> =
        rest.into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let words: Vec<&str> = rest.iter().map(String::as_str).collect();
    match (verb.to_string_lossy().as_ref(), words.as_slice()) {
        ("setup", []) => setup::run(),
        ("image", []) => image::run(),
        ("demo", []) => demo::run(),
        ("test", []) => test::first(),
        ("test", ["--all"]) => test::all(false),
        ("test", ["--all", "--anew"]) => test::all(true),
        ("test", names) => test::named(names),
        ("soak", [faults]) => soak::run(faults, None, &[]),
        ("soak", [faults, seed, kinds @ ..]) => soak::run(faults, Some(seed), kinds),
        ("bench", []) => bench::run(None, &[]),
        ("bench", [minutes, names @ ..]) => bench::run(Some(minutes), names),
        ("bench-pause", sizes) => bench::pause(sizes),
        ("up", []) => up::run(),
        ("supervise", []) => supervise::run(),
        ("down", []) => down::run(),
        ("status", []) => status::run(),
        ("shell", [guest, command @ ..]) => shell::run(guest, command),
        ("power", [guest, position @ ("on" | "off")]) => {
            power::run(guest, *position == "on")
        }
        ("link", [guest, interface, position @ ("up" | "down")]) => {
            link::run(guest, interface, *position == "up")
        }
        _ => Err(Error::other(USAGE)),
    }
}

fn usage(error: lexopt::Error) -> Error {
    Error::other(format!("{error}\n{USAGE}"))
}
