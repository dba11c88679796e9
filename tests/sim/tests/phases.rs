//! The times that an action's phases took.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use understudy_core::action::phases::Phases;
use understudy_core::kernel::Kernel;
use understudy_sim::{San, SimKernel};

#[test]
fn phases_add_up_to_the_whole() {
    let san = Rc::new(RefCell::new(San::new(&["sdb"], &[])));
    let kernel = SimKernel::boot(&san);
    let mut phases = Phases::since(kernel.now());
    for (name, ms) in [("look", 40), ("own", 0), ("export", 160)] {
        kernel.sleep(Duration::from_millis(ms));
        phases.end(&kernel, name);
    }
    assert_eq!(phases.to_string(), "200 ms: look 40, own 0, export 160");
    assert_eq!(phases.total(), Duration::from_millis(200));
    let table = phases.table();
    let rows: Vec<Vec<_>> =
        table.lines().map(|row| row.split_whitespace().collect()).collect();
    assert_eq!(rows[1], ["look", "40", "20.0"]);
    assert_eq!(rows.len(), 4);
}

#[test]
fn no_phase_is_no_time() {
    assert_eq!(Phases::since(Duration::ZERO).to_string(), "0 ms");
}
