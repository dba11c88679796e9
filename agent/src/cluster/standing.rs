//! Which nodes can take a group.

use understudy_core::config::group::is_same_node;

use super::{COULD, LACKS, Member, Resource, Rule, View, rule_of_move};

/// How a node stands to a group that another one serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The node can take the group, as far as is known.
    Able(Says),
    /// The node reports that it lacks something, for this reason.
    Lacking(String),
    /// The node reports nothing where others do, in words.
    Silent(String),
    /// Pacemaker would not run the group there, for this reason.
    Barred(String),
}

/// What a node that can take a group says of it; the more, the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Says {
    /// The node reports nothing, like every other node.
    Nothing,
    /// The node reports that it has physical ports online.
    Ports,
    /// The node reports that it has all that the group needs.
    Ready,
}

impl Says {
    /// Returns what a node says, in words that follow its name.
    pub fn words(self) -> &'static str {
        match self {
            Self::Nothing => "has nothing against it",
            Self::Ports => "says that it has ports online",
            Self::Ready => "says that it has all that the group needs",
        }
    }
}

impl Standing {
    /// Judges a node by what the cluster says of it; `rules` are the group's.
    pub fn of(view: &View, rules: &[Rule], group: &Resource, member: &Member) -> Self {
        if let Some(why) = unusable(member) {
            return Self::Barred(why);
        }
        if let Some(rule) = ban(view, rules, group, &member.name) {
            return Self::Barred(format!(
                "rule {rule} keeps {} from {}",
                group.id, member.name
            ));
        }
        match (lacks(group, member), says(group, member)) {
            (Some(why), _) => Self::Lacking(why),
            // The node may be there for its vote only, and have no storage.
            (None, Says::Nothing) if view.nodes.iter().any(Member::has_spoken) => {
                let name = &member.name;
                Self::Silent(format!("{name} says nothing of its ports, as others do"))
            }
            (None, says) => Self::Able(says),
        }
    }
}

/// Returns why a node can run nothing now, or nothing if it can.
pub fn unusable(member: &Member) -> Option<String> {
    let name = &member.name;
    let reasons = [
        (!member.online, format!("{name} is not online")),
        (member.standby, format!("{name} is in standby")),
        (member.maintenance, format!("{name} is in maintenance mode")),
    ];
    reasons.into_iter().find_map(|(applies, why)| applies.then_some(why))
}

/// Returns the id of the rule that keeps a group from a node, if there is one. Such a
/// rule names the node, or Pacemaker finds it in force now, whatever it is about. A rule
/// of ours that a killed command has left does not count: the next move replaces it.
pub fn ban(view: &View, rules: &[Rule], group: &Resource, node: &str) -> Option<String> {
    let ours = rule_of_move(&group.id);
    let by_name = rules.iter().find(|rule| rule.id != ours && rule.bans(node));
    let is_of =
        |resource: &String| *resource == group.id || group.within.contains(resource);
    let in_force = view
        .bans
        .iter()
        .find(|ban| is_of(&ban.resource) && is_same_node(&ban.node, node));
    by_name.map(|rule| &rule.id).or(in_force.map(|ban| &ban.id)).cloned()
}

/// Returns what a node says that it lacks, if it does.
fn lacks(group: &Resource, member: &Member) -> Option<String> {
    let (id, name) = (&group.id, &member.name);
    if member.ports_online == Some(0) {
        return Some(format!("{name} has no physical port online"));
    }
    let lacks = member.ready.get(id) == Some(&LACKS);
    lacks.then(|| {
        format!(
            "{name} says that it lacks something; understudy check {id}, there, says what"
        )
    })
}

fn says(group: &Resource, member: &Member) -> Says {
    match member.ready.get(&group.id) {
        Some(word) if *word >= COULD => Says::Ready,
        _ if member.has_spoken() => Says::Ports,
        _ => Says::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A quorum node, two nodes that Pacemaker keeps the group from, and others.
    const MON: &str = r#"<pacemaker-result><nodes>
        <node name="a" online="true"/><node name="b" online="true"/>
        <node name="c" online="true"/><node name="d" online="true"/>
        <node name="e" online="true"/><node name="f" online="false"/>
        <node name="g" online="true" standby="true"/><node name="h" online="true"/>
        <node name="i" online="true" type="remote"/></nodes>
        <resources><group id="all"><resource id="x" resource_agent="ocf:understudy:vport"
          role="Started" managed="true"><node name="a"/></resource></group></resources>
        <node_attributes>
        <node name="b"><attribute name="ready-x" value="0"/></node>
        <node name="c"><attribute name="fcport" value="2"/></node>
        <node name="d"><attribute name="fcport" value="0"/></node>
        <node name="e"><attribute name="ready-x" value="-1"/></node>
        <node name="i"><attribute name="ready-x" value="1"/></node></node_attributes>
        <bans><ban id="no-h" resource="all" node="h" weight="-1000000"/>
          <ban id="less" resource="x" node="b" weight="-5"/></bans></pacemaker-result>"#;

    #[test]
    fn nodes_are_judged_by_what_the_cluster_says_of_them() {
        let view = View::parse(MON).unwrap();
        let group = view.group("x").unwrap();
        let rules = [Rule { id: "pin".into(), node: "z".into(), score: "5".into() }];
        let of = |name| Standing::of(&view, &rules, group, view.node(name).unwrap());
        assert_eq!(of("b"), Standing::Able(Says::Ready));
        assert_eq!(of("c"), Standing::Able(Says::Ports));
        assert_eq!(of("d"), Standing::Lacking("d has no physical port online".into()));
        assert!(
            matches!(of("e"), Standing::Lacking(why) if why.contains("lacks something"))
        );
        assert_eq!(of("f"), Standing::Barred("f is not online".into()));
        assert_eq!(of("g"), Standing::Barred("g is in standby".into()));
        assert_eq!(of("h"), Standing::Barred("rule no-h keeps x from h".into()));
        assert_eq!(of("i"), Standing::Able(Says::Ready));
        let silent = "a says nothing of its ports, as others do";
        assert_eq!(of("a"), Standing::Silent(silent.into()));
        let quiet = MON.replace("attribute", "nothing");
        let quiet = View::parse(&quiet).unwrap();
        let a = quiet.node("a").unwrap();
        let group = quiet.group("x").unwrap();
        assert_eq!(Standing::of(&quiet, &[], group, a), Standing::Able(Says::Nothing));
        assert!(Says::Ready > Says::Ports && Says::Ports > Says::Nothing);
    }

    #[test]
    fn a_rule_that_names_a_node_is_in_the_way() {
        let view = View::parse(MON).unwrap();
        let group = view.group("x").unwrap();
        let rule = |id: &str, node: &str, score: &str| Rule {
            id: id.into(),
            node: node.into(),
            score: score.into(),
        };
        let bans = |rules: &[Rule], node| ban(&view, rules, group, node);
        let own = [rule("home", "a", "100"), rule("cli-ban-x-on-b", "b", "-INFINITY")];
        assert_eq!(bans(&own, "b").as_deref(), Some("cli-ban-x-on-b"));
        assert_eq!(bans(&own, "c"), None);
        let moved = [rule("cli-prefer-x", "a", "INFINITY")];
        assert_eq!(bans(&moved, "b").as_deref(), Some("cli-prefer-x"));
        assert_eq!(bans(&moved, "a"), None);
        let ours = [rule("understudy-move-x", "a", "INFINITY")];
        assert_eq!(bans(&ours, "b"), None);
    }
}
