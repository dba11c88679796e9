//! The command line of the program.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use lexopt::ValueExt;
use lexopt::prelude::{Long, Short};

use crate::fabric::{Config, DuplicateWwpn};
use crate::server::Setup;
use crate::wwn::Wwn;

/// What `--help` prints.
pub const HELP: &str = "\
A software Fibre Channel fabric for QEMU guests with FCoE interfaces.

Usage: understudy-fabric --control PATH --link NAME=SOCKET [--link ...]

  --control PATH          listen here for JSON commands, a line each
  --link NAME=SOCKET      a link, for one guest: it connects with
                          -netdev stream,addr.type=unix,addr.path=SOCKET
  --events FILE           write what happens, a JSON line an event
  --pcap FILE             capture every frame (pcapng)
  --duplicate-wwpn WHAT   a WWPN that logs in on a second link is turned away
                          (refuse, the default) or moves there (takeover)
  --no-npiv               grant no virtual ports
  --fabric-name WWN       default 10:00:0e:fc:00:00:00:01
  --fka-ms N              period of advertisements and keep-alives, default
                          8000; 0: no keep-alives, silent nodes stay logged in
  --until-stdin-closes    end when standard input does
  --help                  print this

Prints \"ready\" once all sockets listen. SIGTERM and SIGINT end it.
What it does is logged on standard error: RUST_LOG=info, or debug.
";

/// The fabric's name where none is given.
const FABRIC_NAME: Wwn = Wwn(0x1000_0efc_0000_0001);
/// The period of keep-alives where none is given: the default of FIP (FC-BB-5).
const KEEP_ALIVE: Duration = Duration::from_secs(8);

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Print the help.
    Help,
    /// Run a fabric.
    Run(Setup),
}

/// Reads the command line, without the program's name.
pub fn parse(
    args: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<Command, lexopt::Error> {
    let mut parser = lexopt::Parser::from_args(args);
    let (mut control, mut events, mut capture) = (None, None, None);
    let (mut links, mut sockets) = (Vec::new(), Vec::new());
    let (mut npiv, mut until_stdin_closes) = (true, false);
    let mut duplicate_wwpn = DuplicateWwpn::Refuse;
    let (mut fabric_name, mut keep_alive) = (FABRIC_NAME, KEEP_ALIVE);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("control") => control = Some(PathBuf::from(parser.value()?)),
            Long("events") => events = Some(PathBuf::from(parser.value()?)),
            Long("pcap") => capture = Some(PathBuf::from(parser.value()?)),
            Long("link") => {
                let (name, socket) = link(&parser.value()?)?;
                if links.contains(&name) {
                    return Err(format!("--link {name}: given twice").into());
                }
                links.push(name);
                sockets.push(socket);
            }
            Long("duplicate-wwpn") => {
                duplicate_wwpn = parser.value()?.parse_with(|policy| match policy {
                    "refuse" => Ok(DuplicateWwpn::Refuse),
                    "takeover" => Ok(DuplicateWwpn::Takeover),
                    _ => Err("neither refuse nor takeover"),
                })?;
            }
            Long("no-npiv") => npiv = false,
            Long("fabric-name") => fabric_name = parser.value()?.parse()?,
            Long("fka-ms") => {
                keep_alive = parser.value()?.parse().map(Duration::from_millis)?
            }
            Long("until-stdin-closes") => until_stdin_closes = true,
            Long("help") | Short('h') => return Ok(Command::Help),
            _ => return Err(arg.unexpected()),
        }
    }
    let control = control.ok_or("--control PATH is missing")?;
    if links.is_empty() {
        return Err("--link NAME=SOCKET is missing".into());
    }
    let config = Config { links, fabric_name, duplicate_wwpn, npiv, keep_alive };
    Ok(Command::Run(Setup {
        config,
        sockets,
        control,
        events,
        capture,
        until_stdin_closes,
    }))
}

/// Takes `NAME=SOCKET` apart.
fn link(value: &OsStr) -> Result<(String, PathBuf), lexopt::Error> {
    let pair = value.to_str().and_then(|text| text.split_once('='));
    match pair.filter(|(name, socket)| !name.is_empty() && !socket.is_empty()) {
        Some((name, socket)) => Ok((name.to_owned(), PathBuf::from(socket))),
        None => Err(format!("--link {value:?}: not NAME=SOCKET").into()),
    }
}
