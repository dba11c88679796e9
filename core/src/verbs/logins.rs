//! Logins that a takeover waits for. First, another node's logins under the group's names
//! must end. At the end, the group's own ports must log in.

use std::time::Duration;

use nix::errno::Errno;

use crate::action::budget::Budget;
use crate::action::failure::{Failure, Kind};
use crate::action::step::Step;
use crate::config::group::PortSpec;
use crate::fc::{self, PhysicalPort, PortState, VirtualPort, VportState};
use crate::kernel::{Instant, Kernel, KernelError};
use crate::lio::Driver;
use crate::wwn::Wwn;

/// The title of the step that looks for another node that serves the group.
const LOOK: &str = "look for the port";

/// The time between two looks at a state whose change the kernel does not report.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How long a port must stay in a hopeless state before the takeover fails.
const BELIEVED: Duration = Duration::from_secs(5);

/// Waits while this node sees one of the names logged in on another node, and fails if
/// that does not end in time. After fencing, the dead port may still be visible: a switch
/// notices a dead FCoE port only after some missing keep-alives, 20 s by default. So the
/// wait takes all the time there is, because Pacemaker does not retry a failed start.
pub(super) fn not_elsewhere(
    kernel: &dyn Kernel,
    absent: &[(PortSpec, PhysicalPort)],
    budget: Budget,
) -> Result<(), Failure> {
    while let Some((wwpn, remote)) = elsewhere(kernel, absent)? {
        if budget.is_over(kernel) {
            let cause = format!("{wwpn} is logged in elsewhere ({remote})");
            return Err(Failure::new(Kind::Failed, LOOK, cause)
                .advise("Stop or fence the node that still serves it"));
        }
        kernel.sleep(LOOK_AGAIN);
    }
    Ok(())
}

/// Returns the first port of `absent` that is logged in on another node, with this node's
/// name for it as a remote port.
pub(super) fn elsewhere(
    kernel: &dyn Kernel,
    absent: &[(PortSpec, PhysicalPort)],
) -> Result<Option<(Wwn, String)>, Failure> {
    for (PortSpec { wwpn, .. }, _) in absent {
        let remote = fc::logged_in_elsewhere(kernel, *wwpn)
            .map_err(|error| Failure::kernel(LOOK, &[error]))?;
        if let Some(remote) = remote {
            return Ok(Some((*wwpn, remote)));
        }
    }
    Ok(None)
}

/// Returns the failure of a virtual port that the kernel has not made. qla2xxx looks at the
/// switch before it makes one (`qla24xx_vport_create_req_sanity_check`); libfc makes the
/// port, and shows the lack of NPIV as the port's state.
pub(super) fn not_made(step: &'static str, errors: &[KernelError]) -> Failure {
    let failure = Failure::kernel(step, errors);
    let refused = errors.iter().any(|error| error.is(Errno::EOPNOTSUPP));
    match VportState::NoFabricSupport.hopeless().filter(|_| refused) {
        Some(advice) => Failure { kind: Kind::Node, ..failure }.advise(advice),
        None => failure.advise("The kernel's log has the driver's own words"),
    }
}

/// Waits until a port is logged in. A state from which the port will not log in by itself
/// makes this fail once it has lasted, while the physical port is online. A login that the
/// driver has given up without a word is begun again. `begun` is when the port was let in.
pub(super) fn active(
    kernel: &dyn Kernel,
    driver: &dyn Driver,
    port: &PortSpec,
    mut begun: Instant,
    budget: Budget,
) -> Result<(), Failure> {
    let step = "wait for the virtual port";
    let unseen = |error| Failure::kernel(step, &[error]);
    let mut hopeless_since = None;
    loop {
        let ports = fc::virtual_ports(kernel).map_err(unseen)?;
        let vport = ports.into_iter().find(|vport| vport.wwpn == port.wwpn);
        let state = vport.as_ref().map(|vport| &vport.state);
        let host = fc::host_of(kernel, port.wwpn).map_err(unseen)?;
        let online = host.as_ref().filter(|host| host.state == PortState::Online);
        if let (Some(VportState::Active), Some(host), Some(vport)) =
            (state, online, &vport)
        {
            log::info!("{} is Active on {} as {}", port.wwpn, vport.parent, host.fcid);
            return Ok(());
        }
        let wwpn = port.wwpn;
        let advice = vport.as_ref().and_then(|vport| hopeless(kernel, driver, vport));
        let since = advice.map(|_| *hopeless_since.get_or_insert(kernel.now()));
        hopeless_since = since;
        let state = state.map_or("gone", VportState::word);
        let lasts = since.is_some_and(|since| kernel.now() >= since + BELIEVED);
        if let Some(advice) = advice.filter(|_| lasts) {
            let cause = format!("{wwpn} is in state '{state}'");
            return Err(Failure::new(Kind::Node, step, cause).advise(advice));
        }
        // A port that somebody has deleted will not log in either.
        let Some(vport) = vport.as_ref().filter(|_| !budget.is_over(kernel)) else {
            let spent = budget.spent(kernel).as_secs_f32();
            let cause = format!("{wwpn} is in state '{state}' after {spent:.1} s");
            return Err(Failure::new(Kind::Failed, step, cause)
                .advise("See the fabric's log for a refused login"));
        };
        begun = ask_again(kernel, driver, vport, begun, budget);
        kernel.sleep(LOOK_AGAIN);
    }
}

/// Returns advice about a port that will not log in by itself. Without its physical port's
/// link a port shows any state, and that says nothing.
fn hopeless(
    kernel: &dyn Kernel,
    driver: &dyn Driver,
    port: &VirtualPort,
) -> Option<&'static str> {
    driver.hopeless(&port.state).filter(|_| has_link(kernel, port))
}

fn has_link(kernel: &dyn Kernel, port: &VirtualPort) -> bool {
    fc::is_online(kernel, &port.parent).unwrap_or(false)
}

/// Has a port log out and in again if its login was begun at `begun` and the driver has given
/// up since. Returns when the login began that is under way now. While there is no link, none
/// has begun. A failure is only a warning, because the link may have gone in between; it is
/// tried again later.
fn ask_again(
    kernel: &dyn Kernel,
    driver: &dyn Driver,
    port: &VirtualPort,
    begun: Instant,
    budget: Budget,
) -> Instant {
    let time = driver.gives_up_after(&port.state).filter(|_| has_link(kernel, port));
    let Some(time) = time else { return kernel.now() };
    if kernel.now() < begun + time {
        return begun;
    }
    log::warn!("{} is in state '{}' still: it logs in again", port.wwpn, port.state);
    let again = vec![fc::log_out(port), fc::log_in(port)];
    let step = Step::new("let the virtual port log in again", vec![again]);
    if let Err(errors) = step.apply(kernel, budget) {
        log::warn!("{}", Failure::kernel(step.title, &errors));
    }
    kernel.now()
}
