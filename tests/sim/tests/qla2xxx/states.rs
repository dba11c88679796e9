//! The states of a group's virtual port, as they were seen on the real driver: qla2xxx of
//! 6.12.117 with the emulated HBA, one deed after the other on one node, no command in
//! flight. Each deed has the state two seconds after it.

use std::time::Duration;

use understudy_core::kernel::Kernel;
use understudy_core::verbs::keep_out;

use crate::common::Node;
use crate::{setup, state, wwpn};

/// Something that is done to a node.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Start,
    Stop,
    /// A monitor of `fcport`.
    Watch,
    /// A reset of the chip.
    Reset,
    /// The light at the HBA goes.
    Dark,
    /// The light comes back.
    Lit,
    /// The fabric refuses the port's next login.
    Refuse,
}

/// What was done, and what was seen then.
const SEEN: [(Deed, &str); 25] = [
    (Deed::Start, "Active"),
    (Deed::Stop, "Disabled"),
    // This start took more than five seconds: it asked the fabric a second time.
    (Deed::Refuse, "Disabled"),
    (Deed::Start, "Active"),
    (Deed::Stop, "Disabled"),
    (Deed::Start, "Active"),
    (Deed::Reset, "Active"),
    (Deed::Stop, "Disabled"),
    // A reset lets in a port that was told to stay out.
    (Deed::Reset, "Active"),
    (Deed::Watch, "Disabled"),
    (Deed::Start, "Active"),
    (Deed::Dark, "VPort Failed"),
    (Deed::Lit, "Active"),
    (Deed::Stop, "Disabled"),
    // What a port that is out shows of the light stays when the light is back.
    (Deed::Dark, "VPort Failed"),
    (Deed::Lit, "VPort Failed"),
    (Deed::Start, "Active"),
    (Deed::Stop, "Disabled"),
    // A login that the fabric refused looks as if it went on.
    (Deed::Refuse, "Disabled"),
    (Deed::Reset, "Initializing"),
    (Deed::Watch, "Disabled"),
    (Deed::Start, "Active"),
    (Deed::Stop, "Disabled"),
    (Deed::Reset, "Active"),
    (Deed::Start, "Active"),
];

/// Does it to a simulated node.
fn play(node: &Node, deed: Deed) {
    match deed {
        Deed::Start => node.start().unwrap(),
        Deed::Stop => node.stop().unwrap(),
        Deed::Watch => drop(keep_out(&node.kernel, node.budget()).unwrap()),
        Deed::Reset => node.san.borrow_mut().reset_chip(0),
        Deed::Dark => node.san.borrow_mut().light_goes(0),
        Deed::Lit => node.san.borrow_mut().light_comes(0),
        // The login that comes next is within these seconds, and the one after it is not.
        Deed::Refuse => {
            node.san.borrow_mut().deny(wwpn(&node.setup), Duration::from_secs(4));
        }
    }
    node.kernel.sleep(Duration::from_secs(2));
}

#[test]
fn a_port_shows_the_states_that_the_real_driver_showed() {
    let setup = setup();
    let node = Node::new("a", &setup.san(), &setup);
    for (number, (deed, seen)) in SEEN.into_iter().enumerate() {
        play(&node, deed);
        assert_eq!(state(&node).trim_end(), seen, "{number}: {deed:?}");
    }
}
