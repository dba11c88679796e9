//! The end of a login, and who is told about changes.

use crate::addr::{Fcid, Mac};
use crate::els::{R_CTL_REQUEST, StateChange, TYPE};
use crate::event::{LoginKind, What};
use crate::fip::{Fip, VnPort};
use crate::frame::{FCTL_REQUEST, FcHeader, XID_UNKNOWN};
use crate::port::Port;
use crate::wwn::Wwn;

use super::{Fabric, Output, UnknownName};

impl Fabric {
    /// Ends the login of one port and tells its node (`drop` on the control socket).
    pub fn drop_port(
        &mut self,
        wwpn: Wwn,
        out: &mut impl Output,
    ) -> Result<(), UnknownName> {
        let port = self.ports.named(wwpn).ok_or(UnknownName::Port(wwpn))?;
        self.clear_port(port.fcid, What::Dropped, "control socket", out);
        Ok(())
    }

    /// Ends the login of a port and clears its virtual link. A physical port takes its
    /// virtual ports along.
    pub(super) fn clear_port(
        &mut self,
        fcid: Fcid,
        what: What,
        reason: &str,
        out: &mut impl Output,
    ) {
        let Some(Port { link, enode, kind, .. }) = self.ports.get(fcid) else { return };
        let (link, enode) = (*link, *enode);
        let gone = match kind {
            LoginKind::Flogi => self.addresses_on(link),
            LoginKind::Fdisc => vec![fcid],
        };
        let ports = gone.iter().filter_map(|fcid| self.ports.get(*fcid));
        let clear = self.clear(ports.map(Port::vn_port).collect());
        self.send_fip(link, enode, &clear, out);
        self.end_logins(&gone, what, reason, out);
    }

    /// The Clear Virtual Link for some ports of a node, or for all.
    pub(super) fn clear(&self, ports: Vec<VnPort>) -> Fip {
        Fip::ClearVirtualLink { fcf: Mac::FCF, switch: self.config.fabric_name, ports }
    }

    /// Deregisters ports; the others hear of it in one notification.
    pub(super) fn end_logins(
        &mut self,
        ports: &[Fcid],
        what: What,
        reason: &str,
        out: &mut impl Output,
    ) {
        let gone: Vec<Port> =
            ports.iter().filter_map(|fcid| self.ports.remove(*fcid)).collect();
        for port in &gone {
            out.revoke(port.link, port.mac());
            out.event(self.port_event(what, port).because(reason));
        }
        let known: Vec<&Port> = gone.iter().filter(|port| port.announced).collect();
        self.notify(&known, out);
    }

    /// Tells everybody that a port is there, or is not what it was.
    pub(super) fn announce(&mut self, fcid: Fcid, out: &mut impl Output) {
        let Some(port) = self.ports.get_mut(fcid) else { return };
        port.announced = true;
        let port = port.clone();
        let types = port.names.fc4_types().map(|fc4| {
            let features = port.names.features.get(&fc4);
            format!(
                "type {fc4:#04x} features {:#x}",
                features.copied().unwrap_or_default()
            )
        });
        let registered = types.collect::<Vec<_>>().join(", ");
        out.event(self.port_event(What::Registered, &port).because(registered));
        self.notify(&[&port], out);
    }

    /// One RSCN, a page for each port, to every other port that asked for it.
    fn notify(&mut self, changed: &[&Port], out: &mut impl Output) {
        let pages: Vec<Fcid> = changed.iter().map(|port| port.fcid).collect();
        let asked = |port: &&Port| port.state_changes && !pages.contains(&port.fcid);
        let told: Vec<Fcid> =
            self.ports.iter().filter(asked).map(|port| port.fcid).collect();
        if pages.is_empty() || told.is_empty() {
            return;
        }
        let names: Vec<String> = told.iter().map(Fcid::to_string).collect();
        for port in changed {
            let told = format!("to {}", names.join(" "));
            out.event(self.port_event(What::Rscn, port).because(told));
        }
        let payload = StateChange { ports: pages }.encode();
        for d_id in told {
            let header = FcHeader {
                r_ctl: R_CTL_REQUEST,
                d_id,
                cs_ctl: 0,
                s_id: Fcid::CONTROLLER,
                fc_type: TYPE,
                f_ctl: FCTL_REQUEST,
                seq_id: 0,
                df_ctl: 0,
                seq_cnt: 0,
                ox_id: self.exchange(),
                rx_id: XID_UNKNOWN,
                parameter: 0,
            };
            self.send_to_port(header, &payload, out);
        }
    }
}
