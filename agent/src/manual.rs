//! The manual page, from the same tables as the meta-data.

use understudy_core::params::PARAMS;

use crate::metadata::{ACTIONS, LONG, SHORT};

/// ocf_understudy_vport(7), in roff.
pub fn page() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut page = format!(
        ".TH OCF_UNDERSTUDY_VPORT 7 \"\" \"understudy {version}\" \"OCF resource agents\"\n\
         .SH NAME\nocf_understudy_vport \\- {}\n\
         .SH SYNOPSIS\n.B vport\n[start | stop | monitor | reload-agent | validate-all | meta-data]\n\
         .SH DESCRIPTION\n{}\n.SH PARAMETERS\n",
        plain(SHORT),
        plain(LONG)
    );
    for param in PARAMS {
        let kind = match (param.default, param.choices) {
            (None, _) => "required".to_owned(),
            (Some(""), _) => "optional".to_owned(),
            (Some(default), []) => format!("default: {default}"),
            (Some(default), choices) => {
                format!("{}; default: {default}", choices.join(" | "))
            }
        };
        page += &format!(
            ".TP\n.B {}\n({})\n{}\n",
            param.name,
            plain(&kind),
            plain(param.long)
        );
    }
    page += ".SH ACTIONS\nTimeouts are suggestions; a stop has to drain every disk.\n";
    for action in ACTIONS {
        page += &format!(".TP\n.B {}\ntimeout {} s", plain(action.name), action.timeout);
        if let Some((interval, level)) = action.recurring {
            page += &format!(", interval {interval} s, level {level}");
        }
        page += "\n";
    }
    page += LOG;
    page + ".SH FILES\n.TP\n.I /run/understudy/ports\nthe virtual port database\n\
            .SH SEE ALSO\n.BR pacemaker (7),\n.BR targetcli (8)\n"
}

const LOG: &str = "\
.SH LOG
A start, a stop and a reload log one line that says where the time went, in milliseconds:
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
the disks. What an action that fails did last is
.IR failing .
Where debugging is on (PCMK_debug), the same as a table, and every step.
";

/// A hyphen that is typed as one, and no line that begins as a request would.
fn plain(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_every_parameter_and_action() {
        let page = page();
        assert!(PARAMS.iter().all(|p| page.contains(&format!(".B {}\n", p.name))));
        assert!(page.contains(".B validate\\-all\ntimeout 20 s"));
    }
}
