//! What a scenario does to groups and nodes.

use super::{COMMAND, World};
use crate::error::Result;
use crate::groups::Group;
use crate::progress;
use understudy_fabric::control::Event;

impl World {
    /// Commands a move through Pacemaker and waits until the cluster has done it. Removes
    /// the rule that the move leaves behind.
    ///
    /// # Errors
    /// The group does not get there.
    pub fn move_to(&self, group: &Group, node: &str) -> Result<Event> {
        let login = self.go_to(group, node)?;
        self.load.in_bursts(|| self.forget_move(group))?;
        Ok(login)
    }

    /// Commands a move and waits until the cluster has done it. Its rule stays, until the
    /// next move or [`Self::forget_move`].
    ///
    /// # Errors
    /// The group does not get there.
    pub fn go_to(&self, group: &Group, node: &str) -> Result<Event> {
        let mark = self.mark()?;
        self.order_move(group, node)?;
        let login = self.wait_served(mark, group, node)?;
        // The cluster's commands are programs that take their time beside a full load.
        self.load.in_bursts(|| self.wait_runs_on(group, node))?;
        Ok(login)
    }

    /// Commands a move, and does not wait for it. Its rule stays, until
    /// [`Self::forget_move`].
    ///
    /// # Errors
    /// The cluster refuses.
    pub fn order_move(&self, group: &Group, node: &str) -> Result<()> {
        let command = format!("crm_resource -r {} --move -N {node}", group.name);
        self.node(group.partner)?.run(&command, COMMAND).map(drop)
    }

    /// Removes the rule of a move. The partner is asked to do it, because a fault may
    /// have struck the home.
    ///
    /// # Errors
    /// The cluster refuses.
    pub fn forget_move(&self, group: &Group) -> Result<()> {
        let command = format!("crm_resource -r {} --clear", group.name);
        self.node(group.partner)?.run(&command, COMMAND).map(drop)
    }

    /// Changes a parameter of a group while it is served, and waits until that is done.
    ///
    /// # Errors
    /// The cluster or the agent refuses.
    pub fn set_parameter(&self, group: &Group, name: &str, value: &str) -> Result<()> {
        let command =
            format!("crm_resource -r {} -p {name} -v '{value}' && lab-idle", group.name);
        self.node(group.partner)?.run(&command, COMMAND).map(drop)
    }

    /// Puts a node in standby or takes it out again; the other node is asked to do it.
    ///
    /// # Errors
    /// The cluster refuses.
    pub fn set_standby(&self, node: &str, is: bool) -> Result<()> {
        let value = if is { "on" } else { "off" };
        let script = format!("crm_attribute -t nodes -N {node} -n standby -v {value}");
        self.other(node)?.run(&script, COMMAND).map(drop)
    }

    /// Waits until a group's home is back, and brings the group there.
    ///
    /// # Errors
    /// The home does not come back, or the group does not get there.
    pub fn back_home(&self, group: &Group) -> Result<()> {
        let step = progress::step(format!("{}: boots, joins, gets it back", group.home));
        self.forget_move(group)?;
        self.wait_whole()?;
        self.giveback()?;
        step.done("");
        Ok(())
    }

    /// Cuts a node's power and waits until it is powered on again, which the cluster's
    /// fence does.
    ///
    /// # Errors
    /// The node is not powered on in time.
    pub fn cut_power(&self, name: &str) -> Result<()> {
        let node = self.node(name)?;
        let (step, boots) =
            (progress::step(format!("{name}: power cut, fenced")), node.boots());
        node.power_off();
        self.wait_fenced(name, boots)?;
        step.done("");
        Ok(())
    }

    /// Brings home every group that is not there.
    ///
    /// # Errors
    /// A group does not get there.
    pub fn giveback(&self) -> Result<()> {
        for group in &self.groups {
            if self.serving(group).map_or(true, |(node, _)| node != group.home) {
                self.move_to(group, group.home)?;
            }
        }
        Ok(())
    }
}
