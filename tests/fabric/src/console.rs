//! The clients of the control socket: their lines, and the replies to them.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest line of a request. No client of ours sends a longer one.
const MAX_LINE: usize = 64 << 10;

/// A client of the control socket.
#[derive(Debug)]
pub struct Peer {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// The last event that a watching client has been sent.
    watching: Option<u64>,
    closed: bool,
}

impl Peer {
    /// Returns a client that has just connected.
    pub fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            input: Vec::new(),
            output: Vec::new(),
            watching: None,
            closed: false,
        }
    }

    /// Returns the client's socket.
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Whether the connection is over, so that the client can be forgotten.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether bytes wait for the client to read them.
    pub fn is_behind(&self) -> bool {
        !self.output.is_empty()
    }

    /// Reads what has come, and returns the requests of the lines that are whole. For a
    /// line that is no request, returns what is wrong with it.
    pub fn requests<R: DeserializeOwned>(&mut self) -> Vec<Result<R, String>> {
        let mut chunk = [0; 4096];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => self.closed = true,
                Ok(n) => {
                    self.input.extend(chunk.iter().take(n));
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => self.closed |= error.kind() != ErrorKind::WouldBlock,
            }
            break;
        }
        let mut requests = Vec::new();
        while let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            let parsed = serde_json::from_slice(&line);
            requests.push(parsed.map_err(|error| bad_request(&line, &error)));
        }
        self.closed |= self.input.len() > MAX_LINE;
        requests
    }

    /// Queues a reply.
    pub fn reply(&mut self, reply: &impl Serialize) {
        self.line(reply);
    }

    /// Marks the client as watching: it gets the events after `seq` from now on.
    pub fn watch(&mut self, seq: u64) {
        self.watching = Some(seq);
    }

    /// Queues the events that a watching client has not been sent. `events` are all since
    /// the start.
    pub fn follow(&mut self, events: &[impl Serialize]) {
        let Some(seen) = self.watching else { return };
        let seen = usize::try_from(seen).unwrap_or(usize::MAX);
        for event in events.get(seen..).unwrap_or_default() {
            self.line(event);
        }
        let last = u64::try_from(events.len()).unwrap_or(u64::MAX);
        self.watching = Some(last.max(self.watching.unwrap_or(0)));
    }

    /// Writes as much of what waits as the socket takes now.
    pub fn flush(&mut self) {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(n) => drop(self.output.drain(..n)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.closed |= error.kind() != ErrorKind::WouldBlock;
                    return;
                }
            }
        }
    }

    /// Writes everything that waits, however long the client takes. This is for the last
    /// reply.
    pub fn finish(&mut self) -> io::Result<()> {
        self.stream.set_nonblocking(false)?;
        self.stream.write_all(&self.output)
    }

    fn line(&mut self, value: &impl Serialize) {
        match serde_json::to_writer(&mut self.output, value) {
            Ok(()) => self.output.push(b'\n'),
            Err(error) => log::error!("reply lost: {error}"),
        }
    }
}

fn bad_request(line: &[u8], error: &serde_json::Error) -> String {
    let line = String::from_utf8_lossy(line);
    format!("bad request {:?}: {error}", line.trim_end())
}
