//! Release: what a stop takes down, and from what it knows it.

use std::path::Path;
use std::time::Duration;

use understudy_core::kernel::{Kernel, Op};
use understudy_core::verbs::{Health, Level, health};
use understudy_sim::{Deed, Fault};

use crate::common::{Node, Setup};
use crate::pair;

#[test]
fn keys_are_given_up_by_who_owns_no_disks_by_now() {
    let (a, _) = pair();
    a.start().unwrap();
    a.stop_with(&[("ownership", "none")]).unwrap();
    assert_eq!(a.leavings(), [""; 0]);
}

/// An unregistration that hangs fails the stop, done or not: carried out late it would
/// end a later ownership. It takes all the time there is, so no disk can be asked
/// afterwards.
#[test]
fn a_stop_whose_unregistration_hangs_fails() {
    let is_unregister = |deed: &Deed| matches!(deed, Deed::Op(Op::Unregister { .. }));
    let served = || crate::common::served(&Setup::new(1, 1));
    let a = served();
    a.stop().unwrap();
    let at = a.kernel.deeds().iter().position(is_unregister).unwrap();
    for fault in [Fault::Hangs, Fault::HangsDone] {
        let a = served();
        a.kernel.plan(Some((at, fault)));
        a.stop().unwrap_err();
    }
}

/// A stop gives up soon on such a port: initiators wait for the fence that follows.
#[test]
fn a_wedged_port_without_a_link_is_given_up_soon() {
    for (state, least, most) in [("Linkdown", 4, 6), ("Active", 18, 21)] {
        let served = || {
            let (a, _) = crate::common::pair(&Setup::new(2, 1));
            a.start().unwrap();
            a.kernel.sleep(Duration::from_secs(1));
            let ports = a.kernel.below("/sys/class/fc_vports");
            let file = ports.iter().find(|path| path.ends_with("vport_state")).unwrap();
            a.kernel.set(file.to_str().unwrap(), state);
            // Without an account a stop asks for echoes.
            a.flush(&a.setup.ports[0]);
            a.kernel.plan(None);
            a
        };
        let a = served();
        a.stop().unwrap();
        let is_logout = |deed: &Deed| matches!(deed, Deed::Op(Op::Write { path, .. }) if path.ends_with("vport_delete"));
        let logout = a.kernel.deeds().iter().position(is_logout).unwrap();
        // Where there is no link, nobody is asked for an echo.
        let is_echo = |deed: &Deed| matches!(deed, Deed::Op(Op::Echo(_)));
        assert_eq!(a.kernel.deeds().iter().any(is_echo), state == "Active");

        let a = served();
        a.kernel.plan(Some((logout, Fault::Hangs)));
        let begun = a.kernel.now();
        let failure = a.stop().unwrap_err().to_string();
        let took = (a.kernel.now() - begun).as_secs();
        assert!((least..=most).contains(&took), "{state}: {took} s");
        let said = failure.contains("had lost its link");
        assert_eq!(said, state == "Linkdown", "{failure}");
    }
}

#[test]
fn a_broken_configuration_hides_no_port() {
    let (a, _) = pair();
    let broken = [("wwnn", "nonsense"), ("ports", ""), ("disks", "?")];
    let look = |node: &Node| {
        let scope = node.scope_with(&broken);
        health(&node.action(), &scope, Level::Port)
    };
    assert_eq!(look(&a), Health::NotRunning);
    a.stop_with(&broken).unwrap();
    a.start().unwrap();
    assert!(matches!(look(&a), Health::Failed(_)));
    a.stop_with(&broken).unwrap();
    assert_eq!(a.leavings(), [""; 0]);
}

#[test]
fn a_damaged_database_entry_is_set_aside() {
    let (a, _) = pair();
    a.start().unwrap();
    a.kernel.set("/run/understudy/ports/20010025b500000a.json", "{ half");
    a.stop().unwrap();
    assert_eq!(a.health(Level::Port), Health::NotRunning);
    assert!(a.kernel.exists(Path::new("/run/understudy/ports/20010025b500000a.damaged")));
}
