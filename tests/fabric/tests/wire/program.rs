//! The program under test, in a directory of its own.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use understudy_fabric::client::{Client, Watch};
use understudy_fabric::control::{Event, What};
use understudy_fabric::wwn::Wwn;

use crate::node::Node;

/// How long a test waits for anything. Only what is broken takes longer, however busy the
/// machine is.
pub const LIMIT: Duration = Duration::from_secs(30);

/// A running fabric with links `a`, `b` and `c`.
pub struct Program {
    pub child: Child,
    pub dir: TempDir,
}

impl Program {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts the program and waits until it prints `ready`. Its standard input stays
    /// open as long as this value lives.
    pub fn with(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_understudy-fabric"));
        command.arg("--control").arg(path("control")).arg("--events").arg(path("events"));
        for link in ["a", "b", "c"] {
            command.arg("--link").arg(format!("{link}={}", path(link).display()));
        }
        command.args(options).arg("--until-stdin-closes").current_dir(dir.path());
        let errors = std::fs::File::create(path("errors")).unwrap();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self { child, dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn client(&self) -> Client {
        Client::connect(self.path("control")).unwrap()
    }

    /// Plugs a node into a link.
    pub fn node(&self, link: &str) -> Node {
        Node::connect(&self.path(link))
    }

    /// Returns every event from the first on, and those to come.
    pub fn watch(&self) -> Watch {
        let watch = self.client().watch(Some(0)).unwrap();
        watch.set_timeout(LIMIT).unwrap();
        watch
    }

    /// Waits for the first event of a kind, and returns it.
    pub fn event(&self, what: What) -> Event {
        self.watch().map(Result::unwrap).find(|event| event.event == what).unwrap()
    }

    /// Returns the events that are in the log's file.
    pub fn log(&self) -> Vec<Event> {
        let text = std::fs::read_to_string(self.path("events")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Returns what happened to one port, in order.
    pub fn history(&self, wwpn: Wwn) -> Vec<What> {
        let of_port = |event: &Event| event.wwpn == Some(wwpn);
        self.log().into_iter().filter(of_port).map(|event| event.event).collect()
    }

    /// Waits until the program ends. Returns its exit code.
    pub fn exit_code(&mut self) -> Option<i32> {
        let mut status = None;
        until("the program ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }
}

/// Waits until `condition` is true, for things that no event announces.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "never: {what}");
        std::thread::yield_now();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already, as its test asked.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let errors = std::fs::read_to_string(self.path("errors")).unwrap_or_default();
        if std::thread::panicking() && !errors.is_empty() {
            eprintln!("standard error of the program:\n{errors}");
        }
    }
}
