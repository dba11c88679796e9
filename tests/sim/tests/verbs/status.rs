//! Status.

use std::time::Duration;

use understudy_core::fc;
use understudy_core::kernel::{Kernel, Op};
use understudy_core::run_files::registry;
use understudy_core::verbs::status;
use understudy_core::verbs::status::{Owner, Service};

use crate::common::{Node, key_of};
use crate::pair;

#[test]
fn status_says_what_is_served_and_what_is_wrong() {
    let (a, _) = pair();
    let look = |node: &Node| status(&node.action()).unwrap();
    assert!(look(&a).is_healthy() && look(&a).groups.is_empty());
    a.start().unwrap();
    a.kernel.sleep(Duration::from_secs(1));
    let now = look(&a);
    assert!(now.is_healthy(), "{now:?}");
    assert_eq!(now.physical_ports[0].port.vports_in_use, 2);
    let group = &now.groups[0];
    assert_eq!((group.ports.len(), group.luns.len()), (2, 3));
    assert_eq!(group.role, registry::Role::Native);
    let online = group.ports.iter().flat_map(|port| &port.sessions);
    assert_eq!(
        online.filter(|session| session.state.is(&fc::PortState::Online)).count(),
        4
    );
    let phases: Vec<_> = group.took.iter().map(|took| took.phase.as_str()).collect();
    assert_eq!(phases, ["look", "own", "export", "login"]);
    assert!(group.luns.iter().all(|lun| lun.owner == Owner::ThisNode));

    let lun = &group.luns[0];
    let backstore = understudy_core::lio::backstore_path(group.wwnn, lun.lun);
    let quiesce = understudy_core::lio::set_alua(&backstore, "15");
    let key = key_of(a.name);
    let disown = Op::Unregister { disk: group.luns[1].node.clone(), key };
    let soon = a.kernel.now() + Duration::from_secs(5);
    a.kernel.run(&[vec![quiesce], vec![disown]], soon);
    let now = look(&a);
    let [quiesced, disowned, sound] = now.groups[0].luns.as_slice() else { panic!() };
    assert_eq!((quiesced.service, quiesced.owner), (Service::Quiesced, Owner::ThisNode));
    assert_eq!((disowned.service, disowned.owner), (Service::Serving, Owner::Nobody));
    assert_eq!((sound.service, sound.owner), (Service::Serving, Owner::ThisNode));
    assert_eq!(now.groups[0].faults.len(), 2, "{now:?}");
    assert!(!now.is_healthy());
}
