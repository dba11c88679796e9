//! A guest: its power, and commands in it.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::channel::{self, Channel, Event};
use crate::error::{Error, Result};
use crate::qemu::{Machine, Running};
use crate::qmp::Qmp;
use crate::speed;
use crate::wire::End;

/// How many lines of a command's output go into the error, if it fails.
const TAIL: usize = 12;

/// A guest. Cheap to clone: all clones are the same guest.
#[derive(Debug, Clone)]
pub struct Guest {
    machine: Arc<Machine>,
    power: Arc<Mutex<Power>>,
    channel: Channel,
}

#[derive(Debug, Default)]
struct Power {
    boots: u32,
    running: Option<(Running, Qmp)>,
}

/// The output of a command that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How the command ended.
    pub end: End,
    /// The command's standard output.
    pub stdout: String,
    /// The command's standard error.
    pub stderr: String,
}

impl Guest {
    /// Returns a guest that is off.
    #[must_use]
    pub fn new(machine: Machine) -> Self {
        Self {
            machine: Arc::new(machine),
            power: Arc::default(),
            channel: Channel::default(),
        }
    }

    /// Returns the guest's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.machine.spec.name
    }

    /// Returns what the guest was made of.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Returns whether the guest has power.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.power().running.as_mut().is_some_and(|(its, _)| its.qemu.ended().is_none())
    }

    /// Returns how often the guest has been powered on. The log of its console has this
    /// number in its name.
    #[must_use]
    pub fn boots(&self) -> u32 {
        self.power().boots
    }

    /// Powers the guest on, which boots it. Does nothing if the guest has power.
    ///
    /// # Errors
    /// QEMU cannot be started.
    pub fn power_on(&self) -> Result<()> {
        let mut power = self.power();
        if let Some((its, _)) = &mut power.running {
            if its.qemu.ended().is_none() {
                return Ok(());
            }
        }
        self.channel.detach();
        power.running = None;
        power.boots += 1;
        let mut running = self.machine.start(power.boots)?;
        let connected = Qmp::connect(&self.machine.qmp())
            .and_then(|qmp| self.channel.attach(&self.machine.channel()).map(|()| qmp));
        match connected {
            Ok(qmp) => power.running = Some((running, qmp)),
            Err(error) => {
                let log = format!("{}.{}.qemu", self.name(), power.boots);
                let log = self.machine.folders.log(&log);
                let reason = match running.qemu.ended() {
                    Some(status) => {
                        format!("{status}: {}", crate::paths::tail(&log, TAIL))
                    }
                    None => error.to_string(),
                };
                let program = format!("{}: qemu-system-x86_64", self.name());
                return Err(Error::Program { program, reason });
            }
        }
        Ok(())
    }

    /// Cuts the guest's power. What was in its memory is lost, and its links go down.
    pub fn power_off(&self) {
        let mut power = self.power();
        self.channel.detach();
        if let Some((mut running, mut qmp)) = power.running.take() {
            let _ = qmp.execute("quit", json!({}));
            if running.qemu.wait(Duration::from_secs(5)).is_none() {
                running.qemu.kill();
            }
        }
    }

    /// Lowers the priority of the guest's processors to what its plan says.
    pub fn make_nice(&self) {
        let nice = self.machine.spec.nice;
        if let Some((its, _)) = self.power().running.as_ref().filter(|_| nice != 0) {
            let group = its.qemu.id().to_string();
            let done = Command::new("renice")
                .args(["-n", &nice.to_string(), "-g", &group])
                .stdout(Stdio::null())
                .status();
            if !done.is_ok_and(|status| status.success()) {
                log::warn!("{}: renice failed", self.name());
            }
        }
    }

    /// Plugs or pulls the cable of one of the guest's network interfaces.
    ///
    /// # Errors
    /// The guest has no power, or no such interface.
    pub fn set_link(&self, interface: &str, up: bool) -> Result<()> {
        self.qmp("set_link", json!({ "name": format!("nic-{interface}"), "up": up }))
    }

    /// Sends a command to the guest's QEMU.
    ///
    /// # Errors
    /// The guest has no power, or QEMU refuses.
    pub fn qmp(&self, command: &str, arguments: serde_json::Value) -> Result<()> {
        match &mut self.power().running {
            Some((_, qmp)) => qmp.execute(command, arguments).map(drop),
            None => Err(Error::other(format!("{}: has no power", self.name()))),
        }
    }

    /// Waits until the guest takes commands. Returns which boot this is.
    ///
    /// # Errors
    /// The guest does not take commands in that time.
    pub fn wait_up(&self, time: Duration) -> Result<String> {
        self.channel.wait_up(self.name(), speed::stretch(time))
    }

    /// Returns the boot that takes commands now, if one does.
    #[must_use]
    pub fn boot(&self) -> Option<String> {
        self.channel.boot()
    }

    /// Starts a shell script. Its output can be read while it runs.
    #[must_use]
    pub fn spawn(&self, script: &str, timeout: Option<Duration>) -> channel::Running {
        self.spawn_argv(shell(script), timeout)
    }

    /// Starts a program.
    #[must_use]
    pub fn spawn_argv(
        &self,
        argv: Vec<String>,
        timeout: Option<Duration>,
    ) -> channel::Running {
        self.channel.spawn(argv, timeout)
    }

    /// Runs a shell script to its end, whether it succeeds or not. The time is for a
    /// machine of speed 1.
    #[must_use]
    pub fn try_run(&self, script: &str, timeout: Duration) -> Output {
        let timeout = speed::stretch(timeout);
        let running = self.spawn(script, Some(timeout));
        // The guest keeps the time; this is for a guest that no longer answers.
        let deadline = Instant::now() + timeout + Duration::from_secs(15);
        let (mut stdout, mut stderr) = (String::new(), String::new());
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match running.next(left) {
                Some(Event::Out(text)) => stdout.push_str(&text),
                Some(Event::Err(text)) => stderr.push_str(&text),
                Some(Event::Ended(end)) => return Output { end, stdout, stderr },
                None if left.is_zero() => {
                    return Output { end: End::Lost, stdout, stderr };
                }
                None => {}
            }
        }
    }

    /// Runs a shell script that must succeed. Returns its standard output.
    ///
    /// # Errors
    /// The script does not succeed. The error has the last of what it printed.
    pub fn run(&self, script: &str, timeout: Duration) -> Result<String> {
        let output = self.try_run(script, timeout);
        if output.end == End::Exit(0) {
            return Ok(output.stdout);
        }
        Err(Error::Command {
            guest: self.name().to_owned(),
            script: script.lines().next().unwrap_or_default().to_owned(),
            reason: output.explain(),
        })
    }

    /// Runs a shell script that must succeed and print nothing: it prints only what is
    /// wrong.
    ///
    /// # Errors
    /// The script prints something, or fails.
    pub fn must_be_silent(&self, script: &str, timeout: Duration) -> Result<()> {
        let left = self.run(script, timeout)?;
        if left.trim().is_empty() {
            return Ok(());
        }
        Err(Error::other(format!("{}: left behind: {left}", self.name())))
    }

    fn power(&self) -> MutexGuard<'_, Power> {
        self.power.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shell(script: &str) -> Vec<String> {
    ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
}

impl Output {
    /// Returns the exit code, if the command ended with one.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        match self.end {
            End::Exit(code) => Some(code),
            _ => None,
        }
    }

    /// Returns how the command ended, and the last of what it printed.
    #[must_use]
    pub fn explain(&self) -> String {
        let end = match &self.end {
            End::Exit(code) => format!("exit code {code}"),
            End::Signal(signal) => format!("signal {signal}"),
            End::Timeout => "not done in its time".to_owned(),
            End::Failed(why) => why.clone(),
            End::Lost => "the guest is gone".to_owned(),
        };
        let said = format!("{}{}", self.stdout, self.stderr);
        let lines: Vec<&str> = said.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default();
        if tail.is_empty() { end } else { format!("{end}\n{}", tail.join("\n")) }
    }
}
