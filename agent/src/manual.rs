//! The help and the manual pages, from the same tables as the code.

use std::fmt::Write as _;

use crate::commands::{COMMANDS, Command};
use crate::metadata::{AGENTS, Agent};

/// What `--help` prints.
pub fn help() -> String {
    let mut text =
        "understudy: a Fibre Channel port moves to its partner node\n\n".to_owned();
    for command in COMMANDS {
        let _ = writeln!(text, "  understudy {}", command.usage());
        let _ = writeln!(text, "      {}", command.short);
    }
    text + "  understudy vport|fcport ACTION\n      \
            act as the resource agent of that name\n  \
            understudy man vport|fcport|understudy\n      \
            print a manual page\n  \
            understudy completion bash|zsh|fish\n      \
            print a shell's completion of all this\n  \
            understudy --version\n  understudy --help\n\n\
            Pacemaker runs the agents below /usr/lib/ocf/resource.d/understudy; configure\n\
            them there, see ocf_understudy_vport(7) and ocf_understudy_fcport(7).\n"
}

/// A manual page, by its name, in roff.
pub fn page(name: &str) -> Option<String> {
    if name == "understudy" {
        return Some(commands());
    }
    AGENTS.into_iter().find(|agent| agent.name == name).map(of_agent)
}

/// understudy(8).
fn commands() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut page = format!(
        ".TH UNDERSTUDY 8 \"\" \"understudy {version}\" \"System administration\"\n\
         .SH NAME\nunderstudy \\- who serves whose Fibre Channel port, and have it moved\n\
         .SH SYNOPSIS\n"
    );
    for command in COMMANDS {
        let usage = plain(&command.usage());
        let _ = writeln!(page, ".B understudy\n{usage}\n.br");
    }
    page += ".SH COMMANDS\n";
    for Command { name, options, long, .. } in COMMANDS {
        let _ = writeln!(page, ".SS {name}\n{}", plain(long));
        for option in *options {
            let (name, what) = (plain(option.name), plain(option.what));
            let head = match option.value {
                "" => format!(".B {name}"),
                value => format!(".BI {name} \" {}\"", plain(value)),
            };
            let _ = writeln!(page, ".TP\n{head}\n{what}");
        }
    }
    page + ".SH EXIT STATUS\n0 if it is done, and for status if all is healthy; 1 if not; \
            2 if the command line makes\nno sense; 4 if the user may not do it; 5 if this \
            node lacks something; 6 if a file or a\nparameter is wrong.\n\
            .SH SEE ALSO\n.BR ocf_understudy_vport (7),\n.BR ocf_understudy_fcport (7),\n\
            .BR crm_mon (8)\n"
}

/// ocf_understudy_vport(7) or ocf_understudy_fcport(7).
fn of_agent(agent: &Agent) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let name = agent.name;
    let mut actions: Vec<_> = agent.actions.iter().map(|action| action.name).collect();
    actions.dedup();
    let mut page = format!(
        ".TH OCF_UNDERSTUDY_{} 7 \"\" \"understudy {version}\" \"OCF resource agents\"\n\
         .SH NAME\nocf_understudy_{name} \\- {}\n\
         .SH SYNOPSIS\n.B {name}\n[{}]\n\
         .SH DESCRIPTION\n{}\n.SH PARAMETERS\n",
        name.to_uppercase(),
        plain(agent.short),
        actions.join(" | "),
        plain(agent.long)
    );
    for param in agent.params {
        let kind = match (param.default, param.kind.words()) {
            (None, _) => "required".to_owned(),
            (Some(""), _) => "optional".to_owned(),
            (Some(default), []) => format!("default: {default}"),
            (Some(default), words) => {
                format!("{}; default: {default}", words.join(" | "))
            }
        };
        page += &format!(
            ".TP\n.B {}\n({})\n{}\n",
            param.name,
            plain(&kind),
            plain(param.long)
        );
    }
    page += ".SH ACTIONS\n";
    for action in agent.actions {
        page += &format!(".TP\n.B {}\ntimeout {} s", plain(action.name), action.timeout);
        if let Some((interval, level)) = action.recurring {
            page += &format!(", interval {interval} s, level {level}");
        }
        page += "\n";
    }
    page + agent.manual
}

/// The end of ocf_understudy_fcport(7).
pub const FCPORT: &str = "\
.SH FILES
.TP
.I /run/understudy/fcport.json
the fabrics that were seen, and since when each group could have been served here, while
the watch is kept
.SH SEE ALSO
.BR ocf_understudy_vport (7),
.BR attrd_updater (8)
";

/// The end of ocf_understudy_vport(7).
pub const VPORT: &str = "\
.PP
Timeouts are suggestions; a stop has to drain every disk.
.SH LOG
A start, a stop and a reload log one line that says how long each phase took, in
milliseconds:
.I look
at this node,
.I own
the disks,
.I export
them,
.I wait
until the port names are logged in nowhere else,
.I login
of the virtual ports; and
.I drain
what is in flight,
.I logout
of the ports,
.I remove
the exports,
.I disown
the disks. If an action fails, its last phase is called
.IR failing .
With debugging on (PCMK_debug) these times are also logged as a table, and so is every step.
.SH FILES
.TP
.I /run/understudy/ports
the virtual port database
.SH SEE ALSO
.BR ocf_understudy_fcport (7),
.BR pacemaker (7),
.BR targetcli (8)
";

/// A hyphen that is typed as one, and no line that begins as a request would.
fn plain(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use understudy_core::config::params::Param;

    #[test]
    fn the_help_fits_and_names_every_command() {
        let help = help();
        assert!(help.lines().all(|line| line.len() <= 80), "{help}");
        assert!(
            COMMANDS.iter().all(|c| help.contains(&format!("understudy {}", c.name)))
        );
        assert!(page("understudy").unwrap().contains(".SS giveback\n"));
        assert_eq!(page("nonsense"), None);
    }

    #[test]
    fn it_names_every_parameter_and_action() {
        for agent in AGENTS {
            let page = of_agent(agent);
            let named = |p: &Param| page.contains(&format!(".B {}\n", p.name));
            assert!(agent.params.iter().all(named), "{}", agent.name);
            assert!(page.contains(".B validate\\-all\ntimeout 20 s"));
        }
    }
}
