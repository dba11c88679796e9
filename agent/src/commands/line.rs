//! A command line, read by the table of what a command takes.

use understudy_core::text::quoted;

use super::Command;

/// What was given.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Every word that the command needs.
    pub words: Vec<String>,
    options: Vec<(&'static str, String)>,
}

impl Line {
    /// Reads the words and options of a command.
    ///
    /// # Errors
    /// Something is missing, or does not belong to the command.
    pub fn read(
        command: &Command,
        mut arguments: impl Iterator<Item = String>,
    ) -> Result<Self, String> {
        let mut line = Self::default();
        while let Some(argument) = arguments.next() {
            if !argument.starts_with("--") {
                line.words.push(argument);
                continue;
            }
            let (name, mut value) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            let option = command.options.iter().find(|option| option.name == name);
            let option =
                option.ok_or_else(|| format!("{} is no option of it", quoted(name)))?;
            match (option.value.is_empty(), &value) {
                (true, Some(_)) => return Err(format!("{name} takes no value")),
                (false, None) => value = arguments.next(),
                _ => {}
            }
            let missing = || format!("{name} needs {}", option.value);
            let value = if option.value.is_empty() { Some(String::new()) } else { value };
            line.options.push((option.name, value.ok_or_else(missing)?));
        }
        if let Some(missing) = command.words.get(line.words.len()) {
            return Err(format!("{missing} is missing"));
        }
        match line.words.get(command.words.len()) {
            Some(more) => Err(format!("{} is one word too many", quoted(more))),
            None => Ok(line),
        }
    }

    /// Returns whether an option was given.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Returns an option's value; the last one counts.
    pub fn value(&self, name: &str) -> Option<&str> {
        let mut given = self.options.iter().rev().filter(|(its, _)| *its == name);
        given.next().map(|(_, value)| value.as_str())
    }

    /// Returns the first word, which is empty where the command takes none.
    pub fn word(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::super::COMMANDS;
    use super::*;

    fn read(name: &str, words: &[&str]) -> Result<Line, String> {
        let command = COMMANDS.iter().find(|command| command.name == name).unwrap();
        Line::read(command, words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn options_stand_anywhere() {
        for words in [
            ["--force", "group-a", "--node", "b"].as_slice(),
            &["group-a", "--node=b", "--force"],
        ] {
            let line = read("takeover", words).unwrap();
            assert_eq!((line.word(), line.value("--node")), ("group-a", Some("b")));
            assert!(line.has("--force"));
        }
        assert!(!read("takeover", &["g"]).unwrap().has("--force"));
    }

    #[test]
    fn what_is_missing_or_too_much_is_said() {
        let why = |name, words: &[&str]| read(name, words).unwrap_err();
        assert_eq!(why("takeover", &[]), "GROUP is missing");
        assert_eq!(why("takeover", &["a", "b"]), "'b' is one word too many");
        assert_eq!(why("takeover", &["a", "--node"]), "--node needs NODE");
        assert_eq!(why("giveback", &["a", "--node", "b"]), "'--node' is no option of it");
        assert_eq!(why("status", &["--json=1"]), "--json takes no value");
    }
}
