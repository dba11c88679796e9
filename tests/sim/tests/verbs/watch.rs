//! The watch over physical ports, and over the groups that a node could serve.

use std::cell::Cell;
use std::time::Duration;

use understudy_core::action::failure::Kind;
use understudy_core::kernel::Kernel;
use understudy_core::run_files::watch;

use crate::pair;

#[test]
fn the_watch_counts_ports_and_remembers_fabrics() {
    let (a, _) = pair();
    let elsewhere = Cell::new(true);
    let counts = |found: watch::Online| found.into_values().collect::<Vec<_>>();
    let look = |resource| {
        let time = Duration::from_secs(10);
        let seen = watch::look(&a.kernel, resource, time, &|_| elsewhere.get()).unwrap();
        seen.map(|seen| (counts(seen.online), counts(seen.steady)))
    };
    let after = |seconds| a.kernel.sleep(Duration::from_secs(seconds));
    assert_eq!(look("fcport"), None);
    assert_eq!(counts(watch::begin(&a.kernel, "fcport").unwrap().steady), [1]);
    let refused = watch::begin(&a.kernel, "another").unwrap_err();
    assert_eq!(refused.kind, Kind::Configuration);
    assert_eq!(look("another"), None);

    // A link that flaps, whenever it is looked at.
    for state in ["Linkdown", "Online", "Linkdown"] {
        a.kernel.set("/sys/class/fc_host/host2/port_state", state);
        assert_eq!(look("fcport").unwrap().1, [1]);
        after(9);
    }
    assert_eq!(look("fcport").unwrap(), (vec![0], vec![1]));
    a.kernel.set("/sys/class/fc_host/host2/fabric_name", "0x0");
    after(1);
    assert_eq!(counts(watch::begin(&a.kernel, "fcport").unwrap().steady), [1]);
    // The fabric is lost to every node, then to all but one: this node may be the next to
    // find it again.
    elsewhere.set(false);
    assert_eq!(look("fcport").unwrap(), (vec![0], vec![1]));
    after(60);
    elsewhere.set(true);
    assert_eq!(look("fcport").unwrap(), (vec![0], vec![1]));
    after(9);
    assert_eq!(look("fcport").unwrap(), (vec![0], vec![1]));
    after(1);
    assert_eq!(look("fcport").unwrap(), (vec![0], vec![0]));
    // Another fabric is news at once.
    a.kernel.set("/sys/class/fc_host/host2/port_state", "Online");
    a.kernel.set("/sys/class/fc_host/host2/fabric_name", "0x1000000000000007");
    assert_eq!(look("fcport").unwrap(), (vec![0, 1], vec![0, 1]));

    assert_eq!(watch::end(&a.kernel, "another").unwrap(), None);
    assert_eq!(watch::end(&a.kernel, "fcport").unwrap().unwrap().fabrics.len(), 2);
    assert_eq!(look("fcport"), None);
}

#[test]
fn a_look_at_the_groups_is_due_once_a_minute() {
    let (a, _) = pair();
    let due = |seconds| {
        a.kernel.sleep(Duration::from_secs(seconds));
        watch::note_look_if_due(&a.kernel, "fcport", Duration::from_secs(60)).unwrap()
    };
    assert!(!due(0), "no watch is kept");
    watch::begin(&a.kernel, "fcport").unwrap();
    assert_eq!(
        [due(0), due(0), due(59), due(1), due(0)],
        [true, false, false, true, false]
    );
}

#[test]
fn a_group_that_could_not_be_served_waits_anew() {
    const YES: Option<bool> = Some(true);
    const NO: Option<bool> = Some(false);
    let (a, _) = pair();
    let steady = |seconds, could: &[(&str, Option<bool>)]| {
        a.kernel.sleep(Duration::from_secs(seconds));
        let could = could.iter().map(|(name, could)| ((*name).to_owned(), *could));
        let found = watch::could_serve_for(&a.kernel, "fcport", could.collect()).unwrap();
        found.into_values().collect::<Vec<_>>()
    };
    assert_eq!(steady(0, &[("one", YES)]), []);
    watch::begin(&a.kernel, "fcport").unwrap();
    assert_eq!(steady(0, &[("one", YES), ("two", NO)]), [Some(0), None]);
    assert_eq!(steady(5, &[("one", YES), ("two", YES)]), [Some(5), Some(0)]);
    assert_eq!(steady(5, &[("one", NO), ("two", YES)]), [None, Some(5)]);
    // Looking at the ports or starting the agent again forgets nothing.
    watch::look(&a.kernel, "fcport", Duration::ZERO, &|_| true).unwrap();
    watch::begin(&a.kernel, "fcport").unwrap();
    assert_eq!(steady(5, &[("one", YES), ("two", YES)]), [Some(0), Some(10)]);
    assert_eq!(steady(5, &[("two", YES)]), [Some(15)]);
    // While an action is under way nobody can tell.
    assert_eq!(steady(5, &[("two", None)]), [Some(20)]);
    assert_eq!(steady(5, &[("two", NO)]), [None]);
    assert_eq!(steady(5, &[("two", None), ("new", None)]), [Some(0), None]);
    assert_eq!(steady(5, &[("two", YES)]), [Some(0)]);
    let told = watch::end(&a.kernel, "fcport").unwrap().unwrap();
    assert_eq!(told.groups.into_iter().collect::<Vec<_>>(), ["two"]);
}
