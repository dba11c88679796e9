//! What a command takes: time, processor time, processes and memory. All that the command
//! starts counts too, even what lives longer than the command.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::sys::wait::wait;
use understudy_lab::bench::Sample;

const TRACING: &str = "/sys/kernel/tracing";
/// A filter for the kernel's trace: new tasks that are processes and not threads
/// (`CLONE_THREAD`).
const PROCESSES: &str = "!(clone_flags & 0x10000)";

/// Runs a command that must succeed, and prints what it took.
pub fn measure(command: &[&str]) -> Result<(), String> {
    let [program, arguments @ ..] = command else { return Err("which command?".into()) };
    // What the command leaves behind becomes a child of this process.
    set_child_subreaper(true).map_err(|e| format!("become a subreaper: {e}"))?;
    count_processes()?;
    let begun = Instant::now();
    // The command's own output is not part of the measurement.
    let mut child = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .spawn()
        .map_err(|e| format!("{program}: {e}"))?;
    let status = child.wait().map_err(|e| format!("{program}: {e}"))?;
    let ms = begun.elapsed().as_secs_f64() * 1000.0;
    while wait() != Err(Errno::ECHILD) {}
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|e| e.to_string())?;
    if !status.success() {
        return Err(format!("{program}: {status}"));
    }
    let cpu = usage.user_time() + usage.system_time();
    let trace = read("trace")?;
    let sample = Sample {
        ms,
        cpu_ms: cpu.num_microseconds() as f64 / 1000.0,
        processes: trace.lines().filter(|line| !line.starts_with('#')).count(),
        peak_kib: usage.max_rss(),
    };
    println!("{}", serde_json::to_string(&sample).map_err(|e| e.to_string())?);
    Ok(())
}

/// Makes the kernel note each process that this one, or one of its descendants, starts.
fn count_processes() -> Result<(), String> {
    if !Path::new(TRACING).join("trace").exists() {
        let flags = MsFlags::empty();
        mount(Some("tracefs"), TRACING, Some("tracefs"), flags, None::<&str>)
            .map_err(|e| format!("mount {TRACING}: {e}"))?;
    }
    write("events/task/task_newtask/enable", "0")?;
    write("trace", "")?;
    write("options/event-fork", "1")?;
    write("set_event_pid", &std::process::id().to_string())?;
    write("events/task/task_newtask/filter", PROCESSES)?;
    write("events/task/task_newtask/enable", "1")
}

fn write(file: &str, text: &str) -> Result<(), String> {
    let path = Path::new(TRACING).join(file);
    fs::write(&path, text).map_err(|e| format!("write {}: {e}", path.display()))
}

fn read(file: &str) -> Result<String, String> {
    let path = Path::new(TRACING).join(file);
    fs::read_to_string(&path).map_err(|e| format!("read {}: {e}", path.display()))
}
