//! Processes of the lab that must not outlive it.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

use crate::error::{Error, Result};
use crate::paths;

type Order = (Command, Sender<io::Result<Child>>);

/// A process that is killed when this value is dropped, and by the kernel when the lab
/// dies.
#[derive(Debug)]
pub struct Owned {
    child: Child,
}

/// Starts `command` in a process group of its own. A Ctrl-C is for the lab, not for the
/// command.
///
/// The kernel sends the parent-death signal when the *thread* that forked ends. So one
/// thread that never ends forks all these processes.
///
/// # Errors
/// The program cannot be started.
pub fn spawn(command: Command) -> io::Result<Owned> {
    static SPAWNER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, inbox) = channel::<Order>();
        thread::spawn(move || {
            for (command, answer) in inbox {
                let _ = answer.send(fork(command));
            }
        });
        Mutex::new(orders)
    });
    let (answer, result) = channel();
    spawner
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, answer))
        .map_err(io::Error::other)?;
    let child = result.recv().map_err(io::Error::other)??;
    Ok(Owned { child })
}

/// Starts a program of this workspace, and waits until it prints `ready`, which it does
/// once its sockets listen. What the program logs goes into the file `log`.
///
/// # Errors
/// The program cannot be started, or ends before it is ready.
pub fn ready(mut command: Command, log: &Path) -> Result<Owned> {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let program = program.to_string_lossy().into_owned();
    let failed = |reason| Error::Program { program, reason };
    let err = File::create(log).map_err(Error::io("create", log))?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(err);
    let mut process = match spawn(command) {
        Ok(process) => process,
        Err(error) => return Err(failed(error.to_string())),
    };
    let mut first = String::new();
    if let Some(output) = process.streams().stdout.take() {
        let _ = BufReader::new(output).read_line(&mut first);
    }
    if first.trim() == "ready" {
        return Ok(process);
    }
    Err(failed(format!("not ready:\n{}", paths::tail(log, 10))))
}

fn fork(mut command: Command) -> io::Result<Child> {
    command.process_group(0);
    // SAFETY: the closure runs between fork and exec and makes one system call, prctl,
    // which is async-signal-safe; it allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?));
    }
    command.spawn()
}

impl Owned {
    /// Returns the process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the child, which has the standard streams that were piped.
    pub fn streams(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Returns how the process ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until the process ends, for this time at most. Returns how it ended.
    pub fn wait(&mut self, time: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + time;
        loop {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills the process and waits until it is gone.
    pub fn kill(&mut self) {
        if self.ended().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.kill();
    }
}
