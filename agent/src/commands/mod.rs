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

const FORCE: Flag = flag("--force", "", "go on although something speaks against it");

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
        long: "Prints the physical ports of this node and the groups that it serves: \
               their ports, the sessions of initiators, the LUNs and who owns their \
               disks. The exit code is 0 if all of that is healthy, and 1 if something \
               is not. With --cluster it is 0 if every group is served and has another \
               node to go to, and every node that matters to a group is well. The \
               cluster is asked only for --cluster, and once after a boot for this \
               node's name. The fields of --json are in \
               /usr/share/doc/understudy/status.md.",
        root: true,
        run: status::status,
    },
    Command {
        name: "check",
        words: &["GROUP"],
        options: &[flag("--json", "", "for programs")],
        short: "would a takeover succeed on this node, now?",
        long: "Looks at everything that a takeover needs of this node: whether every \
               disk can be read and reserved, and whose it is; whether a physical port \
               in the right fabric has room; modules; times in the configuration; \
               fencing. Nothing is changed. The exit code is 0 if a takeover would \
               succeed.",
        root: true,
        run: check::check,
    },
    Command {
        name: "plan",
        words: &["GROUP", "start|stop"],
        options: &[],
        short: "the steps of a start or a stop on this node, now",
        long: "Prints the steps of a start or a stop of the group on this node now, \
               with their operations, and does none of them. Operations whose result \
               is there already are left out, as in a start. Echoes, the bar and \
               expedited grace periods are left out too.",
        root: true,
        run: plan::plan,
    },
    Command {
        name: "takeover",
        words: &["GROUP"],
        options: &[flag("--node", "NODE", "to this node, and no other"), FORCE],
        short: "move a group to its partner, through Pacemaker",
        long: "Commands Pacemaker to move a group to another node. Prints how the move \
               goes, and for how long the port was away. If several nodes can take the \
               group, one is chosen that reports most: that it has all that the group \
               needs, or else that it has ports online. Of equal nodes the home comes \
               first, then the first by name. The command prints which node it chose, \
               and why. It is refused, with the reason, if Pacemaker would not do it, \
               if the node has no physical port online, or if the node lacks a disk or \
               anything else that the group needs. If the command runs on that node, \
               it looks for these things itself. Otherwise it takes what the node's \
               fcport reports each minute. The rule that commands the move is removed \
               at the end, and by itself after ten minutes.",
        root: true,
        run: takeover::takeover,
    },
    Command {
        name: "giveback",
        words: &["GROUP"],
        options: &[FORCE],
        short: "move a group to its home",
        long: "Does what takeover does, to the node that the group's parameter home \
               names.",
        root: true,
        run: takeover::giveback,
    },
    Command {
        name: "accept",
        words: &["GROUP"],
        options: &[flag("--yes", "", "accept the new disks")],
        short: "let LUN numbers have other disks than before",
        long: "A group is not started if a LUN number has another disk than initiators \
               know behind it, because what they send would be written to the wrong \
               disk. This command prints such numbers. With --yes it makes the cluster \
               accept the new disks and try the start again. Make sure first that no \
               initiator uses them.",
        root: true,
        run: accept::accept,
    },
    Command {
        name: "configure",
        words: &["FILE"],
        options: &[flag("--format", "pcs|crm|xml", "for this tool; pcs by default")],
        short: "print the cluster's configuration for groups in a TOML file",
        long: "Prints the whole configuration of the groups that a short TOML file \
               describes: resources with times that fit the number of LUNs, \
               stickiness, locations, the watch over the physical ports and its rules. \
               A group may have every parameter of ocf_understudy_vport(7). Nothing is \
               changed. If FILE is -, standard input is read.",
        root: false,
        run: configure::configure,
    },
    Command {
        name: "metrics",
        words: &[],
        options: &[],
        short: "the status in Prometheus' text format",
        long: "Prints what status prints, as metrics for the textfile collector of \
               node_exporter. The package has a timer for it, \
               understudy-metrics.timer, which is off by default.",
        root: true,
        run: metrics::metrics,
    },
    Command {
        name: "targetctl",
        words: &["restore|clear"],
        options: &[],
        short: "targetctl, but never of what a group has",
        long: "The package puts a file beside the unit of targetcli's service. By that \
               file the service runs this command in place of targetctl. While this \
               node serves a group, the command does nothing, because targetctl would \
               clear the group's LUNs with everything else. Otherwise it runs \
               targetctl, to restore what was saved, but nothing that was saved of a \
               group. See neighbours.md in /usr/share/doc/understudy.",
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
