//! busy-moves: twenty moves while other programs want all processors of the machine. A
//! quarter of a second in which nothing is heard says little then: work that waits for a
//! processor makes no noise.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{Seen, World, moves};
use crate::error::Result;

/// Plays the scenario.
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
