//! Fibre Channel ports as this node's kernel sees them: physical, virtual and remote.

mod choose;
mod driver;
mod link;
mod physical;
mod remote;
mod states;
mod switch;
mod vport;

pub use choose::{CHOOSE, choose, is_lost, unreadable};
pub use driver::host_driver;
pub use link::{
    PortHost, SOFTWARE, address, bar, frames, host_of, leaves_by, on_network,
    software_link,
};
pub use physical::{PhysicalPort, is_online, physical_ports, speed, wwnn};
pub use remote::{RemotePort, echoes, logged_in_elsewhere, remote_ports};
pub use states::{PortState, Seen, VportState};
pub use switch::{can_come, is_dark};
pub use vport::{VirtualPort, create, delete, log_in, log_out, state, virtual_ports};
