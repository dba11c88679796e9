//! The actions of `ocf:understudy:vport`, one file each.

mod monitor;
mod numbers;
mod reload;
mod start;
mod stop;
mod validate;

use understudy_core::action::Action;
use understudy_core::action::budget::Budget;
use understudy_core::action::failure::Failure;
use understudy_core::kernel::Kernel;
use understudy_core::kernel::late::Purpose;
use understudy_core::situation::scope::Scope;

use crate::environment::Environment;
use crate::exit::{Code, Outcome};

/// Carries out an action. Returns nothing if there is no such action.
pub fn act(action: &str, environment: &Environment) -> Option<Outcome> {
    // A user who sees only a part would take what is hidden for what is not there.
    let acts = match action {
        "start" | "stop" | "monitor" | "status" | "reload-agent" => true,
        "validate-all" => validate::looks_at_the_node(environment),
        _ => false,
    };
    if acts && !environment.may_act() {
        let reason =
            format!("{action}: only root may look at the target and change it; be root");
        return Some(Outcome { code: Code::Permission, reason: Some(reason) });
    }
    Some(match action {
        "start" => start::start(Call::new(environment, Purpose::Changes)),
        "stop" => stop::stop(&Call::new(environment, Purpose::Changes)),
        // `status` is what monitor was once called.
        "monitor" | "status" => monitor::monitor(&Call::new(environment, Purpose::Looks)),
        "reload-agent" => reload::reload(&Call::new(environment, Purpose::Changes)),
        "validate-all" => validate::validate(environment),
        _ => return None,
    })
}

/// What every action that looks at the kernel begins with.
pub struct Call<'a> {
    environment: &'a Environment,
    kernel: Box<dyn Kernel>,
    node: String,
    scope: Scope,
    budget: Budget,
}

impl<'a> Call<'a> {
    fn new(environment: &'a Environment, purpose: Purpose) -> Self {
        let kernel = environment.kernel_for(&environment.instance, purpose);
        if !environment.is_of_this_node() {
            log::warn!("UNDERSTUDY_ROOT is set: this is not about this node's kernel");
        }
        let budget = Budget::new(&*kernel, environment.inner_timeout());
        let scope = Scope::gather(&*kernel, &environment.instance, |name| {
            environment.param(name)
        });
        let node = environment.node(&*kernel);
        Self { environment, kernel, node, scope, budget }
    }

    fn kernel(&self) -> &dyn Kernel {
        &*self.kernel
    }

    fn node(&self) -> &str {
        &self.node
    }

    /// Returns what a verb is given.
    fn action(&self) -> Action<'_> {
        Action::new(self.kernel(), self.node(), self.budget)
    }

    /// Runs a verb that changes something, and logs the one line that says how long it
    /// took.
    fn change(&self, verb: Verb, done: &str) -> Result<(), Failure> {
        let mut action = self.action();
        let answer = verb(&mut action, &self.scope);
        if answer.is_ok() {
            log::info!("{done} in {}", action.phases);
        } else {
            action.end("failing");
            log::info!("failed in {}", action.phases);
        }
        action.phases.table().lines().for_each(|row| log::debug!("{row}"));
        answer
    }
}

/// What changes a group on this node.
type Verb = fn(&mut Action, &Scope) -> Result<(), Failure>;
