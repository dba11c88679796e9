//! What no source settles about the firmware: a switch for each, with a default.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::chip::iocb::vp_status;

/// How the firmware behaves where neither the driver nor other drivers for the chip tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// The completion status of a VP_CTRL that disables a port which is not enabled. The
    /// driver sends one for each virtual port after a reset, and nobody knows whether
    /// that succeeds. By default it does; a status other than 0 makes the driver set the
    /// port to Failed.
    pub disable_disabled: u16,
    /// The completion status of a VP_CTRL while there is no link. By default it succeeds.
    pub disable_without_link: u16,
    /// Whether a VP_CONFIG for a port that is still enabled succeeds. The driver's header
    /// calls its status 1 "VPs were not disabled", so by default it fails.
    pub configure_enabled: bool,
    /// Whether a chip that is reset sends a LOGO before it drops light. Hardware is not
    /// known to. By default it does, because light does not drop on the software fabric.
    pub logout_at_reset: bool,
    /// Whether commands that are left at a VP_CTRL end with status 29h (logged out), or
    /// with 02h (aborted). The driver deletes the session at 29h.
    pub logged_out_at_disable: bool,
    /// After how many milliseconds an ABTS ends the entry that waits for data of its
    /// command, with status 02h; `null` for never. Linux's target answers the abort only
    /// when the entry has ended. With 0 it no longer finds the command, and the initiator
    /// gets a BA_RJT. By default the target has time to find it.
    pub abort_ends_entry_ms: Option<u32>,
    /// Whether the firmware state 3 is told before the event 8014. In this order the
    /// driver finds its loop still down after a reset, and leaves virtual ports behind.
    pub ready_before_update: bool,
    /// How a login of the driver's ends that meets a PLOGI of the same port. Whose PLOGI
    /// goes on is FC-LS's to say; which status the other one's entry gets, nobody knows.
    pub yielded_login: YieldedLogin,
    /// Whether a PLOGI on condition ("only if not logged-in", says the driver's header) ends
    /// with success where the other port is logged in, and leaves that login alone. Nobody
    /// knows what the firmware takes for logged in. In mode `dual` the driver sends one to
    /// each initiator in the name server, and reads the port database afterwards. If false,
    /// the PLOGI goes out. Both ends then drop the commands of the login before it.
    pub condition_counts: bool,
    /// Whether ports that log in get handles in turn: each the next lower one that is free,
    /// and after 0 the highest. Nobody knows in which order firmware takes them. By default
    /// it is the highest that is free, so one is used again as soon as it was given back. A
    /// logout that the driver sends late then has the handle of another port.
    pub handles_in_turn: bool,
    /// Whether a LOGO entry counts only if its port has its handle. The driver writes both
    /// (qla24xx_logout_iocb in qla_iocb.c), and nobody knows what firmware looks at. By
    /// default that is the handle, so that a late logout ends the session of a port that
    /// came later. If true, such an entry fails with reason 9 (not logged in). The driver
    /// takes any status for the end of a logout (qlt_logo_completion_handler in
    /// qla_target.c).
    pub logout_names_port: bool,
    /// Whether a PRLI that the driver terminates ends the PRLI before it. The driver does so
    /// while it registers the port, and expects the initiator to try again
    /// (qlt_24xx_handle_els in qla_target.c). Nobody knows what becomes of the earlier one.
    /// By default it stays. If it ends, commands have no answer until the initiator sends
    /// another PRLI.
    pub refused_prli_ends_login: bool,
    /// Whether commands of an initiator that sends another PLOGI end with status 29h (logged
    /// out), or with 2Ah (configuration changed). The driver's header has both, and nobody
    /// knows which one this is. At 29h the driver deletes the session and sends a LOGO, to
    /// an initiator that is just logging in. At 2Ah it only ends the command
    /// (qlt_do_ctio_completion in qla_target.c).
    pub logged_out_at_plogi: bool,
    /// After how many milliseconds the physical port asks the fabric again that has refused
    /// its login; `null` for never. The hardware's period is not known. Meanwhile the driver
    /// finds the firmware in state 2, and waits for the event 8014.
    pub retry_login_ms: Option<NonZeroU32>,
}

/// How a login of the driver's ends where the other port's PLOGI goes before it. If the
/// driver has taken the notice of that PLOGI first, it reads the port database whatever the
/// status is (qla24xx_handle_plogi_done_event in qla_init.c).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum YieldedLogin {
    /// At once with reason 1Ah (port ID used) and the handle of the other port's PLOGI. The
    /// driver takes that handle, ends the session and begins again.
    #[default]
    PortIdUsed,
    /// At once with reason 4 (command failed) and 0606h, which the driver takes for a login
    /// that is done (qla24xx_logio_entry in qla_isr.c). It reads the port database.
    Completed,
    /// With the other port's answer to our PLOGI. A port that keeps to FC-LS rejects it,
    /// and the driver ends the session. A PRLI still ends as with `PortIdUsed`.
    Answered,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            disable_disabled: vp_status::COMPLETE,
            disable_without_link: vp_status::COMPLETE,
            configure_enabled: false,
            logout_at_reset: true,
            logged_out_at_disable: true,
            abort_ends_entry_ms: Some(200),
            ready_before_update: false,
            yielded_login: YieldedLogin::default(),
            condition_counts: true,
            handles_in_turn: false,
            logout_names_port: false,
            refused_prli_ends_login: false,
            logged_out_at_plogi: true,
            retry_login_ms: NonZeroU32::new(3000),
        }
    }
}
