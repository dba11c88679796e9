//! The choice of a physical port for a virtual one.

use super::physical::{PhysicalPort, physical_ports};
use super::states::PortState;
use super::switch;
use super::vport::VirtualPort;
use crate::action::failure::{Failure, Kind, Missing};
use crate::config::group::PortSpec;
use crate::kernel::{Kernel, KernelError};

/// The title of the step that chooses a physical port.
pub const CHOOSE: &str = "choose a physical port";

/// Returns the physical port on which a virtual port is to appear. It must be online, in
/// the right fabric, and have room; of several, the one with the most room is chosen.
/// `unserved` says by the name of a port's driver why no target can be behind its ports. A
/// virtual port that exists already, logged out, stays where it is. A physical port that has
/// the port's own name is the only choice: it need not be online, but it must be possible to
/// turn it off.
///
/// # Errors
/// [`Kind::Node`], with what is wrong with each physical port of this node.
pub(crate) fn choose(
    kernel: &dyn Kernel,
    port: &PortSpec,
    there: Option<&VirtualPort>,
    unserved: &dyn Fn(&str) -> Option<String>,
) -> Result<PhysicalPort, Failure> {
    let mut unfit = Vec::new();
    let mut fit = Vec::new();
    let mut physical = physical_ports(kernel).map_err(unreadable)?;
    physical.retain(|physical| there.is_none_or(|vport| vport.parent == physical.host));
    // While a physical port uses this name in the fabric, no virtual port can have it.
    if physical.iter().any(|physical| physical.wwpn == port.wwpn) {
        physical.retain(|physical| physical.wwpn == port.wwpn);
    }
    for physical in physical {
        let own = physical.wwpn == port.wwpn;
        let why = match switch::switch(kernel, &physical.host) {
            Ok(Some(_)) if own => None,
            Ok(None) if own => {
                Some("has this very name, and cannot be turned off".to_owned())
            }
            Err(error) if own => Some(format!("has this very name: {error}")),
            _ => unserved(&physical.driver)
                .or_else(|| why_unfit(&physical, port, there.is_none())),
        };
        match why {
            Some(why) => unfit.push(format!("{} {why}", physical.host)),
            None => fit.push(physical),
        }
    }
    if unfit.is_empty() {
        unfit.push("this node has no Fibre Channel port".into());
    }
    fit.into_iter().max_by_key(|physical| physical.vports_free).ok_or_else(|| {
        let wanted = match port.fabrics.as_slice() {
            [] => format!("port {}", port.wwpn),
            _ => format!("port {} in fabric {}", port.wwpn, port.fabrics_in_words()),
        };
        let cause = format!("none will do for {wanted}: {}", unfit.join(", "));
        Failure::new(Kind::Node, CHOOSE, cause)
            .misses(Missing::Port)
            .advise(
                "Check the cabling, the switch port and the fabric's name in ports; where the \
                 nodes' edge switches have different names: WWPN@NAME|NAME",
            )
    })
}

/// Returns the failure to choose a physical port because one of them cannot be read.
pub(crate) fn unreadable(error: KernelError) -> Failure {
    let failure = Failure::kernel(CHOOSE, &[error]);
    Failure { kind: Kind::Node, ..failure.misses(Missing::Port) }
}

/// Returns whether this node has lost a port's fabric: the port names one, and no
/// physical port of this node is online in it. If a physical port has the port's own
/// name, the fabric is not lost, because that port comes online with its group.
pub(crate) fn is_lost(kernel: &dyn Kernel, port: &PortSpec) -> Result<bool, KernelError> {
    if port.fabrics.is_empty() {
        return Ok(false);
    }
    let in_it = |p: &PhysicalPort| {
        let named = p.fabric.is_some_and(|fabric| port.goes_to(fabric));
        p.state == PortState::Online && named || p.wwpn == port.wwpn
    };
    Ok(!physical_ports(kernel)?.iter().any(in_it))
}

fn why_unfit(
    physical: &PhysicalPort,
    port: &PortSpec,
    needs_room: bool,
) -> Option<String> {
    if physical.state != PortState::Online {
        return Some(format!("is {}", physical.state));
    }
    let Some(fabric) = physical.fabric else {
        return Some("is in no fabric with virtual ports".to_owned());
    };
    if !port.goes_to(fabric) {
        return Some(format!("is in fabric {fabric}"));
    }
    let full = needs_room && physical.vports_free == 0;
    full.then(|| "carries all the vports that it can".into())
}
