//! Health: what a monitor says.

use std::time::Duration;

use understudy_core::kernel::{Kernel, Op};
use understudy_core::verbs::{Health, Level, health};
use understudy_sim::SimKernel;

use crate::common::key_of;
use crate::{pair, set_link};

#[test]
fn a_node_that_lost_its_disks_says_so() {
    let (a, b) = pair();
    a.start().unwrap();
    let disk = "/dev/sdb".into();
    let (key, other) = (key_of("b"), key_of("a"));
    let register = Op::Register { disk, key };
    let preempt = Op::PreemptAndAbort { disk: "/dev/sdb".into(), key, other };
    let until = b.budget().end;
    assert_eq!(b.kernel.run(&[vec![register, preempt]], until)[0].failed, None);
    let Health::Failed(faults) = a.health(Level::Owner) else { panic!("it is well") };
    assert!(faults[0].starts_with("LUN 1") && faults.len() == 1, "{faults:?}");
}

/// A failed stop leaves every LUN in transition, so the first LUN shows it at level 0. A
/// single LUN in transition shows at level 10.
#[test]
fn a_lun_that_turns_commands_away_is_not_healthy() {
    for (lun, cheap, deep) in [(0, false, false), (1, true, false)] {
        let (a, _) = pair();
        a.start().unwrap();
        a.kernel.sleep(Duration::from_secs(1));
        let wwnn = a.setup.wwnn.parse().unwrap();
        let backstore = understudy_core::lio::backstore_path(wwnn, a.setup.disks[lun].0);
        let quiesce = vec![understudy_core::lio::set_alua(&backstore, "15")];
        a.kernel.run(&[quiesce], a.kernel.now() + Duration::from_secs(5));
        assert_eq!(a.health(Level::Port) == Health::Running, cheap, "LUN {lun}");
        assert_eq!(a.health(Level::Owner) == Health::Running, deep, "LUN {lun}");
    }
}

#[test]
fn a_lost_link_is_what_the_configuration_says() {
    let (a, _) = pair();
    a.start().unwrap();
    set_link(&a.kernel, "Linkdown", "Linkdown");
    let look = |link_loss| {
        let scope = a.scope_with(&[("link_loss", link_loss)]);
        let begun = a.kernel.now();
        let health = health(&a.action(), &scope, Level::Port);
        (health, (a.kernel.now() - begun).as_secs())
    };
    let (degraded, took) = look("degraded");
    assert!(matches!(degraded, Health::Degraded(lost) if lost.len() == 1));
    assert_eq!(took, 0);
    let (failed, took) = look("fail");
    assert!(matches!(failed, Health::Failed(faults) if faults.len() == 1));
    assert!((4..=6).contains(&took), "{took} s");
    // A port that has its link and is not logged in has not failed for want of a link.
    set_link(&a.kernel, "Disabled", "Online");
    assert!(matches!(look("degraded").0, Health::Failed(_)));
}

#[test]
fn a_flap_of_the_link_is_no_failure() {
    let (a, _) = pair();
    a.start().unwrap();
    set_link(&a.kernel, "Linkdown", "Linkdown");
    let back = a.kernel.now() + Duration::from_secs(1);
    let pause = |time: Duration| {
        let to = a.kernel.now() + time;
        a.san.borrow_mut().advance(to);
        if to >= back {
            set_link(&a.kernel, "Active", "Online");
        }
    };
    let kernel = SimKernel::enter(&a.san, 0).paused_by(&pause);
    let scope = a.scope_with(&[]);
    let seen = health(&a.action_on(&kernel), &scope, Level::Port);
    assert_eq!(seen, Health::Running);
    assert!(a.kernel.now() >= back);
}
