//! A connection to the process that owns the lab.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use understudy_lab::supervise::{Answer, Ask, socket};
use understudy_lab::{Error, Result};

/// Returns a connection to the lab, if it is up.
pub fn connect() -> Result<UnixStream> {
    UnixStream::connect(socket())
        .map_err(|_| Error::other("the lab is not up: understudy-lab up"))
}

/// Sends a request, as the first line of a connection.
pub fn send(stream: &mut UnixStream, ask: &Ask) -> Result<()> {
    let line =
        serde_json::to_string(ask).map_err(|error| Error::other(error.to_string()))?;
    writeln!(stream, "{line}").map_err(Error::io("talk to", socket()))
}

/// Sends a request over a connection of its own. Returns the answer.
pub fn ask(ask: &Ask) -> Result<Answer> {
    let mut stream = connect()?;
    send(&mut stream, ask)?;
    let mut line = String::new();
    BufReader::new(stream)
        .read_line(&mut line)
        .map_err(Error::io("talk to", socket()))?;
    match serde_json::from_str(&line) {
        Ok(Answer::Failed(why)) => Err(Error::Other(why)),
        Ok(answer) => Ok(answer),
        Err(error) => Err(Error::other(format!("not an answer: {line:?}: {error}"))),
    }
}
