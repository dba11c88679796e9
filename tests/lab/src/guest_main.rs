//! The lab's agent inside a guest, which runs the commands that come over the
//! virtio-serial port.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use understudy_lab::wire::{End, PORT, Report, Request, take_text};

/// How long output is awaited after a command has ended. A process that the command left
/// behind may hold the pipes open forever.
const LINGER: Duration = Duration::from_millis(500);

struct Running {
    group: Pid,
    input: Option<Sender<String>>,
}

#[derive(Clone)]
struct Server {
    port: Arc<Mutex<File>>,
    running: Arc<Mutex<HashMap<u64, Running>>>,
}

fn main() -> io::Result<()> {
    let path = find_port()?;
    let port = OpenOptions::new().read(true).write(true).open(path)?;
    let server =
        Server { port: Arc::new(Mutex::new(port.try_clone()?)), running: Arc::default() };
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    server.report(&Report::Hello { boot: boot.trim().to_owned() });
    let mut lines = BufReader::new(port);
    loop {
        let mut line = Vec::new();
        match lines.read_until(b'\n', &mut line) {
            // Nobody is at the other end, for now.
            Ok(0) => thread::sleep(Duration::from_millis(100)),
            Ok(_) => match serde_json::from_slice(&line) {
                Ok(request) => server.serve(request),
                Err(error) => eprintln!("not a request: {error}"),
            },
            Err(error) => {
                eprintln!("virtio-serial port: {error}");
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

/// Returns the device of the port, found by the port's name. udev's link may not be there
/// yet.
fn find_port() -> io::Result<PathBuf> {
    for entry in fs::read_dir("/sys/class/virtio-ports")? {
        let entry = entry?;
        let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        if name.trim() == PORT {
            return Ok(PathBuf::from("/dev").join(entry.file_name()));
        }
    }
    Err(io::Error::other(format!("no virtio-serial port is named {PORT}")))
}

/// Returns a sender of text for a command's standard input. A thread of its own writes
/// the text, because a command that does not read would hold up all others.
fn feed(mut stdin: ChildStdin) -> Sender<String> {
    let (sender, texts) = channel::<String>();
    thread::spawn(move || {
        for text in texts {
            if stdin.write_all(text.as_bytes()).is_err() {
                return;
            }
        }
    });
    sender
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    fn report(&self, report: &Report) {
        let Ok(mut line) = serde_json::to_vec(report) else { return };
        line.push(b'\n');
        if let Err(error) = lock(&self.port).write_all(&line) {
            eprintln!("virtio-serial port: {error}");
        }
    }

    fn serve(&self, request: Request) {
        match request {
            Request::Run { id, argv, timeout_ms } => self.run(id, &argv, timeout_ms),
            Request::Input { id, text } => {
                if let Some(running) = lock(&self.running).get_mut(&id) {
                    match (text, &running.input) {
                        (Some(text), Some(input)) => drop(input.send(text)),
                        _ => running.input = None,
                    }
                }
            }
            Request::Kill { id, signal } => {
                if let (Some(running), Ok(signal)) =
                    (lock(&self.running).get(&id), Signal::try_from(signal))
                {
                    let _ = killpg(running.group, signal);
                }
            }
        }
    }

    fn run(&self, id: u64, argv: &[String], timeout_ms: Option<u64>) {
        let Some((program, arguments)) = argv.split_first() else { return };
        let spawned = Command::new(program)
            .args(arguments)
            .current_dir("/root")
            .env("HOME", "/root")
            .env("TERM", "xterm-256color")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => {
                let end = End::Failed(format!("{program}: {error}"));
                return self.report(&Report::Ended { id, end });
            }
        };
        let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
        let input = child.stdin.take().map(feed);
        lock(&self.running).insert(id, Running { group, input });
        let server = self.clone();
        let timeout = timeout_ms.map(Duration::from_millis);
        thread::spawn(move || {
            let end = server.follow(id, &mut child, group, timeout);
            lock(&server.running).remove(&id);
            server.report(&Report::Ended { id, end });
        });
    }

    fn follow(
        &self,
        id: u64,
        child: &mut Child,
        group: Pid,
        timeout: Option<Duration>,
    ) -> End {
        let out = child
            .stdout
            .take()
            .map(|from| self.forward(from, move |text| Report::Out { id, text }));
        let err = child
            .stderr
            .take()
            .map(|from| self.forward(from, move |text| Report::Err { id, text }));
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::new(AtomicBool::new(false));
        let watchdog = timeout.map(|timeout| {
            let (over, ended) = (Arc::clone(&over), Arc::clone(&ended));
            let deadline = Instant::now() + timeout;
            thread::spawn(move || {
                while !ended.load(Ordering::SeqCst) {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        over.store(true, Ordering::SeqCst);
                        let _ = killpg(group, Signal::SIGKILL);
                        return;
                    }
                    thread::park_timeout(left);
                }
            })
        });
        let status = child.wait();
        ended.store(true, Ordering::SeqCst);
        if let Some(watchdog) = watchdog {
            watchdog.thread().unpark();
        }
        let deadline = Instant::now() + LINGER;
        for pump in [out, err].into_iter().flatten() {
            while !pump.is_finished() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(2));
            }
        }
        match status {
            _ if over.load(Ordering::SeqCst) => End::Timeout,
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => End::Exit(code),
                (None, signal) => End::Signal(signal.unwrap_or_default()),
            },
            Err(error) => End::Failed(format!("wait: {error}")),
        }
    }

    fn forward(
        &self,
        mut from: impl Read + Send + 'static,
        report: impl Fn(String) -> Report + Send + 'static,
    ) -> JoinHandle<()> {
        let server = self.clone();
        thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            let mut pending = Vec::new();
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                pending.extend(buffer.iter().take(count));
                let text = take_text(&mut pending);
                if !text.is_empty() {
                    server.report(&report(text));
                }
            }
        })
    }
}
