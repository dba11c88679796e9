//! Location rules as `cibadmin --query` prints them (Pacemaker's
//! xml/constraints-*.rng), as far as each speaks of one resource and one node by name.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use understudy_core::config::group::is_same_node;

use super::view::value;

/// Where a resource may run, or has to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The id, by which a rule can be found and taken away.
    pub id: String,
    /// The node.
    pub node: String,
    /// The weight in Pacemaker's words: `-INFINITY`, `100`.
    pub score: String,
}

impl Rule {
    /// Reads the rules of a resource.
    ///
    /// # Errors
    /// It is no XML.
    pub fn parse(text: &str, resource: &str) -> Result<Vec<Self>, quick_xml::Error> {
        let (mut all, mut reader) = (Vec::new(), Reader::from_str(text));
        // The location that is open, where it is the resource's, and its rule's score.
        let (mut id, mut score) = (None, None);
        loop {
            match reader.read_event()? {
                Event::Start(tag) | Event::Empty(tag) => match tag.name().as_ref() {
                    b"rsc_location" => {
                        let its = value(&tag, "rsc").is_some_and(|its| its == resource);
                        id = value(&tag, "id").filter(|_| its);
                        all.extend(id.clone().and_then(|id| of_node(id, &tag)));
                    }
                    b"rule" => score = value(&tag, "score"),
                    b"expression" => {
                        all.extend(of_rule(id.as_ref(), score.as_ref(), &tag));
                    }
                    _ => {}
                },
                Event::Eof => return Ok(all),
                _ => {}
            }
        }
    }

    /// Returns whether this rule keeps the resource from a node. A rule that has ended by
    /// now looks like one in force.
    pub fn bans(&self, node: &str) -> bool {
        let same = is_same_node(&self.node, node);
        match self.score.as_str() {
            "-INFINITY" => same,
            "INFINITY" | "+INFINITY" => !same,
            _ => false,
        }
    }
}

/// Returns the rule of a location with a node and a score of its own.
fn of_node(id: String, tag: &BytesStart) -> Option<Rule> {
    let (node, score) = (value(tag, "node")?, value(tag, "score")?);
    Some(Rule { id, node, score })
}

/// Returns a location's rule about the name of a node, as a ban with an end has it.
fn of_rule(
    id: Option<&String>,
    score: Option<&String>,
    tag: &BytesStart,
) -> Option<Rule> {
    let is = |name, wanted| value(tag, name).is_some_and(|text| text == wanted);
    if !is("attribute", "#uname") || !is("operation", "eq") {
        return None;
    }
    let (node, score) = (value(tag, "value")?, score?.clone());
    Some(Rule { id: id?.clone(), node, score })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bans_are_told_from_preferences_and_from_other_resources() {
        let text = r##"<constraints>
            <rsc_location id="home" rsc="g" node="a" score="100"/>
            <rsc_location id="ban" rsc="g" role="Started" node="b" score="-INFINITY"/>
            <rsc_location id="other" rsc="h" node="c" score="-INFINITY"/>
            <rsc_location id="link" rsc="g"><rule id="r" score="2000">
              <expression id="e" attribute="fcport" operation="gt" value="0"/></rule>
            </rsc_location>
            <rsc_location id="until" rsc="g"><rule id="s" score="-INFINITY">
              <expression id="f" attribute="#uname" operation="eq" value="D"/>
              <date_expression id="d" operation="lt" end="2026-11-26"/></rule>
            </rsc_location>
            <rsc_location id="pin" rsc="i" node="a" score="INFINITY"/>
            <rsc_order id="o" first="g" then="h"/></constraints>"##;
        let rules = Rule::parse(text, "g").unwrap();
        let ids: Vec<_> = rules.iter().map(|rule| rule.id.as_str()).collect();
        assert_eq!(ids, ["home", "ban", "until"]);
        let banned = |node| rules.iter().find(|r| r.bans(node)).map(|r| r.id.as_str());
        let all = ["a", "b", "c", "d"].map(banned);
        assert_eq!(all, [None, Some("ban"), None, Some("until")]);
        let pin = Rule::parse(text, "i").unwrap();
        assert!(pin[0].bans("b") && !pin[0].bans("A"));
        assert!(Rule::parse("<a", "g").is_err());
    }
}
