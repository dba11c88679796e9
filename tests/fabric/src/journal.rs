//! The event log: in memory for the control socket, in a file for tests.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

/// The log of all events since the start.
#[derive(Debug)]
pub struct Journal<E> {
    file: Option<File>,
    events: Vec<E>,
}

impl<E: Serialize> Journal<E> {
    /// Returns a log that is also written to `path`, with a JSON line for each event.
    pub fn create(path: Option<&Path>) -> io::Result<Self> {
        let file = path.map(File::create).transpose()?;
        Ok(Self { file, events: Vec::new() })
    }

    /// Keeps an event, which is made with its number. It is in the file when this returns.
    /// A program that records before it sends shows no effect without its cause.
    pub fn record(&mut self, event: impl FnOnce(u64) -> E) -> io::Result<()> {
        let event = event(self.last() + 1);
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
    pub fn after(&self, seq: u64) -> &[E] {
        let known = usize::try_from(seq).unwrap_or(usize::MAX);
        self.events.get(known..).unwrap_or_default()
    }

    /// Returns the last sequence number.
    pub fn last(&self) -> u64 {
        u64::try_from(self.events.len()).unwrap_or(u64::MAX)
    }
}
