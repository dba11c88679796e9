//! The messages between the lab and a guest: one JSON value a line, over the guest's
//! virtio-serial port. Many commands run at once, told apart by their id.

use serde::{Deserialize, Serialize};

/// The name of the virtio-serial port.
pub const PORT: &str = "understudy";

/// A message from the lab to the guest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Start a command in a process group of its own.
    Run {
        /// Chosen by the lab.
        id: u64,
        /// Program and arguments.
        argv: Vec<String>,
        /// Kill it after that many milliseconds.
        timeout_ms: Option<u64>,
    },
    /// Text for a command's standard input; none ends it.
    Input {
        /// The command.
        id: u64,
        /// The text.
        text: Option<String>,
    },
    /// Send a signal to a command's process group.
    Kill {
        /// The command.
        id: u64,
        /// Signal number.
        signal: i32,
    },
}

/// A message from the guest to the lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// The first line after a boot: every earlier command is gone.
    Hello {
        /// The kernel's boot id.
        boot: String,
    },
    /// Standard output of a command, as it comes.
    Out {
        /// The command.
        id: u64,
        /// A piece of it, not necessarily a line.
        text: String,
    },
    /// Standard error of a command, as it comes.
    Err {
        /// The command.
        id: u64,
        /// A piece of it.
        text: String,
    },
    /// A command has ended; nothing follows with this id.
    Ended {
        /// The command.
        id: u64,
        /// How.
        end: End,
    },
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// With this exit code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// Killed because its time was over.
    Timeout,
    /// The command could not be started.
    Failed(String),
    /// The guest lost its power, or booted again, while the command ran.
    Lost,
}

/// Takes the valid UTF-8 from the front of `bytes` and leaves a character that is not
/// complete yet; bytes that can never be text are replaced.
#[must_use]
pub fn take_text(bytes: &mut Vec<u8>) -> String {
    let mut keep = 0;
    if let Err(error) = std::str::from_utf8(bytes) {
        if error.error_len().is_none() {
            keep = bytes.len() - error.valid_up_to();
        }
    }
    let rest = bytes.split_off(bytes.len() - keep);
    String::from_utf8_lossy(&std::mem::replace(bytes, rest)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_character_waits_for_its_rest() {
        let mut bytes = b"caf\xc3".to_vec();
        assert_eq!(take_text(&mut bytes), "caf");
        bytes.push(0xa9);
        assert_eq!(take_text(&mut bytes), "é");
        assert!(bytes.is_empty());
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        let mut bytes = b"a\xff\xfeb".to_vec();
        assert_eq!(take_text(&mut bytes), "a\u{fffd}\u{fffd}b");
    }

    #[test]
    fn a_request_is_one_line() {
        let run = Request::Run {
            id: 1,
            argv: vec!["sh".into(), "-c".into(), "a\nb".into()],
            timeout_ms: None,
        };
        assert!(!serde_json::to_string(&run).unwrap().contains('\n'));
    }
}
