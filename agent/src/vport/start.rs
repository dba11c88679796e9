//! start: returns when the port is Active with every LUN behind it.

use understudy_core::action::failure::{Failure, Kind};
use understudy_core::run_files::tries;
use understudy_core::verbs::takeover;

use super::Call;
use super::numbers::Change;
use crate::cluster;
use crate::exit::Outcome;

pub fn start(call: Call) -> Outcome {
    Outcome::of(serve(call))
}

fn serve(mut call: Call) -> Result<(), Failure> {
    not_cloned(call.environment.is_cloned)?;
    let group = call.scope.name.clone();
    remembered(tries::begin(call.kernel(), &group));
    let change = Change::of(&call)?;
    if let Some(change) = &change {
        change.allow(&call)?;
        call.scope.known.clone_from(&change.before);
    }
    cluster::learn_word(call.kernel());
    call.change(takeover, "taken over")?;
    remembered(tries::succeeded(call.kernel(), &group));
    change.iter().for_each(|change| change.remember(&call));
    Ok(())
}

/// Logs that a start could not be remembered: a start does not fail for that.
fn remembered(done: Result<(), Failure>) {
    if let Err(failure) = done {
        log::warn!("{failure}");
    }
}

/// Refuses an instance of a clone. Only this node is said to be unable to serve it:
/// another node that serves the group from before it was cloned goes on.
pub fn not_cloned(cloned: bool) -> Result<(), Failure> {
    if !cloned {
        return Ok(());
    }
    let cause = "the resource is a clone, and a port can be on one node alone";
    Err(Failure::new(Kind::Node, "read the parameters", cause)
        .advise("Take it out of the clone: pcs resource unclone, or delete the clone"))
}
