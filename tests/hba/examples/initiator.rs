//! An initiator for an emulated HBA, by hand: `initiator FABRIC-SOCKET WWPN TARGET [STEP...]`
//!
//! Steps are done in order:
//!
//! - `login`, `logout`: logs in to the target, and out.
//! - `inquiry`, `capacity`: asks LUN 0.
//! - `io=N`: writes and reads 64 KiB, N times, and compares.
//! - `deep=N`: a thousand writes, N at a time.
//! - `hold`: begins a write, and keeps its data back.
//! - `abort`: begins a write, keeps its data back, and aborts it.
//! - `lunreset`: resets LUN 0.
//! - `wait=SECONDS`: lets time pass.

use std::error::Error;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use understudy_fabric::link::{Inbox, Outbox};
use understudy_fabric::wwn::Wwn;
use understudy_hba::initiator::{Initiator, Outcome, Session};
use understudy_hba::wire::{ExchangeId, Names};

type Done = Result<(), Box<dyn Error>>;

struct Port {
    initiator: Initiator,
    stream: UnixStream,
    inbox: Inbox,
    outbox: Outbox,
    started: Instant,
}

impl Port {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Sends and receives until `done` says so, for a minute at most.
    fn until(&mut self, mut done: impl FnMut(&mut Initiator) -> bool) -> Done {
        let limit = self.now() + Duration::from_secs(60);
        loop {
            let now = self.now();
            self.initiator.tick(now);
            if done(&mut self.initiator) {
                return Ok(());
            }
            if now > limit {
                return Err("nothing for a minute".into());
            }
            for frame in self.initiator.take_frames() {
                self.outbox.push(&frame);
            }
            self.outbox.flush(&mut self.stream)?;
            let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::from(20_u8))?;
            match self.inbox.fill(&mut self.stream) {
                Ok(0) => return Err("the fabric has gone".into()),
                Ok(_) => {
                    while let Some(frame) = self.inbox.next_frame()? {
                        let now = self.started.elapsed();
                        self.initiator.receive(frame, now);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn outcome(&mut self, exchange: ExchangeId) -> Result<Outcome, Box<dyn Error>> {
        let mut outcome = None;
        self.until(|initiator| {
            outcome = initiator.take_outcome(exchange);
            outcome.is_some()
        })?;
        outcome.ok_or_else(|| "no outcome".into())
    }

    fn command(
        &mut self,
        cdb: &[u8],
        read: u32,
        write: &[u8],
    ) -> Result<Vec<u8>, Box<dyn Error>> {
        for _ in 0..5 {
            let exchange = self.initiator.send(0, cdb, read, write)?;
            match self.outcome(exchange)? {
                Outcome::Response(response, data) if response.status == 0 => {
                    return Ok(data);
                }
                other => println!("  {other:02x?}"),
            }
        }
        Err("five times no good status".into())
    }

    fn step(&mut self, step: &str, target: Wwn) -> Done {
        let (name, number) = step.split_once('=').unwrap_or((step, "1"));
        let number: u32 = number.parse()?;
        match name {
            "login" => {
                self.initiator.log_in(target);
                self.until(|initiator| initiator.session() != Session::Pending)?;
                println!("  {:?}", self.initiator.session());
            }
            "inquiry" => {
                let data = self.command(&[0x12, 0, 0, 0, 96, 0], 96, &[])?;
                println!("  {}", String::from_utf8_lossy(data.get(8..36).unwrap_or(&[])));
            }
            "capacity" => {
                let data = self.command(&[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], 8, &[])?;
                println!("  {data:02x?}");
            }
            "io" => self.write_and_read(number)?,
            "deep" => self.write_deep(number)?,
            "hold" | "abort" => {
                self.initiator.hold_data(true);
                let exchange = self.initiator.send(0, &write_10(0), 0, &[7; 65536])?;
                self.until(|initiator| initiator.held() > 0)?;
                println!("  asked for data");
                if name == "abort" {
                    self.initiator.abort(exchange)?;
                    println!("  {:?}", self.outcome(exchange)?);
                    self.initiator.hold_data(false);
                }
            }
            "lunreset" => {
                let exchange = self.initiator.manage(0, 0x10)?;
                println!("  {:02x?}", self.outcome(exchange)?);
            }
            "logout" => {
                self.initiator.log_out();
                self.until(|initiator| initiator.session() == Session::None)?;
            }
            "wait" => {
                let end = Instant::now() + Duration::from_secs(u64::from(number));
                self.until(|_| Instant::now() > end)?;
                println!("  {:?}", self.initiator.session());
            }
            _ => return Err(format!("no step {step}").into()),
        }
        Ok(())
    }

    fn write_and_read(&mut self, rounds: u32) -> Done {
        let start = Instant::now();
        for round in 0..rounds {
            let block = round % 200 * 128;
            // No two words are equal, so that data at a wrong place is found.
            let words = (0..16384_u32).map(|word| (round << 16 | word).to_le_bytes());
            let bytes: Vec<u8> = words.flatten().collect();
            self.command(&write_10(block), 0, &bytes)?;
            let mut cdb = write_10(block);
            cdb[0] = 0x28;
            let back = self.command(&cdb, 65536, &[])?;
            if back != bytes {
                return Err(format!("round {round}: other bytes came back").into());
            }
        }
        println!("  {rounds} rounds in {:?}", start.elapsed());
        Ok(())
    }

    fn write_deep(&mut self, depth: u32) -> Done {
        let (mut sent, mut open, mut bad) = (0, Vec::new(), 0);
        let start = Instant::now();
        while sent < 1000 || !open.is_empty() {
            while sent < 1000 && open.len() < usize::try_from(depth)? {
                let block = sent % 2000 * 8;
                let mut cdb = write_10(block);
                cdb[8] = 8;
                let byte = [sent.to_le_bytes()[0]; 4096];
                open.push(self.initiator.send(0, &cdb, 0, &byte)?);
                sent += 1;
            }
            self.until(|initiator| {
                let before = open.len();
                open.retain(|exchange| match initiator.take_outcome(*exchange) {
                    None => true,
                    Some(Outcome::Response(response, _)) if response.status == 0 => false,
                    Some(other) => {
                        println!("  {other:02x?}");
                        bad += 1;
                        false
                    }
                });
                open.len() < before
            })?;
        }
        println!("  1000 writes, {depth} at a time, {bad} bad, in {:?}", start.elapsed());
        Ok(())
    }
}

/// A WRITE(10) of 128 blocks.
fn write_10(block: u32) -> [u8; 10] {
    let [a, b, c, d] = block.to_be_bytes();
    [0x2a, 0, a, b, c, d, 0, 0, 128, 0]
}

fn main() -> Done {
    env_logger::Builder::from_default_env().init();
    let mut args = std::env::args().skip(1);
    let mut next = |what: &str| args.next().ok_or_else(|| format!("{what} is missing"));
    let stream = UnixStream::connect(next("the fabric's socket")?)?;
    stream.set_nonblocking(true)?;
    let wwpn: Wwn = next("the WWPN")?.parse()?;
    let target: Wwn = next("the target's WWPN")?.parse()?;
    let initiator = Initiator::new(Names { wwpn, wwnn: Wwn(wwpn.0 ^ 1 << 60) });
    let mut port = Port {
        initiator,
        stream,
        inbox: Inbox::default(),
        outbox: Outbox::default(),
        started: Instant::now(),
    };
    port.initiator.plug(port.started.elapsed());
    port.until(|initiator| initiator.is_online())?;
    for step in args {
        println!("{step}");
        port.step(&step, target)?;
    }
    Ok(())
}
