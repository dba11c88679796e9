//! `shell`: a shell, or one command, in a guest.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::thread;

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use serde::Serialize;
use understudy_lab::supervise::{Ask, socket};
use understudy_lab::wire::{End, Report, Request, take_text};
use understudy_lab::{Error, Result};

use super::client;

pub fn run(guest: &str, command: &[&str]) -> Result<ExitCode> {
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let argv: Vec<String> = if !command.is_empty() {
        vec!["/bin/sh".into(), "-c".into(), command.join(" ")]
    } else if terminal {
        // `script` gives the shell a terminal of its own.
        ["script", "-qfc", "exec bash -l", "/dev/null"].map(str::to_owned).to_vec()
    } else {
        vec!["/bin/sh".into()]
    };
    let mut stream = client::connect()?;
    client::send(&mut stream, &Ask::Run { guest: guest.to_owned(), argv })?;
    let raw = (terminal && command.is_empty()).then(RawTerminal::enter).flatten();
    let input = stream.try_clone().map_err(Error::io("use", socket()))?;
    thread::spawn(move || forward_input(input));
    let end = print_reports(stream);
    drop(raw);
    match end {
        End::Exit(code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(1))),
        End::Signal(signal) => Err(Error::other(format!("{guest}: signal {signal}"))),
        End::Timeout => Err(Error::other(format!("{guest}: timeout"))),
        End::Failed(why) => Err(Error::other(format!("{guest}: {why}"))),
        End::Lost => Err(Error::other(format!("{guest}: not up, or gone"))),
    }
}

fn print_reports(stream: UnixStream) -> End {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    for line in BufReader::new(stream).lines().map_while(|line| line.ok()) {
        match serde_json::from_str(&line) {
            Ok(Report::Out { text, .. }) => {
                let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
            }
            Ok(Report::Err { text, .. }) => {
                let _ = err.write_all(text.as_bytes());
            }
            Ok(Report::Ended { end, .. }) => return end,
            _ => {}
        }
    }
    End::Lost
}

fn forward_input(mut stream: UnixStream) {
    let mut buffer = [0; 4096];
    let mut pending = Vec::new();
    while let Ok(count @ 1..) = std::io::stdin().read(&mut buffer) {
        pending.extend(buffer.iter().take(count));
        let text = Some(take_text(&mut pending));
        if say(&mut stream, &Request::Input { id: 0, text }).is_err() {
            return;
        }
    }
    let _ = say(&mut stream, &Request::Input { id: 0, text: None });
}

fn say(stream: &mut UnixStream, value: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// A terminal that passes every key on, until this value is dropped. Holds the settings
/// from before.
struct RawTerminal(Termios);

impl RawTerminal {
    fn enter() -> Option<Self> {
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(std::io::stdin(), SetArg::TCSANOW, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &self.0);
    }
}
