//! The event log: in memory for the control socket, in a file for tests.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::event::Event;

/// The log of all events since the start.
#[derive(Debug, Default)]
pub struct Journal {
    file: Option<File>,
    events: Vec<Event>,
}

impl Journal {
    /// Returns a log that is also written to `path`, with a JSON line for each event.
    pub fn create(path: Option<&Path>) -> io::Result<Self> {
        let file = path.map(File::create).transpose()?;
        Ok(Self { file, events: Vec::new() })
    }

    /// Numbers an event, adds the time, and keeps it. The event is in the file before
    /// anything that follows from it leaves the fabric.
    pub fn record(&mut self, event: Event, t: f64) -> io::Result<()> {
        let seq = u64::try_from(self.events.len()).unwrap_or(u64::MAX) + 1;
        let event = Event { seq, t, ..event };
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
    pub fn after(&self, seq: u64) -> &[Event] {
        let known = usize::try_from(seq).unwrap_or(usize::MAX);
        self.events.get(known..).unwrap_or_default()
    }

    /// Returns the last sequence number.
    pub fn last(&self) -> u64 {
        u64::try_from(self.events.len()).unwrap_or(u64::MAX)
    }
}
