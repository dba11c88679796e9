//! What understudy reports to the cluster and asks of it, by Pacemaker's own commands.

mod configuration;
mod configured;
mod earlier;
mod numbers;
mod resolved;
mod resources;
mod rules;
pub mod standing;
mod times;
mod view;
mod word;

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::{Command, Output, Stdio};

use quick_xml::escape::escape;
use understudy_core::action::failure::{Failure, Kind};
use understudy_core::config::group::is_same_node;
use understudy_core::wwn::Wwn;

pub use configuration::Configuration;
pub use configured::Configured;
pub use numbers::{numbers_of, remember_numbers};
pub use rules::Rule;
pub use standing::{Says, Standing};
pub use times::{DEFAULT, Timeout};
pub use view::{Member, Resource, View};
pub use word::learn as learn_word;

/// The node attribute with the number of all physical ports online.
pub const PORTS: &str = "fcport";

/// Returns the name of the node attribute with the number of physical ports online in a
/// fabric.
pub fn ports_in(fabric: Wwn) -> String {
    format!("{PORTS}-{}", fabric.hex())
}

/// The prefix of the node attribute that says whether the node could serve a group.
const READY: &str = "ready-";
/// A value of [`ready`]: the group belongs to the node, and the node has had all that the
/// group needs for long enough. The group may come home.
pub const MAY_COME: i32 = 1;
/// A value of [`ready`]: the node has all that the group needs.
pub const COULD: i32 = 0;
/// A value of [`ready`]: the node lacks something.
pub const LACKS: i32 = -1;

/// Returns the name of the node attribute that says whether the node could serve a group.
pub fn ready(group: &str) -> String {
    format!("{READY}{group}")
}

/// The exit code of Pacemaker's commands where no cluster runs: CRM_EX_DISCONNECT
/// (crm_exit_t in Pacemaker's include/crm/common/results.h).
const NO_CLUSTER: i32 = 102;
/// The exit code of Pacemaker's commands where there is no such thing: CRM_EX_NOSUCH
/// (crm_exit_t, as above).
const NO_SUCH: i32 = 105;

/// The agent of a takeover group.
pub const GROUP: &str = "ocf:understudy:vport";

/// Runs one of Pacemaker's commands and returns what it printed.
///
/// # Errors
/// The command is not installed, or it fails: then the error has the command's own words.
pub fn ask(
    step: &'static str,
    program: &str,
    arguments: &[&str],
) -> Result<String, Failure> {
    let mut command = Command::new(program);
    let output = command.args(arguments).stdin(Stdio::null()).output();
    answer(step, program, output)
}

/// Runs one of Pacemaker's commands to ask for something that need not exist, and returns
/// what it printed. Returns nothing where that does not exist, where no cluster runs, or
/// where Pacemaker's tools are not installed.
///
/// # Errors
/// The command fails for another reason: what it was asked for may exist.
pub fn ask_if_any(
    step: &'static str,
    program: &str,
    arguments: &[&str],
) -> Result<Option<String>, Failure> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    match &output {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Ok(output)
            if [Some(NO_SUCH), Some(NO_CLUSTER)].contains(&output.status.code()) =>
        {
            Ok(None)
        }
        _ => answer(step, program, output).map(Some),
    }
}

/// Runs one of Pacemaker's commands with a text as its input and returns what it printed.
///
/// # Errors
/// See [`ask`].
fn ask_with(
    step: &'static str,
    program: &str,
    arguments: &[&str],
    input: &str,
) -> Result<String, Failure> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped());
    let started = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let output = started.and_then(|mut child| {
        // A program that stops reading says with its exit code what is wrong.
        if let Some(mut stdin) = child.stdin.take() {
            let _ = stdin.write_all(input.as_bytes());
        }
        child.wait_with_output()
    });
    answer(step, program, output)
}

