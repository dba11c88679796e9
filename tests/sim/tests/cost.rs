//! What an action costs, in counts: they must not grow. Times are for benchmarks.

mod common;

use common::{Node, Setup, pair};
use understudy_core::kernel::{Kernel, Op};
use understudy_core::verbs::{Health, Level};
use understudy_sim::Deed;

const LUNS: u16 = 256;

/// How much was asked of the kernel.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    /// Files read and directories listed.
    reads: usize,
    /// Operations, and files of ours written or removed.
    deeds: usize,
    /// Operations that wait for an RCU grace period.
    graces: usize,
}

fn cost(node: &Node, act: impl FnOnce(&Node)) -> Cost {
    node.kernel.plan(None);
    act(node);
    let deeds = node.kernel.deeds();
    let graces = deeds.iter().filter(|deed| match deed {
        Deed::Op(Op::Link { at: path, .. } | Op::Unlink(path)) => !is_mapped(path),
        Deed::Op(Op::RemoveDir(path)) => is_backstore(path),
        _ => false,
    });
    Cost { reads: node.kernel.reads(), deeds: deeds.len(), graces: graces.count() }
}

fn is_mapped(path: &std::path::Path) -> bool {
    path.components().any(|part| part.as_os_str() == "acls")
}

fn is_backstore(path: &std::path::Path) -> bool {
    path.strip_prefix("/sys/kernel/config/target/core").is_ok()
}

/// Costs of a start, a monitor and a stop. A start finds and owns each disk, makes its
/// LUN and maps it to two initiators; a stop takes all of that away again. With an account
/// of commands a stop looks at every disk once. No action starts a process but the
/// one worker.
#[test]
fn costs_do_not_grow() {
    let (node, _) = pair(&Setup::new(LUNS, 1));
    let start = cost(&node, |node| node.start().unwrap());
    let monitor =
        cost(&node, |node| assert_eq!(node.health(Level::Port), Health::Running));
    // Until every initiator has found it.
    node.kernel.sleep(std::time::Duration::from_secs(1));
    let stop = cost(&node, |node| node.stop().unwrap());
    // Who else has a disk is read for each, whether requests to it are counted, and of a path
    // whether a map has it.
    // For each disk: register, reserve, read back; make a backstore, enable it and say
    // what it is; a LUN, two mapped LUNs; ask how large it is. In the database: look once
    // more at what other groups have begun since. An account of commands is begun.
    // Twice each disk's name is compared with the disk, by one read, and by two where it is a
    // link: right before it is owned, and when it is open.
    assert_eq!(start, Cost { reads: 2256, deeds: 4368, graces: 256 });
    assert_eq!(monitor, Cost { reads: 791, deeds: 0, graces: 0 });
    assert_eq!(stop, Cost { reads: 2994, deeds: 2576, graces: 513 });
}
