//! An agent's action on a node, as a coroutine. It is suspended whenever time passes for
//! it; until it is resumed anything may happen to it and around it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};
use understudy_core::action::failure::Kind;
use understudy_core::action::{self, budget::Budget};
use understudy_core::disks::ownership::{Keys, remember_cluster};
use understudy_core::kernel::{Instant, Kernel};
use understudy_core::situation::scope::Scope;
use understudy_core::verbs::{Health, Level, health, release, reload, takeover};
use understudy_sim::{Fault, SharedSan, SimKernel};

use crate::groups::{Config, Wrong};

pub const NAMES: [&str; 2] = ["a", "b"];
/// The cluster's word, which is part of its nodes' keys.
const WORD: &str = "00c1";
/// The time that Pacemaker gives an action; `INNER` is what the agent uses of it.
pub const TIMEOUT: Duration = Duration::from_secs(20);
const INNER: Duration = Duration::from_secs(18);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    Start,
    Stop,
    Reload,
    Monitor(Level),
}

/// Returns a node's keys, with the word and without it.
pub fn keys(node: usize) -> Keys {
    Keys::new(NAMES[node], u16::from_str_radix(WORD, 16).ok())
}

/// What an action answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Done,
    Failed(String),
    /// Nothing was changed, and what there was goes on.
    Refused(String),
    Health(Health),
}

pub struct Agent {
    pub action: Action,
    life: Coroutine<(), Instant, Answer, DefaultStack>,
}

/// How a step of an action ended.
pub enum Step {
    /// The action goes on at this time.
    Until(Instant),
    Ended(Answer),
}

thread_local! {
    /// Stacks that no coroutine uses now.
    static STACKS: RefCell<Vec<DefaultStack>> = const { RefCell::new(Vec::new()) };
}

impl Agent {
    /// Returns an agent; `fault` says which of its operations goes wrong, and how.
    pub fn new(
        san: &SharedSan,
        node: usize,
        config: &Rc<Config>,
        action: Action,
        fault: Option<(usize, Fault)>,
    ) -> Self {
        let (san, config) = (Rc::clone(san), Rc::clone(config));
        let stack = STACKS.with_borrow_mut(Vec::pop);
        let stack = stack.unwrap_or_else(|| DefaultStack::new(1 << 18).unwrap());
        let life = Coroutine::with_stack(stack, move |yielder, ()| {
            let pause = |time| {
                if let Some(until) = held_up(&san, time) {
                    yielder.suspend(until);
                }
            };
            let kernel = SimKernel::enter(&san, node).paused_by(&pause);
            kernel.plan(fault);
            act(&kernel, node, &config, action)
        });
        Self { action, life }
    }

    /// Resumes the action until it is suspended again or ends.
    pub fn step(&mut self) -> Step {
        match self.life.resume(()) {
            CoroutineResult::Yield(until) => Step::Until(until),
            CoroutineResult::Return(answer) => Step::Ended(answer),
        }
    }

    /// Ends the action, wherever it is.
    pub fn end(mut self) {
        self.life.force_unwind();
        STACKS.with_borrow_mut(|stacks| stacks.push(self.life.into_stack()));
    }
}

/// Returns until when a process that lets this much time pass is held up. Between two
/// looks, when no time passes, it hardly ever is.
fn held_up(san: &SharedSan, time: Duration) -> Option<Instant> {
    let mut san = san.borrow_mut();
    let looks = time.is_zero();
    if looks && !san.one_in(64) {
        return None;
    }
    // A process that stands still for longer than a bar lasts, between its last look and
    // the logout, hangs the kernel whatever its code says; the node is fenced then.
    let stall = if san.one_in(200) { 1500 } else { 200 };
    Some(san.now() + time + san.takes(0, stall))
}

fn act(kernel: &dyn Kernel, node: usize, config: &Config, action: Action) -> Answer {
    let setup = &config.setup;
    // The agent asks the cluster which disks initiators know behind their numbers.
    if action == Action::Start && config.wrong == Some(Wrong::Swapped) {
        return Answer::Failed("another disk is behind a number".into());
    }
    let scope = Scope::gather(kernel, &setup.name, |name| setup.param(name));
    let budget = Budget::new(kernel, INNER);
    let mut given = action::Action::new(kernel, NAMES[node], budget);
    // A node learns its cluster's word at a start, but may also start a group before it
    // knows it.
    if action == Action::Start && budget.start.as_millis() % 3 > 0 {
        let _ = remember_cluster(kernel, WORD);
    }
    let answer = match action {
        Action::Start => takeover(&mut given, &scope),
        Action::Reload => reload(&mut given, &scope),
        Action::Stop => release(&mut given, &scope),
        Action::Monitor(level) => {
            return Answer::Health(health(&given, &scope, level));
        }
    };
    match answer {
        Ok(()) => Answer::Done,
        Err(failure) if failure.kind == Kind::Refused => {
            Answer::Refused(failure.to_string())
        }
        Err(failure) => Answer::Failed(failure.to_string()),
    }
}
