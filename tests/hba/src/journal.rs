//! The event log: in memory for the control socket, in a file for tests.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::control::Event;
use crate::firmware::Report;

/// The log of all events since the start.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    file: Option<File>,
    events: Vec<Event>,
}

impl Journal {
    /// Returns a log that is also written to `path`, with a JSON line for each event.
    pub(crate) fn create(path: Option<&Path>) -> io::Result<Self> {
        let file = path.map(File::create).transpose()?;
        Ok(Self { file, events: Vec::new() })
    }

    /// Numbers an event, adds the time in seconds since 1970, and keeps it.
    pub(crate) fn record(&mut self, report: Report, t: f64) -> io::Result<()> {
        let event = Event { seq: self.last() + 1, t, report };
        if let Some(file) = &mut self.file {
            let mut line = serde_json::to_vec(&event)?;
            line.push(b'\n');
            file.write_all(&line)?;
        }
        log::info!("{}", serde_json::to_string(&event)?);
        self.events.push(event);
        Ok(())
    }

    /// Returns the events after a sequence number.
    pub(crate) fn after(&self, seq: u64) -> &[Event] {
        let known = usize::try_from(seq).unwrap_or(usize::MAX);
        self.events.get(known..).unwrap_or_default()
    }

    /// Returns the last sequence number.
    pub(crate) fn last(&self) -> u64 {
        u64::try_from(self.events.len()).unwrap_or(u64::MAX)
    }
}
