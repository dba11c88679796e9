//! Virtual ports: the driver sets them up, enables and disables them.

use std::collections::BTreeSet;

use crate::chip::iocb::{VpConfig, VpControl, vp_status};
use crate::fields::Entry;
use crate::wire::Vp;

use super::super::Hba;
use super::super::exchanges::{Origin, Pending};
use super::super::faults::Faults;
use super::super::state::{Disabling, VirtualPort};

/// The highest index of a virtual port.
const HIGHEST: u8 = 63;

impl Hba {
    /// Sets up a virtual port and logs it in. The answer comes at once, its address later.
    pub(super) fn configure_vport(&mut self, mut entry: Entry, origin: Origin) {
        let config = VpConfig::decode(&entry);
        let vp = Vp(config.vp);
        let known = self.state.vports.contains_key(&config.vp);
        let status = if !config.enable {
            vp_status::UNKNOWN
        } else if config.count != 1 || !(1..=HIGHEST).contains(&config.vp) {
            vp_status::BAD_INDEX
        } else if known && !self.switches.configure_enabled {
            vp_status::NOT_DISABLED
        } else {
            vp_status::COMPLETE
        };
        VpConfig::finish(&mut entry, status);
        self.finish(origin, entry);
        if status != vp_status::COMPLETE {
            return;
        }
        let VpConfig { names, target, initiator, .. } = config;
        let port = VirtualPort { names, target, initiator, told: None };
        self.state.vports.insert(config.vp, port);
        if Faults::strikes(&mut self.faults.refuse_vports) {
            self.refuse_virtual_port(vp, Some(Faults::REJECT));
            return;
        }
        if let Err(error) = self.wire.login(vp, names, self.now) {
            log::warn!("login of virtual port {}: {error}", vp.0);
            self.refuse_virtual_port(vp, None);
        }
    }

    /// Disables virtual ports. The answer comes when they are logged out.
    pub(super) fn control_vports(&mut self, mut entry: Entry, origin: Origin) {
        let control = VpControl::decode(&entry);
        if control.command < VpControl::DISABLE {
            self.nonsense(format!(
                "VP_CTRL {}: ports are enabled singly",
                control.command
            ));
            let first = control.vps.first().copied().unwrap_or(0);
            VpControl::finish(&mut entry, vp_status::BAD_INDEX, first);
            return self.finish(origin, entry);
        }
        let (enabled, disabled): (BTreeSet<u8>, BTreeSet<u8>) =
            control.vps.iter().partition(|vp| self.state.vports.contains_key(vp));
        let without_link = self.state.login.is_none();
        let status = if !disabled.is_empty() {
            self.switches.disable_disabled
        } else if without_link {
            self.switches.disable_without_link
        } else {
            vp_status::COMPLETE
        };
        let failed = match status {
            vp_status::COMPLETE => None,
            _ => disabled.first().or(enabled.first()),
        };
        VpControl::finish(&mut entry, status, failed.copied().unwrap_or(0));
        let logo = control.command > VpControl::DISABLE;
        // The ports that are left are known before the first logout, which may end at once.
        let left = enabled.clone();
        self.state.disabling.push(Disabling { entry, origin, left });
        for vp in enabled.into_iter().map(Vp) {
            self.disable(vp, logo);
        }
        self.settle();
        self.finish_disabling(Vp::PHYSICAL);
    }

    fn disable(&mut self, vp: Vp, logo: bool) {
        self.end_commands(vp);
        if logo {
            let remotes: Vec<_> = self.state.remotes.n_ports(vp).map(|r| r.id).collect();
            let payload = self.logo(vp);
            for id in remotes {
                if let Ok(exchange) = self.wire.send_els(vp, id, &payload, self.now) {
                    self.state.pending.insert(exchange, Pending::Ignored);
                }
            }
        }
        self.forget_port(vp);
        self.state.vports.remove(&vp.0);
        if let Err(error) = self.wire.logout(vp, self.now) {
            log::debug!("logout of virtual port {}: {error}", vp.0);
            self.finish_disabling(vp);
        }
    }

    /// Notes that a port is logged out, and answers what has waited for it. The wire tells
    /// of each logout, also where the link goes first.
    pub(in super::super) fn finish_disabling(&mut self, vp: Vp) {
        let mut done = Vec::new();
        self.state.disabling.retain_mut(|disabling| {
            disabling.left.remove(&vp.0);
            if disabling.left.is_empty() {
                done.push((disabling.origin.clone(), disabling.entry));
            }
            !disabling.left.is_empty()
        });
        for (origin, entry) in done {
            self.finish(origin, entry);
        }
    }
}
