//! Plan: a start or a stop, told and not done.

use std::time::Duration;

use understudy_core::action::step::Step;
use understudy_core::kernel::Kernel;
use understudy_core::verbs::plan;
use understudy_core::verbs::{Health, Level};

use crate::pair;

/// A plan of a start, carried out, is a start; a plan of a stop is a stop.
#[test]
fn a_plan_has_every_operation_and_does_none() {
    let (a, _) = pair();
    let scope = a.scope_with(&[]);
    let carry_out = |steps: Vec<Step>| {
        for step in steps {
            step.apply(&a.kernel, a.budget()).unwrap();
            // For the drain, which is none of the kernel's operations.
            a.kernel.sleep(Duration::from_secs(2));
        }
    };
    let steps = plan::takeover_steps(&a.action(), &scope).unwrap();
    assert_eq!(a.health(Level::Port), Health::NotRunning);
    assert!(!a.owns_all());
    carry_out(steps);
    assert_eq!(a.health(Level::Disk), Health::Running);

    let steps = plan::release_steps(&a.action(), &scope).unwrap();
    assert_eq!(a.health(Level::Disk), Health::Running);
    carry_out(steps);
    assert_eq!(a.leavings(), [""; 0]);
    let rest = plan::release_steps(&a.action(), &scope).unwrap();
    assert_eq!(rest, []);
}
