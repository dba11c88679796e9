//! The end of a login, and notifications to other ports.

use crate::addr::{Fcid, Mac};
use crate::els::{R_CTL_REQUEST, StateChange, TYPE};
use crate::event::{Event, LoginKind, What};
use crate::fip::{Fip, VnPort};
use crate::frame::{FCTL_REQUEST, FcHeader, XID_UNKNOWN};
use crate::port::Port;
use crate::wwn::Wwn;
use crate::zoning::Zoning;

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

    /// Ends the login of a port and clears its virtual link. With a physical port go its
    /// virtual ports.
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

    /// Returns the Clear Virtual Link for some ports of a node, or for all if `ports` is
    /// empty.
    pub(super) fn clear(&self, ports: Vec<VnPort>) -> Fip {
        Fip::ClearVirtualLink { fcf: Mac::FCF, switch: self.config.fabric_name, ports }
    }

    /// Deregisters ports. Each other port hears of all of them in one notification.
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

    /// Tells the other ports that a port is there, or has changed.
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

    /// Puts other zones in force. Each port hears of the ports that it can no longer see,
    /// and of those that it can see now.
    pub fn zone(&mut self, zoning: Zoning, out: &mut impl Output) {
        let before = std::mem::replace(&mut self.zoning, zoning);
        out.event(Event::new(What::Zoned));
        let news = |told: &Port, port: &Port| {
            let [was, is] =
                [&before, &self.zoning].map(|z| z.joins(told.wwpn, port.wwpn));
            port.announced && was != is
        };
        let pages = |told: &Port| {
            let ports = self.ports.iter().filter(|port| news(told, port));
            (told.fcid, ports.map(|port| port.fcid).collect())
        };
        let asked = self.ports.iter().filter(|port| port.state_changes);
        let news = asked.map(pages).collect();
        self.tell(news, out);
    }

    /// Sends an RSCN to every other port that asked for it, with a page for each changed
    /// port in its zones.
    fn notify(&mut self, changed: &[&Port], out: &mut impl Output) {
        let is_changed = |fcid| changed.iter().any(|port| port.fcid == fcid);
        let pages = |told: &Port| {
            let seen = |port: &&&Port| self.zoning.joins(told.wwpn, port.wwpn);
            let pages = changed.iter().filter(seen).map(|port| port.fcid).collect();
            (told.fcid, pages)
        };
        let asked = |port: &&Port| port.state_changes && !is_changed(port.fcid);
        let news: Vec<(Fcid, Vec<Fcid>)> =
            self.ports.iter().filter(asked).map(pages).collect();
        for port in changed {
            let told = news.iter().filter(|(_, pages)| pages.contains(&port.fcid));
            let told: Vec<String> = told.map(|(fcid, _)| fcid.to_string()).collect();
            if !told.is_empty() {
                let told = format!("to {}", told.join(" "));
                out.event(self.port_event(What::Rscn, port).because(told));
            }
        }
        self.tell(news, out);
    }

    /// Sends each port its RSCN, unless there is nothing in it.
    fn tell(&mut self, news: Vec<(Fcid, Vec<Fcid>)>, out: &mut impl Output) {
        for (d_id, ports) in news.into_iter().filter(|(_, ports)| !ports.is_empty()) {
            let payload = StateChange { ports }.encode();
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
