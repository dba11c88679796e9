//! The ends of logins that firmware did not ask for, and what goes with a login.

use std::time::Duration;

use understudy_fabric::addr::Fcid;
use understudy_fabric::els::Logout;
use understudy_fabric::fip::VnPort;
use understudy_fabric::wwn::Wwn;

use super::port::{Membership, Port, State};
use super::{Cause, Event, LogoutBy, Names, Vp, Wire};

/// How long a port waits before it logs in again where the fabric ended its login. Two
/// ports that take a name from each other would else do nothing but that.
const RELOGIN: Duration = Duration::from_secs(1);

impl Wire {
    /// Ends what a port's login carries: its exchanges, and the virtual ports' logins if it
    /// is the physical port.
    pub(super) fn end_logins(&mut self, vp: Vp, by: LogoutBy) {
        if vp == Vp::PHYSICAL {
            for vport in self.indexes().skip(1) {
                match self.port(vport).state {
                    State::Out(_) => {}
                    State::Asking(..) | State::Leaving(..) => self.interrupted(vport),
                    State::In(_) => {
                        self.forget(|port| port == vport);
                        self.set_state(vport, State::Out(Duration::ZERO));
                        self.events.push(Event::LoggedOut { vp: vport, by });
                    }
                }
            }
        }
        self.forget(|port| port == vp);
    }

    /// Handles the loss of the answer to a FLOGI, FDISC or LOGO. Firmware that waits for the
    /// end of a login hears that it has come.
    fn interrupted(&mut self, vp: Vp) {
        match self.port(vp) {
            Port { names: Some(_), state: State::Asking(..) } => {
                self.set_state(vp, State::Out(Duration::ZERO));
            }
            _ => self.left(vp, Duration::ZERO),
        }
    }

    /// Ends the exchanges of some ports, and tells of each.
    fn forget(&mut self, of: impl Fn(Vp) -> bool) {
        self.sizes.retain(|(vp, _), _| !of(*vp));
        self.aborts.retain(|_, abort| !of(abort.vp));
        for exchange in self.exchanges.find(|exchange| of(exchange.vp)) {
            self.end(exchange, Cause::LoggedOut);
        }
    }

    /// Handles the end of a login that the fabric ended.
    pub(super) fn logged_out(&mut self, vp: Vp, now: Duration) {
        if self.id(vp).is_some() {
            self.end_logins(vp, LogoutBy::Fabric);
            self.set_state(vp, State::Out(now.saturating_add(RELOGIN)));
            self.events.push(Event::LoggedOut { vp, by: LogoutBy::Fabric });
        }
    }

    /// Handles a Clear Virtual Link. It names ports, or none if it means all.
    pub(super) fn cleared(&mut self, switch: Wwn, ports: &[VnPort], now: Duration) {
        if self.discovery.forwarder().is_none_or(|known| known.switch != switch) {
            return self.discard("Clear Virtual Link of another switch");
        }
        let named = |vp: &Vp| {
            let port = self.port(*vp).membership().map(Membership::vn_port);
            port.is_some_and(|port| ports.is_empty() || ports.contains(&port))
        };
        let gone: Vec<Vp> = self.indexes().rev().filter(named).collect();
        for vp in gone {
            self.logged_out(vp, now);
        }
    }

    /// Handles the loss of the link: all logins and exchanges end.
    pub(super) fn link_lost(&mut self) {
        self.forget(|_| true);
        self.faults.forget();
        for vp in self.indexes() {
            match self.port(vp).state {
                State::Asking(..) | State::Leaving(..) => self.interrupted(vp),
                State::In(_) | State::Out(_) => {
                    self.set_state(vp, State::Out(Duration::ZERO));
                }
            }
        }
        self.events.push(Event::LinkLost);
    }

    /// Sends the LOGO of the physical port, whose answer nobody waits for, and forgets all
    /// ports. If its FLOGI has no answer yet, the LOGO gives no address, only the name.
    pub(super) fn forget_ports(&mut self, now: Duration) {
        let Names { wwpn, .. } = match self.port(Vp::PHYSICAL).state {
            State::In(Membership { names, .. }) | State::Asking(names, _) => names,
            State::Out(_) | State::Leaving(..) => return self.ports.fill(Port::OUT),
        };
        let fcid = self.id(Vp::PHYSICAL).unwrap_or(Fcid::NONE);
        let question = self.question(now);
        self.send_logout(Logout { fcid, wwpn }, question.ox_id);
        self.ports.fill(Port::OUT);
    }
}
