//! Commands that people call by hand, one file each, and the table of these commands. The
//! help, the manual page and the shells' completions are made from that table.

mod accept;
mod check;
mod configure;
mod line;
mod metrics;
mod plan;
mod status;
mod table;
mod takeover;
mod targetctl;
mod tied;

use std::io::{IsTerminal, Write};
use std::time::Duration;

use serde::Serialize;
use understudy_core::kernel::Kernel;

use crate::cluster;
use crate::environment::Environment;
use crate::exit::Code;
use line::Line;

/// A command.
pub struct Command {
    /// The command's name.
    pub name: &'static str,
    /// The words that the command needs, by what they stand for.
    pub words: &'static [&'static str],
    /// The command's options.
    pub options: &'static [Flag],
    /// What the command does, in a line.
    pub short: &'static str,
    /// What the command does, in full.
    pub long: &'static str,
    /// Whether the command looks at the kernel or changes something, which only root may
    /// do.
    root: bool,
    run: fn(&dyn Kernel, &str, &Line) -> Code,
}

/// An option of a command.
pub struct Flag {
    /// The option's name, with its dashes.
    pub name: &'static str,
    /// What the option's value stands for; empty where it takes none.
    pub value: &'static str,
    /// What the option does.
    pub what: &'static str,
}

const fn flag(name: &'static str, value: &'static str, what: &'static str) -> Flag {
    Flag { name, value, what }
}

const FORCE: Flag = flag("--force", "", "go on where something speaks against it");

/// Every command.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "status",
        words: &[],
        options: &[
            flag("--json", "", "for programs"),
            flag("--all", "", "every LUN and initiator, however many"),
            flag("--cluster", "", "who serves whose group, as the cluster has it"),
            flag("--watch", "", "again every two seconds"),
        ],
        short: "what this node serves, to whom, from which disks",
        long: "Prints the physical ports of this node and the groups that it serves: their \
               ports, the sessions of initiators, the LUNs and who owns their disks. The \
               exit code is 0 where all of it is healthy and 1 where something is not. \
               The cluster is asked only for --cluster, and for this node's name where it \
               has not told that since the boot. With --cluster all is healthy where every \
               group is served and has another node to go to, and every node that a group \
               could miss is well. The fields of --json are in /usr/share/doc/understudy/status.md.",
        root: true,
        run: status::status,
    },
    Command {
        name: "check",
        words: &["GROUP"],
        options: &[flag("--json", "", "for programs")],
        short: "would a takeover succeed on this node, now?",
        long: "Looks at everything that a takeover needs of this node: every disk, whether \
               it can be read and reserved, and whose it is; a physical port in the right \
               fabric with room; modules; times in the configuration; fencing. Nothing is \
               changed. The exit code is 0 where a takeover would succeed.",
        root: true,
        run: check::check,
    },
    Command {
        name: "plan",
        words: &["GROUP", "start|stop"],
        options: &[],
        short: "the steps of a start or a stop on this node, now",
        long: "Prints the steps of a start or a stop of the group on this node now, with \
               their operations, and does none of them. What is there already is left out, \
               as it is in a start; so are the echoes, the bar and the expedited grace \
               periods that go with them.",
        root: true,
        run: plan::plan,
    },
    Command {
        name: "takeover",
        words: &["GROUP"],
        options: &[flag("--node", "NODE", "to this node, and no other"), FORCE],
        short: "move a group to its partner, through Pacemaker",
        long: "Commands Pacemaker to move a group to the other node and tells how it goes, \
               and for how long the port was away. Of several nodes one is taken that can \
               take the group and says most of it: that it has all that the group needs, or \
               that it has ports online; the home first, then by name. The command says \
               which and why. Refused, with the reason, where Pacemaker would not do it, \
               where the node has no physical port online, or where it lacks a disk or \
               anything else that the group needs: that is seen at once where the command \
               is given on it, and else as its fcport says each minute. The rule that commands the move is taken away at the end, and ends \
               by itself after ten minutes.",
        root: true,
        run: takeover::takeover,
    },
    Command {
        name: "giveback",
        words: &["GROUP"],
        options: &[FORCE],
        short: "move a group to its home",
        long: "The same as takeover, to the node that the group's parameter home names.",
        root: true,
        run: takeover::giveback,
    },
    Command {
        name: "accept",
        words: &["GROUP"],
        options: &[flag("--yes", "", "take the new disks for right")],
        short: "let LUN numbers have other disks than before",
        long: "A group is not started where a LUN number has another disk than initiators \
               know behind it: what they send there would be written to the wrong disk. This \
               prints such numbers and, with --yes, has the cluster take the new disks for \
               right and try the start again. See first that no initiator uses them.",
        root: true,
        run: accept::accept,
    },
    Command {
        name: "configure",
        words: &["FILE"],
        options: &[flag("--format", "pcs|crm|xml", "for this tool; pcs by default")],
        short: "print the cluster's configuration for groups in a TOML file",
        long: "Prints the whole configuration of the groups that a short TOML file \
               describes: resources with times that fit the number of LUNs, stickiness, \
               locations, the watch over the physical ports and its rules. Nothing is \
               changed. A FILE of - is standard input.",
        root: false,
        run: configure::configure,
    },
    Command {
        name: "metrics",
        words: &[],
        options: &[],
        short: "the status in Prometheus' text format",
        long: "Prints what status prints as metrics, for the textfile collector of \
               node_exporter; the package has a timer for it, understudy-metrics.timer, \
               which is off by default.",
        root: true,
        run: metrics::metrics,
    },
    Command {
        name: "targetctl",
        words: &["restore|clear"],
        options: &[],
        short: "targetctl, but never of what a group has",
        long: "What targetcli's service runs in place of targetctl, by a file that the \
               package puts beside its unit. While this node serves a group nothing is done: \
               targetctl would clear the group's LUNs with everything else. Else targetctl is \
               run, and told to restore what was saved without what was made for a group. \
               neighbours.md in /usr/share/doc/understudy says more.",
        root: true,
        run: targetctl::targetctl,
    },
];

