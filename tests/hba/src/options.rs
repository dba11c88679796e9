//! The command line of the program.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::ValueExt;
use lexopt::prelude::{Long, Short};
use understudy_fabric::addr::Mac;
use understudy_fabric::wwn::Wwn;

use crate::firmware::Switches;
use crate::server::Setup;
use crate::wire::Names;

/// What `--help` prints.
pub const HELP: &str = "\
A software Fibre Channel HBA (ISP2532) for a QEMU guest.

Usage: understudy-hba --socket PATH --wwpn WWN --control PATH [--fabric SOCKET]

  --socket PATH           listen here for the guest's QEMU, which has
                          -device '{\"driver\":\"vfio-user-pci\",
                                    \"socket\":{\"type\":\"unix\",\"path\":\"PATH\"}}'
                          and memory that it shares:
                          -object memory-backend-memfd,id=m,size=1G,share=on
                          -machine memory-backend=m
  --wwpn WWN              the name of the physical port
  --wwnn WWN              the name of its node, default: the port's, with 20 for 21
  --fabric SOCKET         a link of understudy-fabric; without it there is no light
  --control PATH          listen here for JSON commands, a line each
  --log FILE              write what happens, a JSON line an event
  --pcap FILE             capture every frame (pcapng)
  --snap BYTES            capture that much of a frame, default: all of it
  --switch NAME=VALUE     how firmware behaves where no source tells (JSON values)
  --until-stdin-closes    end when standard input does
  --help                  print this

Prints \"ready\" once all sockets listen. SIGTERM and SIGINT end it.
What it does is logged on standard error: RUST_LOG=info, or debug.
";

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Print the help.
    Help,
    /// Run an HBA.
    Run(Box<Setup>),
}

/// Reads the command line, without the program's name.
pub fn parse(
    args: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<Command, lexopt::Error> {
    let mut parser = lexopt::Parser::from_args(args);
    let (mut socket, mut fabric, mut control) = (None, None, None);
    let (mut journal, mut capture, mut snap) = (None, None, usize::MAX);
    let (mut wwpn, mut wwnn): (Option<Wwn>, Option<Wwn>) = (None, None);
    let mut switches = Switches::default();
    let mut until_stdin_closes = false;
    while let Some(arg) = parser.next()? {
        match arg {
            Long("socket") => socket = Some(PathBuf::from(parser.value()?)),
            Long("fabric") => fabric = Some(PathBuf::from(parser.value()?)),
            Long("control") => control = Some(PathBuf::from(parser.value()?)),
            Long("log") => journal = Some(PathBuf::from(parser.value()?)),
            Long("pcap") => capture = Some(PathBuf::from(parser.value()?)),
            Long("snap") => snap = parser.value()?.parse()?,
            Long("wwpn") => wwpn = Some(parser.value()?.parse()?),
            Long("wwnn") => wwnn = Some(parser.value()?.parse()?),
            Long("switch") => {
                switches = parser.value()?.parse_with(|text| switched(switches, text))?;
            }
            Long("until-stdin-closes") => until_stdin_closes = true,
            Long("help") | Short('h') => return Ok(Command::Help),
            _ => return Err(arg.unexpected()),
        }
    }
    let wwpn = wwpn.ok_or("--wwpn WWN is missing")?;
    let wwnn = wwnn.unwrap_or(node_of(wwpn));
    Ok(Command::Run(Box::new(Setup {
        names: Names { wwpn, wwnn },
        enode: enode_of(wwpn),
        socket: socket.ok_or("--socket PATH is missing")?,
        fabric,
        control: control.ok_or("--control PATH is missing")?,
        journal,
        capture,
        snap,
        switches,
        until_stdin_closes,
    })))
}

/// Returns the switches with one of them set, by `NAME=VALUE`.
pub fn switched(switches: Switches, text: &str) -> Result<Switches, String> {
    let (name, value) = text.split_once('=').ok_or("not NAME=VALUE")?;
    let value = serde_json::from_str(value).map_err(|error| error.to_string())?;
    let mut all = serde_json::to_value(switches).map_err(|error| error.to_string())?;
    if let Some(fields) = all.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
    serde_json::from_value(all).map_err(|error| error.to_string())
}

/// Returns the name of a node as QLogic's cards have it: 20... for a port's 21...
fn node_of(wwpn: Wwn) -> Wwn {
    Wwn(wwpn.0 & !(0xff << 56) | 0x20 << 56)
}

/// Returns an Ethernet address for a port: locally administered, and made of the name.
fn enode_of(wwpn: Wwn) -> Mac {
    let [_, _, a, b, c, d, e, f] = wwpn.0.to_be_bytes();
    Mac([0x02 | (a & 0xfc), b, c, d, e, f])
}
