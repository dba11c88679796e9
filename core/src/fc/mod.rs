//! Fibre Channel ports as this node's kernel sees them: physical, virtual and remote.

mod choose;
mod driver;
mod link;
mod physical;
mod remote;
mod states;
mod switch;
mod vport;

pub use choose::CHOOSE;
pub(crate) use choose::{choose, is_lost, unreadable};
pub use driver::host_driver;
pub use link::address;
pub(crate) use link::{
    SOFTWARE, bar, frames, host_of, leaves_by, on_network, software_link,
};
pub use physical::{PhysicalPort, physical_ports};
pub(crate) use physical::{is_online, speed, wwnn};
pub use remote::logged_in_elsewhere;
pub(crate) use remote::{echoes, remote_ports, targets_of};
pub use states::{PortState, Seen, VportState};
pub use switch::can_come;
pub use vport::{VirtualPort, delete};
pub(crate) use vport::{create, log_in, log_out, state, virtual_ports};
