//! The verbs on the simulated kernel: what they do and what they refuse.

mod check;
#[path = "../common/mod.rs"]
mod common;
mod fabrics;
mod health;
mod node;
mod plan;
mod release;
mod reload;
mod status;
mod takeover;
mod watch;

use common::{Node, Setup};
use understudy_sim::SimKernel;

fn pair() -> (Node, Node) {
    common::pair(&Setup::new(3, 2))
}

/// Sets the state of the first virtual port, and of the physical port below it.
fn set_link(kernel: &SimKernel, state: &str, physical: &str) {
    let mut ports = kernel.below("/sys/class/fc_vports").into_iter();
    if let Some(file) = ports.find(|path| path.ends_with("vport_state")) {
        kernel.set(&file.to_string_lossy(), state);
    }
    kernel.set("/sys/class/fc_host/host2/port_state", physical);
}
