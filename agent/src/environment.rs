//! What Pacemaker passes to the agent, all of it in environment variables.

use std::io::Write;
use std::time::Duration;

use understudy_core::kernel::late::Purpose;
use understudy_core::kernel::{Kernel, RealKernel};
use understudy_core::run_files::node;

use crate::watched;

/// Pacemaker's own default, where an operation has no timeout configured.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);

/// The variables of one call.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The agent's name.
    agent: &'static str,
    /// The resource's name.
    pub instance: String,
    /// This node's name in the cluster, where Pacemaker says it.
    told_node: Option<String>,
    /// How long the operation may take.
    pub timeout: Duration,
    /// How closely to look.
    pub check_level: u32,
    /// Whether the resource is an instance of a clone.
    pub is_cloned: bool,
    reason_prefix: String,
    debug: bool,
}

/// Returns an environment variable.
pub fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

impl Environment {
    /// Reads the variables. None is required: meta-data is asked for without any.
    pub fn read(agent: &'static str) -> Self {
        let number =
            |name| variable(name).and_then(|text| text.trim().parse::<u64>().ok());
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let millis = number("OCF_RESKEY_CRM_meta_timeout");
        Self {
            agent,
            instance: set("OCF_RESOURCE_INSTANCE").unwrap_or_else(|| agent.into()),
            told_node: set("OCF_RESKEY_CRM_meta_on_node"),
            timeout: millis.map_or(DEFAULT_TIMEOUT, Duration::from_millis),
            check_level: number("OCF_CHECK_LEVEL")
                .map_or(0, |level| u32::try_from(level).unwrap_or(u32::MAX)),
            is_cloned: set("OCF_RESKEY_CRM_meta_clone").is_some(),
            reason_prefix: set("OCF_EXIT_REASON_PREFIX")
                .unwrap_or_else(|| "ocf-exit-reason:".into()),
            debug: variable("HA_debug").is_some_and(|v| v != "0")
                || variable("OCF_TRACE_RA").is_some(),
        }
    }

    /// Returns this node's name in the cluster. If Pacemaker gives the name in this call,
    /// it is recorded for calls in which it does not. Otherwise the recorded name counts.
    pub fn node(&self, kernel: &dyn Kernel) -> String {
        let Some(name) = &self.told_node else { return node::name(kernel) };
        node::record(kernel, name);
        name.clone()
    }

    /// Returns this node's name for a command, to which Pacemaker gives none. If none is
    /// recorded either, `ask` asks the cluster.
    pub fn node_of_command(
        &self,
        kernel: &dyn Kernel,
        ask: impl FnOnce() -> Option<String>,
    ) -> String {
        if let (None, None) = (&self.told_node, node::recorded(kernel)) {
            if let Some(name) = ask() {
                node::record(kernel, &name);
                return name;
            }
        }
        self.node(kernel)
    }

    /// Returns a parameter of the resource.
    pub fn param(&self, name: &str) -> Option<String> {
        variable(&format!("OCF_RESKEY_{name}"))
    }

    /// Returns this node's kernel, or the tree below `UNDERSTUDY_ROOT`.
    pub fn kernel(&self) -> Box<dyn Kernel> {
        watched::door(RealKernel::of_environment())
    }

    /// Returns this node's kernel for an action on a group: what of it outlives the action
    /// can be told by its name.
    pub fn kernel_for(&self, group: &str, purpose: Purpose) -> Box<dyn Kernel> {
        watched::door(RealKernel::of_environment().working_for(group, purpose))
    }

    /// Returns whether the kernel is the one that runs this process, and not a tree of files.
    pub fn is_of_this_node(&self) -> bool {
        RealKernel::of_environment().is_this_nodes()
    }

    /// Returns whether this process may act on the kernel ([`RealKernel::may_act`]).
    pub fn may_act(&self) -> bool {
        RealKernel::of_environment().may_act()
    }

    /// Returns how long the verbs may take: less than the whole timeout, so that there is
    /// an answer before Pacemaker kills the agent and its reason is lost.
    pub fn inner_timeout(&self) -> Duration {
        let least = Duration::from_millis(500);
        let most = Duration::from_secs(5);
        self.timeout.saturating_sub((self.timeout / 10).clamp(least, most))
    }

    /// Sends the log to standard error, which Pacemaker keeps.
    pub fn start_log(&self, action: &str) {
        let level =
            if self.debug { log::LevelFilter::Debug } else { log::LevelFilter::Info };
        let label = format!("{}({}) {action}", self.agent, self.instance);
        let _ = env_logger::Builder::new()
            .filter_level(level)
            .format(move |out, record| {
                let line = format!("{label}: {}: {}", record.level(), record.args());
                writeln!(out, "{}", one_line(&line))
            })
            .try_init();
    }

    /// Prints why an action failed. Pacemaker shows the last such line.
    pub fn tell_reason(&self, reason: &str) {
        let line = one_line(reason);
        let _ = writeln!(std::io::stderr(), "{}{line}", self.reason_prefix);
    }
}

/// Returns a text on one line: no name or value in it must pass for another line.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}