fn answer(
    step: &'static str,
    program: &str,
    output: std::io::Result<Output>,
) -> Result<String, Failure> {
    let output = output.map_err(|error| {
        let failure = Failure::new(Kind::Node, step, format!("run {program}: {error}"));
        match error.kind() {
            ErrorKind::NotFound => {
                failure.advise("Install Pacemaker's command line tools")
            }
            _ => failure,
        }
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    if output.status.code() == Some(NO_CLUSTER) {
        return Err(Failure::new(Kind::Failed, step, "no cluster runs on this node")
            .advise("Start it, or ask on a node where it runs"));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().map(str::trim).find(|line| !line.is_empty());
    let said = said.map(|line| line.strip_prefix(program).unwrap_or(line));
    let said = said.map_or("no reason", |line| line.trim_start_matches([':', ' ']));
    Err(Failure::new(Kind::Failed, step, format!("{program}: {said}")))
}

/// Returns whether the cluster has nothing to do at this moment, as its controller says.
///
/// # Errors
/// See [`ask`].
pub fn is_idle() -> Result<bool, Failure> {
    let ask = |arguments: &[&str]| {
        ask(
            "ask the cluster's controller",
            "crmadmin",
            &[&["--quiet"], arguments].concat(),
        )
    };
    let controller = ask(&["--dc_lookup"])?;
    Ok(ask(&["--status", controller.trim()])?.trim() == "S_IDLE")
}

/// Sets a node attribute that ends with the node's membership.
///
/// # Errors
/// See [`ask`].
pub fn publish(name: &str, value: impl Display) -> Result<(), Failure> {
    let arguments = ["-n", name, "-U", &value.to_string(), "-q"];
    ask("tell the cluster", "attrd_updater", &arguments).map(drop)
}

/// Returns the name of the node attribute that says what a node presents of a group that
/// it serves. The attribute is private: only understudy reads it, and the configuration
/// need not carry it.
fn presents(group: &str) -> String {
    format!("presents-{group}")
}

/// Reports what this node presents of a group, an
/// [`understudy_core::disks::identity::Identity`]. This does not wait until the cluster has
/// taken it. Where no cluster runs, nobody asks for it.
pub fn publish_identity(group: &str, identity: impl Display) {
    publish_private(&presents(group), &identity.to_string());
}

/// Returns the name of the node attribute that lists the groups that have to leave a node
/// before this group can leave it. The attribute is private too.
fn guests(group: &str) -> String {
    format!("guests-{group}")
}

/// Reports which groups have to leave this node before this group can leave it.
pub fn publish_guests(group: &str, names: &[String]) {
    publish_private(&guests(group), &names.join(", "));
}

/// Returns the groups that, by a node's own report, have to leave it before this group
/// can. Returns nothing where the node reports nothing.
pub fn guests_of(group: &str, node: &str) -> Option<String> {
    private(&guests(group), node)
}

/// Returns the name of the node attribute with the number of ports that are online in a
/// fabric at this moment, whatever has been reported by [`ports_in`]. The attribute is
/// private too.
pub fn online_now(fabric: Wwn) -> String {
    format!("online-{}", fabric.hex())
}

/// Reports to the other nodes' watches how many ports are online in a fabric at this
/// moment.
pub fn publish_online_now(fabric: Wwn, ports: u32) {
    publish_private(&online_now(fabric), &ports.to_string());
}

/// Returns whether another node reports that it has a port online in a fabric at this
/// moment. A node that reports nothing counts as having none: it may have no ports at
/// all, such as a node that only votes. A node that has just booted reports with the
/// first monitor of its `fcport`, which Pacemaker runs right after the start; until then
/// nothing moves there. What a node reported before it left the cluster is forgotten
/// (`attrd_peer_remove` in Pacemaker's daemons/attrd/attrd_corosync.c).
pub fn online_elsewhere(fabric: Wwn, node: &str) -> bool {
    let arguments = ["-n", &online_now(fabric), "-Q", "-A"];
    // This fails where no node has reported anything.
    let said = ask("ask the cluster", "attrd_updater", &arguments).unwrap_or_default();
    said.lines().any(|line| {
        let host = field(line, "host").is_some_and(|host| !is_same_node(host, node));
        let ports = field(line, "value").and_then(|ports| ports.parse::<u32>().ok());
        host && ports.is_some_and(|ports| ports > 0)
    })
}

/// Returns a field of a line of `attrd_updater --query`:
/// `name="presents-group-a" host="array-a" value="..."`.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

fn publish_private(name: &str, value: &str) {
    let mut command = Command::new("attrd_updater");
    command.args(["-n", name, "-U", value, "-p", "-q"]).stdin(Stdio::null());
    if let Err(error) = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
        log::debug!("run attrd_updater: {error}");
    }
}

/// Returns what a node says that it presents of a group, or nothing where it says
/// nothing.
pub fn identity_of(group: &str, node: &str) -> Option<String> {
    private(&presents(group), node)
}

/// Returns the value of a node's private attribute.
fn private(name: &str, node: &str) -> Option<String> {
    let arguments = ["-n", name, "-Q", "-N", node];
    let said = ask("ask the cluster", "attrd_updater", &arguments).ok()?;
    field(&said, "value").map(str::to_owned)
}

/// Returns what the cluster calls this node, if one runs here.
pub fn own_name() -> Option<String> {
    let said = ask("ask the cluster", "crm_node", &["-n"]).ok()?;
    Some(said.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Deletes a node attribute.
///
/// # Errors
/// See [`ask`].
pub fn withdraw(name: &str) -> Result<(), Failure> {
    ask("tell the cluster", "attrd_updater", &["-n", name, "-D", "-q"]).map(drop)
}

/// Returns the cluster as it is now.
///
/// # Errors
/// See [`ask`].
pub fn view() -> Result<View, Failure> {
    let step = "look at the cluster";
    let text = ask(step, "crm_mon", &["--one-shot", "--output-as=xml"])?;
    View::parse(&text).map_err(|error| Failure::new(Kind::Failed, step, error))
}

/// Commands a move by a location rule of our own. `crm_resource --move` would also remove
/// a ban on the target, and the rule of a move that somebody else commanded. Our rule
/// ends by itself, in case this process dies before it removes the rule.
///
/// # Errors
/// See [`ask`].
pub fn order_move(resource: &str, node: &str) -> Result<(), Failure> {
    let (step, id, node) = ("command the move", rule_of_move(resource), escape(node));
    let end = ask(step, "date", &["--utc", "--date=10 minutes", "+%Y-%m-%d %H:%M:%SZ"])?;
    let rule = format!(
        "<constraints><rsc_location id=\"{id}\" rsc=\"{resource}\">\
         <rule id=\"{id}-rule\" score=\"INFINITY\" boolean-op=\"and\">\
         <expression id=\"{id}-node\" attribute=\"#uname\" operation=\"eq\" \
         value=\"{node}\"/>\
         <date_expression id=\"{id}-end\" operation=\"lt\" end=\"{}\"/>\
         </rule></rsc_location></constraints>",
        end.trim()
    );
    let arguments = ["--modify", "--allow-create", "--scope", "constraints", "-X", &rule];
    ask(step, "cibadmin", &arguments).map(drop)
}

/// Returns the id of the rule by which a group is moved.
pub fn rule_of_move(resource: &str) -> String {
    format!("understudy-move-{resource}")
}

/// Removes the rule of a commanded move, and no other rule.
///
/// # Errors
/// See [`ask`].
pub fn forget_move(resource: &str) -> Result<(), Failure> {
    let rule = format!("//rsc_location[@id='{}']", rule_of_move(resource));
    ask("end the move's rule", "cibadmin", &["--delete", "--xpath", &rule]).map(drop)
}
