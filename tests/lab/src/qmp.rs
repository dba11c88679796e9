//! QEMU's machine protocol, which switches power and network links.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{Error, Result};

/// How long QEMU may take to answer. It may have to wait for a processor, but not this
/// long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to one QEMU.
#[derive(Debug)]
pub struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects as soon as QEMU has made the socket.
    ///
    /// # Errors
    /// QEMU does not answer in time.
    pub fn connect(path: &Path) -> Result<Self> {
        let stream = connect(path, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(Error::io("set up", path))?;
        let mut qmp = Self { stream: BufReader::new(stream) };
        qmp.read()?;
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Runs a command. Returns its answer.
    ///
    /// # Errors
    /// QEMU refuses the command, or is gone.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let line = json!({ "execute": command, "arguments": arguments });
        writeln!(self.stream.get_mut(), "{line}").map_err(|e| failed(command, &e))?;
        loop {
            let answer = self.read().map_err(|e| failed(command, &e))?;
            if let Some(value) = answer.get("return") {
                return Ok(value.clone());
            }
            if let Some(error) = answer.get("error") {
                return Err(failed(command, &error));
            }
        }
    }

    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => Err(Error::other("QEMU has closed the connection")),
            Ok(_) => serde_json::from_str(&line).map_err(|e| failed(&line, &e)),
            Err(error) => Err(failed("read", &error)),
        }
    }
}

fn failed(what: &str, why: &dyn std::fmt::Display) -> Error {
    Error::other(format!("QMP {what}: {why}"))
}

/// Connects to a socket that a new process is about to make.
pub(crate) fn connect(path: &Path, patience: Duration) -> Result<UnixStream> {
    let deadline = Instant::now() + patience;
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => return Ok(stream),
            Err(error) if Instant::now() >= deadline => {
                return Err(Error::io("connect to", path)(error));
            }
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}
