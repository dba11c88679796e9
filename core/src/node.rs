//! The front door for programs: a storage node, and what can be done on it. The functions of
//! the Python module are these, without those that change a node.

use std::path::Path;
use std::time::Duration;

use crate::action::Action;
use crate::action::budget::Budget;
use crate::action::failure::{Failure, Kind};
use crate::action::phases::Phases;
use crate::action::step::Step;
use crate::config::group::Group;
use crate::disks::ownership;
use crate::kernel::late::Purpose;
use crate::kernel::reservation::Reservation;
use crate::kernel::{Kernel, RealKernel};
use crate::run_files;
use crate::situation::scope::Scope;
use crate::verbs::check::Finding;
use crate::verbs::status::Status;
use crate::verbs::{self, Health, Level};

/// How long a call may take, if the caller does not say: Pacemaker's own default.
const TIME: Duration = Duration::from_secs(20);

/// A storage node, as a program sees it. Each call looks at the node again, and returns soon
/// after its time is over ([`Self::within`]), whatever the kernel does.
pub struct Node<'a> {
    door: Door<'a>,
    name: String,
    time: Duration,
}

/// The way to a node's kernel.
enum Door<'a> {
    /// The kernel that runs this program. Each call has a worker process of its own.
    Here,
    /// The caller's.
    Given(&'a dyn Kernel),
}

/// What changes a group on a node.
type Verb = fn(&mut Action, &Scope) -> Result<(), Failure>;

impl Node<'static> {
    /// Returns the node that this program runs on, under the name that the cluster has told
    /// the agent since the boot, or else the host's.
    ///
    /// # Errors
    /// This process is not root: it would see a part, and take the rest for absent.
    pub fn here() -> Result<Self, Failure> {
        let kernel = RealKernel::of_environment();
        if !kernel.may_act() {
            let cause = "only root sees all that there is";
            let failure = Failure::new(Kind::Node, "look at this node", cause);
            return Err(failure.advise("Be root"));
        }
        Ok(Self { door: Door::Here, name: run_files::node::name(&kernel), time: TIME })
    }
}

impl<'a> Node<'a> {
    /// Returns the node behind a kernel door of the caller's, for instance a simulated one.
    pub fn with(kernel: &'a dyn Kernel, name: &str) -> Self {
        Self { door: Door::Given(kernel), name: name.to_owned(), time: TIME }
    }

    /// Returns this node under another name. The keys that the node registers on disks are
    /// made of its name, so each node needs one that no other has, the same for every call.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// Returns this node with another time for each call than 20 seconds.
    #[must_use]
    pub fn within(self, time: Duration) -> Self {
        Self { time, ..self }
    }

    /// Returns what this node serves.
    ///
    /// # Errors
    /// Something is there and cannot be read.
    pub fn status(&self) -> Result<Status, Failure> {
        self.call(None, |action| verbs::status(&action))
    }

    /// Returns what speaks for and against a takeover on this node, now. Nothing is changed.
    pub fn check(&self, group: &Group) -> Vec<Finding> {
        self.call(None, |action| {
            verbs::check::check(&action, &Scope::of(action.kernel, group))
        })
    }

    /// Returns the steps of a `start` (a takeover) or a `stop` (a release) here, now. None of
    /// them is done.
    ///
    /// # Errors
    /// What would have the action refused.
    pub fn plan(&self, group: &Group, action: &str) -> Result<Vec<Step>, Failure> {
        let steps = verbs::plan::planner(action)?;
        self.call(None, |action| steps(&action, &Scope::of(action.kernel, group)))
    }

    /// Returns whether this node serves a group, and what is wrong with it.
    pub fn health(&self, group: &Group, level: Level) -> Health {
        self.call(Some((group, Purpose::Looks)), |action| {
            verbs::health(&action, &Scope::of(action.kernel, group), level)
        })
    }

    /// Serves a group from this node: owns its disks, exports them, and lets its ports appear.
    /// Returns where the time went.
    ///
    /// # Errors
    /// See [`verbs::takeover`]. What was begun is still there: [`Self::release`] it.
    pub fn takeover(&self, group: &Group) -> Result<Phases, Failure> {
        self.change(verbs::takeover, group)
    }

    /// Changes a group that this node serves to what its configuration says now: LUNs and
    /// initiators come and go under the live port. Returns where the time went.
    ///
    /// # Errors
    /// See [`verbs::reload`].
    pub fn reload(&self, group: &Group) -> Result<Phases, Failure> {
        self.change(verbs::reload, group)
    }

    /// Stops serving a group on this node: lets what is in flight end, logs its ports out, and
    /// leaves nothing. Returns where the time went.
    ///
    /// # Errors
    /// See [`verbs::release`]. The node may still serve, and has to be fenced.
    pub fn release(&self, group: &Group) -> Result<Phases, Failure> {
        self.change(verbs::release, group)
    }

    /// Returns what a disk says of its reservation.
    ///
    /// # Errors
    /// The disk does not answer, or knows no reservations.
    pub fn reservation(&self, disk: &Path) -> Result<Reservation, Failure> {
        let step = "read the reservation";
        let read = self.call(None, |Action { kernel, budget, .. }| {
            ownership::read(kernel, &[disk.to_owned()], budget).pop()
        });
        let read = read.ok_or_else(|| Failure::new(Kind::Failed, step, "no answer"))?;
        read.map_err(|error| Failure::kernel(step, &[error]))
    }

    fn change(&self, verb: Verb, group: &Group) -> Result<Phases, Failure> {
        self.call(Some((group, Purpose::Changes)), |mut action| {
            let scope = Scope::of(action.kernel, group);
            verb(&mut action, &scope)?;
            Ok(action.phases)
        })
    }

    /// Does something with this node's kernel, in the time that a call has. Work for a group
    /// can be told by its name, should it hang and outlive the call.
    fn call<T>(
        &self,
        work: Option<(&Group, Purpose)>,
        act: impl FnOnce(Action) -> T,
    ) -> T {
        let act = |kernel: &dyn Kernel| {
            act(Action::new(kernel, &self.name, Budget::new(kernel, self.time)))
        };
        match (&self.door, work) {
            (Door::Given(kernel), _) => act(*kernel),
            (Door::Here, None) => act(&RealKernel::of_environment()),
            (Door::Here, Some((group, purpose))) => {
                act(&RealKernel::of_environment().working_for(&group.name, purpose))
            }
        }
    }
}
