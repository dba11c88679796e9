//! A small blocking client of the control socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::control::{Event, LinkInfo, PortInfo, Reply, Request};
use crate::wwn::Wwn;

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The control socket could not be reached.
    #[error("control socket {path}: {source}")]
    Connect {
        /// The path of the socket.
        path: String,
        /// Why it could not be reached.
        source: io::Error,
    },
    /// The connection broke.
    #[error("control socket: {0}")]
    Io(#[from] io::Error),
    /// The reply cannot be read, so the other end is no fabric.
    #[error("reply is no JSON of a fabric: {0}")]
    Reply(#[from] serde_json::Error),
    /// The fabric refused, for this reason.
    #[error("fabric: {0}")]
    Refused(String),
}

/// A connection to a running fabric.
#[derive(Debug)]
pub struct Client {
    socket: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the control socket of a fabric that has said `ready`.
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, ClientError> {
        let path = path.as_ref();
        let socket = UnixStream::connect(path).map_err(|source| {
            ClientError::Connect { path: path.display().to_string(), source }
        })?;
        Ok(Self { socket: BufReader::new(socket) })
    }

    /// Returns the ports that are logged in.
    pub fn ports(&mut self) -> Result<Vec<PortInfo>, ClientError> {
        Ok(self.call(&Request::Ports)?.ports.unwrap_or_default())
    }

    /// Returns the links and their states.
    pub fn links(&mut self) -> Result<Vec<LinkInfo>, ClientError> {
        Ok(self.call(&Request::Links)?.links.unwrap_or_default())
    }

    /// Cuts a link, as if its cable were pulled.
    pub fn cut(&mut self, link: &str) -> Result<(), ClientError> {
        self.call(&Request::Cut { link: link.to_owned() }).map(drop)
    }

    /// Ends the cut of a link.
    pub fn restore(&mut self, link: &str) -> Result<(), ClientError> {
        self.call(&Request::Restore { link: link.to_owned() }).map(drop)
    }

    /// Ends the login of one port.
    pub fn drop(&mut self, wwpn: Wwn) -> Result<(), ClientError> {
        self.call(&Request::Drop { wwpn }).map(drop)
    }

    /// Holds frames between ports, until [`Self::resume`].
    pub fn pause(&mut self) -> Result<(), ClientError> {
        self.call(&Request::Pause).map(drop)
    }

    /// Forwards the held frames, and all that follow.
    pub fn resume(&mut self) -> Result<(), ClientError> {
        self.call(&Request::Resume).map(drop)
    }

    /// Grants or refuses virtual ports, from the next FLOGI on a link, or on all links.
    pub fn set_npiv(&mut self, link: Option<&str>, on: bool) -> Result<(), ClientError> {
        self.call(&Request::Npiv { on, link: link.map(str::to_owned) }).map(drop)
    }

    /// Puts zones in force, each with its members. Ends zoning if there are none.
    pub fn set_zones(&mut self, zones: Option<Vec<Vec<Wwn>>>) -> Result<(), ClientError> {
        self.call(&Request::Zone { zones }).map(drop)
    }

    /// Returns the events after a sequence number. All events come after 0.
    pub fn events(&mut self, after: u64) -> Result<Vec<Event>, ClientError> {
        Ok(self.call(&Request::Events { after })?.events.unwrap_or_default())
    }

    /// Returns the events after a sequence number, then each event as it happens, until
    /// the fabric ends. With `None` only events that are still to come are returned.
    pub fn watch(mut self, after: Option<u64>) -> Result<Watch, ClientError> {
        self.call(&Request::Watch { after })?;
        Ok(Watch { socket: self.socket, line: String::new() })
    }

    /// Ends the fabric.
    pub fn quit(&mut self) -> Result<(), ClientError> {
        self.call(&Request::Quit).map(drop)
    }

    /// Sends a request and waits for its reply.
    pub fn call(&mut self, request: &Request) -> Result<Reply, ClientError> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.socket.get_mut().write_all(&line)?;
        let mut reply = String::new();
        if self.socket.read_line(&mut reply)? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let reply: Reply = serde_json::from_str(&reply)?;
        match reply.error {
            Some(error) => Err(ClientError::Refused(error)),
            None => Ok(reply),
        }
    }
}

/// Events as they happen. The iterator ends when the fabric does.
#[derive(Debug)]
pub struct Watch {
    socket: BufReader<UnixStream>,
    /// The part of the next line that has come. A timeout may fall in the middle of a
    /// line.
    line: String,
}

impl Watch {
    /// Makes the iterator fail with a timeout if no event comes for this long.
    pub fn set_timeout(&self, limit: std::time::Duration) -> io::Result<()> {
        self.socket.get_ref().set_read_timeout(Some(limit))
    }
}

impl Iterator for Watch {
    type Item = Result<Event, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.socket.read_line(&mut self.line) {
            Ok(0) => None,
            Ok(_) => {
                let line = std::mem::take(&mut self.line);
                Some(serde_json::from_str(&line).map_err(Into::into))
            }
            Err(error) => Some(Err(error.into())),
        }
    }
}
