//! `supervise`: the process behind `up`, which owns the lab. Once the lab is ready, it
//! prints "ready" to standard output. If its standard input closes before that, the lab
//! ends.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::signal::Signal;
use nix::unistd::{dup2_stderr, dup2_stdout, getpid, setsid};
use understudy_lab::lab::Lab;
use understudy_lab::{Error, Result, supervise};

pub fn run() -> Result<ExitCode> {
    // This fails if the process already leads a session, which is just as good.
    let _ = setsid();
    let ready = Arc::new(AtomicBool::new(false));
    let watched = Arc::clone(&ready);
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        if !watched.load(Ordering::SeqCst) {
            let _ = nix::sys::signal::kill(getpid(), Signal::SIGTERM);
        }
    });
    let lab = Lab::start()?;
    if let Err(error) = lab.wait_ready() {
        eprintln!("logs: {}", lab.folders().logs.display());
        return Err(error);
    }
    ready.store(true, Ordering::SeqCst);
    let mut out = std::io::stdout();
    writeln!(out, "ready")
        .and_then(|()| out.flush())
        .map_err(Error::io("say", "ready"))?;
    let log = lab.folders().log("lab");
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log)
        .map_err(Error::io("create", &log))?;
    dup2_stdout(&file)
        .and_then(|()| dup2_stderr(&file))
        .map_err(|error| Error::other(format!("{}: {error}", log.display())))?;
    supervise::serve(Arc::new(lab))?;
    Ok(ExitCode::SUCCESS)
}
