//! Fuzz targets for a whole node: every verb runs on what a person has configured, what
//! the database holds and what the kernel shows.

use std::path::Path;
use std::time::Duration;

use understudy_core::action::Action;
use understudy_core::action::budget::Budget;
use understudy_core::kernel::Kernel;
use understudy_core::run_files::registry;
use understudy_core::situation::neighbours::Saved;
use understudy_core::situation::scope::Scope;
use understudy_core::verbs::{
    Health, Level, check_node, health, release, status, takeover,
};

use crate::tree::TreeKernel;

/// A node that serves a group.
const SERVING: &str = include_str!("../fuzz/corpus/sysfs/serving");
const GROUP: &str = include_str!("../fuzz/corpus/environment/group");
const ENTRY: &str = "/run/understudy/ports/20010025b500000a.json";
/// The greatest length of an exit reason, which is a line for people.
const PAGE: usize = 16 << 10;

/// Reads bytes as what Pacemaker hands over: lines of `PARAMETER=VALUE`.
pub fn environment(data: &[u8]) {
    verbs(&TreeKernel::new(SERVING), &String::from_utf8_lossy(data));
}

/// Reads bytes as what sysfs and configfs show, in lines of `PATH=TEXT` and `PATH ->
/// TARGET`.
pub fn sysfs(data: &[u8]) {
    verbs(&TreeKernel::new(&String::from_utf8_lossy(data)), GROUP);
}

/// Reads bytes as an entry of the virtual port database.
pub fn database(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let kernel = TreeKernel::new(SERVING);
    let stored = kernel.store(Path::new(ENTRY), &text);
    let read = registry::entries(&kernel);
    let aside = kernel.text(&Path::new(ENTRY).with_extension("damaged"));
    match read.as_slice() {
        [] => assert!(
            aside.as_deref() == Ok(&*text) && kernel.text(Path::new(ENTRY)).is_err()
        ),
        _ => assert!(aside.is_err() && stored.is_ok()),
    }
    verbs(&kernel, GROUP);
}

/// Reads bytes as what targetcli has saved. Checks that what targetcli may restore of it
/// has nothing of a group.
pub fn saved(data: &[u8]) {
    let read = |text: &str| {
        let line = text.replace('\n', " ");
        Saved::read(&TreeKernel::new(&format!("/etc/target/saveconfig.json={line}")))
    };
    let others = read(&String::from_utf8_lossy(data)).and_then(|s| s.without_groups());
    if let Some(others) = others {
        assert_eq!(read(&others).and_then(|saved| saved.without_groups()), None);
    }
}

/// Does everything that actions do, and checks that each answer is a line that a person
/// can read.
fn verbs(kernel: &TreeKernel, parameters: &str) {
    let param = |wanted: &str| {
        let pairs = parameters.lines().filter_map(|line| line.split_once('='));
        pairs
            .filter(|(name, _)| *name == wanted)
            .map(|(_, value)| value.to_owned())
            .next_back()
    };
    let gather = || Scope::gather(kernel, "group-a", param);
    let budget = || Budget::new(kernel, Duration::from_millis(60));
    let action = || Action::new(kernel, "a", budget());
    for level in [Level::Port, Level::Owner, Level::Disk] {
        if let Health::Failed(faults) = health(&action(), &gather(), level) {
            assert!(!faults.is_empty());
        }
    }
    let answers = [
        check_node(kernel, &gather(), budget()),
        status(&action()).map(drop),
        takeover(&mut action(), &gather()),
        status(&action()).map(drop),
        release(&mut action(), &gather()),
    ];
    if answers.last().is_some_and(Result::is_ok) {
        // A stop that succeeds means that nothing is left.
        let left = health(&action(), &gather(), Level::Port);
        assert_eq!(left, Health::NotRunning);
    }
    for failure in answers.into_iter().filter_map(Result::err) {
        let line = failure.to_string();
        assert!(!line.is_empty() && line.len() < PAGE, "{line}");
    }
}
