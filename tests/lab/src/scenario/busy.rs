//! busy-moves: twenty moves while other programs take all processors of the machine. A
//! port that is quiet for a quarter of a second proves little then, because a command
//! that waits for a processor sends nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{Seen, World, moves};
use crate::error::Result;

/// Plays busy-moves.
pub fn run(world: &World) -> Result<Seen> {
    let over = AtomicBool::new(false);
    let spin = || {
        while !over.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    };
    thread::scope(|scope| {
        let processors = thread::available_parallelism().map_or(2, usize::from);
        (0..processors).for_each(|_| drop(scope.spawn(spin)));
        let seen = moves::twenty(world);
        over.store(true, Ordering::Relaxed);
        seen
    })
}
