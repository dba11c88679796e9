//! Completion of the command line for three shells, from the table of commands.

use std::fmt::Write as _;

use crate::commands::{COMMANDS, Command};

/// Lists the cluster's resources, for a word that is a group.
const GROUPS: &str = "crm_resource --list-raw 2> /dev/null";

/// Returns the script for a shell, by the shell's name.
pub fn script(shell: &str) -> Option<String> {
    match shell {
        "bash" => Some(bash()),
        "zsh" => Some(zsh()),
        "fish" => Some(fish()),
        _ => None,
    }
}

fn names() -> String {
    COMMANDS.iter().map(|command| command.name).collect::<Vec<_>>().join(" ")
}

fn options(command: &Command) -> String {
    command.options.iter().map(|option| option.name).collect::<Vec<_>>().join(" ")
}

fn bash() -> String {
    let mut text = format!(
        "_understudy() {{\n    local cur=${{COMP_WORDS[COMP_CWORD]}} words= files=\n    \
         if [ \"$COMP_CWORD\" -eq 1 ]; then\n        words='{}'\n    else\n        \
         case ${{COMP_WORDS[1]}} in\n",
        names()
    );
    for command in COMMANDS {
        let more = match command.words {
            ["GROUP", ..] => format!("\" $({GROUPS})\""),
            ["FILE"] => "; files=-f".into(),
            _ => String::new(),
        };
        let (name, options) = (command.name, options(command));
        let _ = writeln!(text, "        {name}) words='{options}'{more} ;;");
    }
    text + "        esac\n    fi\n    \
            COMPREPLY=($(compgen $files -W \"$words\" -- \"$cur\"))\n}\n\
            complete -F _understudy understudy\n"
}

fn zsh() -> String {
    let mut text = format!(
        "#compdef understudy\nif (( CURRENT == 2 )); then\n    \
         _values command {}\n    return\nfi\ncase $words[2] in\n",
        COMMANDS
            .iter()
            .map(|command| format!(
                "'{}[{}]'",
                command.name,
                command.short.replace('\'', "")
            ))
            .collect::<Vec<_>>()
            .join(" ")
    );
    for command in COMMANDS {
        let more = match command.words {
            ["GROUP", ..] => format!(" $({GROUPS})"),
            _ => String::new(),
        };
        let files = if command.words == ["FILE"] { "; _files" } else { "" };
        let (name, options) = (command.name, options(command));
        let _ = writeln!(text, "{name}) compadd -- {options}{more}{files} ;;");
    }
    text + "esac\n"
}

fn fish() -> String {
    let mut text = String::new();
    for Command { name, short, options, words, .. } in COMMANDS {
        let first = "complete -c understudy -n __fish_use_subcommand -f";
        let _ = writeln!(text, "{first} -a {name} -d \"{short}\"");
        let then =
            format!("complete -c understudy -n '__fish_seen_subcommand_from {name}'");
        for option in *options {
            let long = option.name.trim_start_matches('-');
            let value = if option.value.is_empty() { "" } else { " -x" };
            let _ = writeln!(text, "{then} -l {long}{value} -d \"{}\"", option.what);
        }
        match *words {
            ["GROUP", ..] => {
                let _ = writeln!(text, "{then} -f -a '({GROUPS})'");
            }
            [] => {
                let _ = writeln!(text, "{then} -f");
            }
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_knows_every_command_and_option() {
        for shell in ["bash", "zsh", "fish"] {
            let script = script(shell).unwrap();
            for command in COMMANDS {
                assert!(script.contains(command.name), "{shell}: {}", command.name);
                for option in command.options {
                    let name = option.name.trim_start_matches('-');
                    assert!(script.contains(name), "{shell}: {name}");
                }
            }
        }
        assert_eq!(script("tcsh"), None);
    }

    /// Checks the shells that are installed: all three where `make test-fast` has run.
    #[test]
    fn the_shells_own_parsers_take_them() {
        use std::process::{Command, Stdio};
        for shell in ["bash", "zsh", "fish"] {
            let check = Command::new(shell).arg("-n").stdin(Stdio::piped()).spawn();
            let mut check = match check {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                check => check.unwrap(),
            };
            let script = script(shell).unwrap();
            let mut input = check.stdin.take().unwrap();
            std::io::Write::write_all(&mut input, script.as_bytes()).unwrap();
            drop(input);
            assert!(check.wait().unwrap().success(), "{shell}:\n{script}");
        }
    }
}
