//! The load generator, which runs inside the initiator. It presses on the disks that it
//! is asked to, and checks every block that it writes. It runs as long as the lab does,
//! so it knows after one fault what was written before an earlier one.

mod block;
mod ledger;
mod press;
mod volume;

use std::io::{self, BufRead, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use understudy_lab::load::wire::{Account, Ask, Disk, Pace, Reply, Request};

use block::SIZE;
use ledger::Ledger;
use press::{Orders, Press, Shared};
use volume::{Contents, Hand};

/// How many blocks a probe writes, all at once.
const PROBE: u32 = 8;

struct Generator {
    shared: Arc<Shared>,
    presses: Mutex<Vec<Press>>,
}

fn main() -> io::Result<()> {
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let contents = Contents::new(began.as_nanos() as u64);
    let shared =
        Shared { orders: Orders::default(), ledger: Ledger::default(), contents };
    let generator =
        Arc::new(Generator { shared: Arc::new(shared), presses: Mutex::default() });
    for line in io::stdin().lock().lines() {
        let Request { id, ask } = serde_json::from_str(&line?)?;
        let generator = Arc::clone(&generator);
        // A request that hangs must not hold up the next.
        thread::spawn(move || {
            let answer = generator.answer(ask).map_err(|error| error.to_string());
            let Ok(mut line) = serde_json::to_string(&Reply { id, answer }) else {
                return;
            };
            line.push('\n');
            let _ = io::stdout().lock().write_all(line.as_bytes());
        });
    }
    Ok(())
}

impl Generator {
    fn answer(&self, ask: Ask) -> io::Result<Account> {
        match ask {
            Ask::Press { disks, pace, depth } => self.press(disks, pace, depth)?,
            Ask::Flow { requests } => self.flow(requests),
            Ask::ReadBack { all } => self.read_back(all),
            Ask::Probe { disk, from } => self.probe(&disk, from)?,
            Ask::Account { folder } => return self.shared.ledger.account(&folder),
        }
        Ok(Account::default())
    }

    /// Presses on these disks and on no others.
    fn press(&self, disks: Vec<Disk>, pace: Pace, depth: u32) -> io::Result<()> {
        let shared = &self.shared;
        shared.ledger.order(|_| shared.orders.set_pace(pace));
        let mut presses = self.presses.lock().unwrap_or_else(PoisonError::into_inner);
        let is_wanted =
            |press: &Press| press.depth == depth && disks.contains(&press.disk);
        let (stay, go): (Vec<_>, _) = presses.drain(..).partition(is_wanted);
        *presses = stay;
        go.iter().for_each(|press| press.stop(shared));
        go.into_iter().for_each(Press::end);
        for disk in disks {
            if !presses.iter().any(|press| press.disk == disk) {
                presses.push(Press::begin(shared, disk, depth)?);
            }
        }
        Ok(())
    }

    /// Returns the devices under load, each with its number of workers.
    fn under_load(&self) -> Vec<(String, u32)> {
        let presses = self.presses.lock().unwrap_or_else(PoisonError::into_inner);
        presses.iter().map(|press| (press.disk.device.clone(), press.depth)).collect()
    }

    /// Waits until every disk under load has completed this many more requests.
    fn flow(&self, requests: usize) {
        let disks = self.under_load();
        let ledger = &self.shared.ledger;
        let ended =
            |book: &ledger::Book, name| book.ended.get(name).copied().unwrap_or(0);
        let before: Vec<_> = {
            let book = ledger.book();
            disks.iter().map(|(name, _)| ended(&book, name)).collect()
        };
        ledger.wait(|book| {
            let mut both = disks.iter().zip(&before);
            both.all(|((name, _), before)| ended(book, name) >= before + requests)
        });
    }

    /// Waits until every worker has read back what it owes or, with `all`, all that its
    /// disk holds.
    fn read_back(&self, all: bool) {
        let (disks, shared) = (self.under_load(), &self.shared);
        shared.ledger.order(|book| {
            book.read_back.clear();
            shared.orders.read_back(all);
        });
        shared.ledger.wait(|book| {
            let done = |name: &String| book.read_back.get(name).copied().unwrap_or(0);
            disks.iter().all(|(name, workers)| done(name) >= *workers)
        });
    }

    /// Writes some blocks, the first at mebibyte `from`, and reads them back.
    fn probe(&self, disk: &Disk, from: u64) -> io::Result<()> {
        let first = (from * 1024 * 1024 / SIZE as u64) as u32;
        let shared = &self.shared;
        thread::scope(|scope| {
            let hands = (first..first + PROBE).map(|block| {
                let mut hand = Hand::new(disk, &shared.contents, &shared.ledger)?;
                Ok(scope.spawn(move || {
                    hand.write(block);
                    hand.verify(block);
                }))
            });
            hands.collect::<io::Result<Vec<_>>>().map(drop)
        })
    }
}