impl Command {
    /// Returns what the command takes: `takeover GROUP [--node NODE] [--force]`.
    pub fn usage(&self) -> String {
        let words = self.words.iter().map(|word| format!(" {word}"));
        let options = self.options.iter().map(|Flag { name, value, .. }| {
            if value.is_empty() {
                format!(" [{name}]")
            } else {
                format!(" [{name} {value}]")
            }
        });
        format!("{}{}", self.name, words.chain(options).collect::<String>())
    }

    /// Carries the command out.
    pub fn call(&self, arguments: impl Iterator<Item = String>) -> Code {
        let name = self.name;
        let line = match Line::read(self, arguments) {
            Ok(line) => line,
            Err(why) => {
                let usage = self.usage();
                let why = format!("{name}: {why}; usage: understudy {usage}");
                return complain(&why, Code::Arguments);
            }
        };
        let environment = Environment::read("understudy");
        if self.root && !environment.may_act() {
            let why = format!("{name}: only root may look at the target; be root");
            return complain(&why, Code::Permission);
        }
        let kernel = &*environment.kernel();
        let node = match self.root {
            true => environment.node_of_command(kernel, cluster::own_name),
            false => environment.node(kernel),
        };
        (self.run)(kernel, &node, &line)
    }
}

/// How long the disks of this node may take to answer.
const TIME: Duration = Duration::from_secs(20);

/// Returns whether standard output goes where colours are seen.
fn paint() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Returns a value as JSON, for programs.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

/// Prints in a line why something is not done, and returns the code.
fn complain(why: &str, code: Code) -> Code {
    let _ = writeln!(std::io::stderr(), "understudy: {why}");
    code
}
