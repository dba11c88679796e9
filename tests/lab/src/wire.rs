//! The messages between the lab and a guest: JSON, one value a line, over the guest's
//! virtio-serial port. Many commands run at a time. Their ids tell them apart.

use serde::{Deserialize, Serialize};

/// The name of the virtio-serial port.
pub const PORT: &str = "understudy";

/// A message from the lab to the guest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Start a command in a process group of its own.
    Run {
        /// The command's id, which the lab chooses.
        id: u64,
        /// The program and its arguments.
        argv: Vec<String>,
        /// After how many milliseconds the command is killed, if it still runs.
        timeout_ms: Option<u64>,
    },
    /// Text for a command's standard input. A message without text closes that input.
    Input {
        /// The command's id.
        id: u64,
        /// The text.
        text: Option<String>,
    },
    /// Send a signal to a command's process group.
    Kill {
        /// The command's id.
        id: u64,
        /// The number of the signal.
        signal: i32,
    },
}

/// A message from the guest to the lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// The first message after a boot: every earlier command is gone.
    Hello {
        /// The kernel's boot id.
        boot: String,
    },
    /// A piece of a command's standard output, sent as it comes.
    Out {
        /// The command's id.
        id: u64,
        /// The text, which need not end with a line.
        text: String,
    },
    /// A piece of a command's standard error, sent as it comes.
    Err {
        /// The command's id.
        id: u64,
        /// The text, which need not end with a line.
        text: String,
    },
    /// A command has ended. No other message has this id.
    Ended {
        /// The command's id.
        id: u64,
        /// How the command ended.
        end: End,
    },
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The command ended with this exit code.
    Exit(i32),
    /// The command was ended by this signal.
    Signal(i32),
    /// The command was killed because its time was over.
    Timeout,
    /// The command could not be started.
    Failed(String),
    /// The guest lost its power, or booted again, while the command ran.
    Lost,
}

/// Takes the valid UTF-8 off the front of `bytes`. Leaves a last character that is not
/// complete yet. Replaces bytes that can never be text.
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
