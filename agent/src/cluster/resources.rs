//! Reading the resources of a configuration, as `cibadmin --query` prints it (Pacemaker's
//! xml/resources-*.rng).

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::configured::{Collection, Configured};
use super::times::{DEFAULT, Timeout};
use super::view::value;

/// Elements that collect resources. A collection's parameters are its members' too.
const COLLECTIONS: [&str; 4] = ["group", "clone", "master", "bundle"];

/// Returns every `primitive` of a configuration. Parameters are read where they are a
/// plain list. Pacemaker has to resolve those in which a template, a rule, a score, a
/// reference or a collection has a say ([`Configured::is_plain`]).
///
/// # Errors
/// The text is not XML.
pub fn parse(text: &str) -> Result<Vec<Configured>, quick_xml::Error> {
    let (mut parser, mut reader) = (Parser::default(), Reader::from_str(text));
    loop {
        match reader.read_event()? {
            Event::Start(tag) => parser.open(&tag),
            Event::Empty(tag) => {
                parser.open(&tag);
                parser.close();
            }
            Event::End(_) => parser.close(),
            Event::Eof => return Ok(parser.finish()),
            _ => {}
        }
    }
}

/// An element whose end tag has not come yet.
struct Open {
    name: String,
    /// The element's id; for an operation, its name.
    label: String,
    /// How many resources had been met before this element.
    before: usize,
    /// Whether the element has parameters that are its members' too.
    shares: bool,
}

#[derive(Default)]
struct Parser {
    met: Vec<Configured>,
    open: Vec<Open>,
    /// The timeout in `op_defaults`.
    default: Option<Timeout>,
    /// Whether the open set of `op_defaults` has a rule.
    is_ruled: bool,
}

impl Parser {
    fn open(&mut self, tag: &BytesStart) {
        let name = String::from_utf8_lossy(tag.name().as_ref()).into_owned();
        let is_reference = value(tag, "id-ref").is_some();
        let (parent, grandparent) = (self.above(0), self.above(1));
        let is_resource = |name: &str| matches!(name, "primitive" | "template");
        match (name.as_str(), parent.as_str(), grandparent.as_str()) {
            ("primitive", ..) => {
                let within = self.collections();
                self.met.push(Configured { within, ..Configured::new(tag, false) });
            }
            ("template", ..) => self.met.push(Configured::new(tag, true)),
            ("instance_attributes", parent, _) if is_resource(parent) => {
                self.note(|its| {
                    its.sets += 1;
                    if its.sets > 1 || is_reference {
                        its.leave_to_pacemaker();
                    }
                });
            }
            ("instance_attributes", parent, _) if COLLECTIONS.contains(&parent) => {
                if let Some(collection) = self.open.last_mut() {
                    collection.shares = true;
                }
            }
            ("rule", "instance_attributes", resource) if is_resource(resource) => {
                self.note(Configured::leave_to_pacemaker);
            }
            ("nvpair", "instance_attributes", resource) if is_resource(resource) => {
                self.note(|its| its.take_parameter(tag));
            }
            ("operations", parent, _) if is_resource(parent) => {
                self.note(|its| its.has_references |= is_reference);
            }
            ("op", "operations", resource) if is_resource(resource) => {
                self.note(|its| {
                    its.has_references |= is_reference;
                    let time = value(tag, "timeout").map(|time| Timeout::read(&time));
                    its.timeouts.extend(value(tag, "name").zip(time));
                });
            }
            ("nvpair", "meta_attributes", "op") if is_timeout(tag) => {
                let operation = self.open.iter().rev().nth(1).map(|op| op.label.clone());
                self.note(|its| {
                    let operation = operation.unwrap_or_default();
                    its.timeouts.entry(operation).or_insert(Timeout::NotJudged);
                });
            }
            ("meta_attributes", "op_defaults", _) => {
                self.is_ruled = false;
                if is_reference {
                    self.default = Some(Timeout::NotJudged);
                }
            }
            ("rule", "meta_attributes", "op_defaults") => self.is_ruled = true,
            ("nvpair", "meta_attributes", "op_defaults") if is_timeout(tag) => {
                let time = value(tag, "value").map(|time| Timeout::read(&time));
                let is_only = self.default.is_none() && !self.is_ruled;
                self.default = time.filter(|_| is_only).or(Some(Timeout::NotJudged));
            }
            _ => {}
        }
        let label = value(tag, if name == "op" { "name" } else { "id" });
        let (label, before) = (label.unwrap_or_default(), self.met.len());
        self.open.push(Open { name, label, before, shares: false });
    }

    fn close(&mut self) {
        let Some(closed) = self.open.pop() else { return };
        if closed.shares {
            let members = self.met.iter_mut().skip(closed.before);
            members.for_each(Configured::leave_to_pacemaker);
        }
    }

    /// Returns the open elements that collect resources.
    fn collections(&self) -> Vec<Collection> {
        let open =
            self.open.iter().filter(|its| COLLECTIONS.contains(&its.name.as_str()));
        let collection = |its: &Open| Collection {
            id: its.label.clone(),
            is_group: its.name == "group",
        };
        open.map(collection).collect()
    }

    /// Returns the name of an open element: the innermost one, or one further out.
    fn above(&self, steps: usize) -> String {
        self.open.iter().rev().nth(steps).map_or(String::new(), |open| open.name.clone())
    }

    fn note(&mut self, what: impl FnOnce(&mut Configured)) {
        if let Some(its) = self.met.last_mut() {
            what(its);
        }
    }

    /// Returns the resources, each with what its template gives it: an operation that both
    /// have is the resource's (`unpack_template` in Pacemaker's lib/pengine/complex.c).
    fn finish(self) -> Vec<Configured> {
        let default = self.default.unwrap_or(Timeout::Seconds(DEFAULT));
        let (templates, mut resources): (Vec<_>, Vec<_>) =
            self.met.into_iter().partition(|its| its.is_template);
        for its in &mut resources {
            its.default = default.clone();
            let template =
                templates.iter().find(|t| Some(&t.id) == its.template.as_ref());
            let Some(template) = template else { continue };
            its.agent.clone_from(&template.agent);
            its.has_references |= template.has_references;
            for (operation, timeout) in &template.timeouts {
                its.timeouts.entry(operation.clone()).or_insert(timeout.clone());
            }
        }
        resources
    }
}

fn is_timeout(tag: &BytesStart) -> bool {
    value(tag, "name").is_some_and(|name| name == "timeout")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Configured> {
        parse(text).unwrap()
    }

    #[test]
    fn parameters_and_times_are_told_from_the_rest() {
        let text = r#"<resources><clone id="c"><primitive id="f" class="ocf"
              provider="understudy" type="fcport"/></clone>
            <primitive id="g" class="ocf" provider="understudy" type="vport">
            <instance_attributes id="a">
              <nvpair id="j" name="disks" value="0=/dev/a&amp;b 1=c"/>
              <nvpair id="k" name="home" value=" array-a "/>
              <nvpair id="l" name="home" value="array-b"/>
            </instance_attributes>
            <meta_attributes id="m"><nvpair id="i" name="home" value="no"/></meta_attributes>
            <operations><op id="s" name="start" timeout="2min"/><op name="stop"/>
              <op id="o" name="monitor" timeout="500ms"><instance_attributes id="x">
                <nvpair id="y" name="OCF_CHECK_LEVEL" value="10"/>
              </instance_attributes></op>
            </operations></primitive>
            <group id="h"><instance_attributes id="z"><nvpair id="v" name="disks"
              value="no"/></instance_attributes></group></resources>"#;
        let all = read(text);
        let ids: Vec<_> = all.iter().map(|its| (its.id.as_str(), &*its.agent)).collect();
        assert_eq!(ids, [("f", "ocf:understudy:fcport"), ("g", "ocf:understudy:vport")]);
        let found = &all[1];
        let parameters = found.parameters.as_ref().unwrap();
        let names: Vec<_> = parameters.keys().collect();
        assert_eq!(names, ["disks", "home"]);
        assert_eq!(parameters["disks"], "0=/dev/a&b 1=c");
        assert_eq!(found.home(), Some("array-a"));
        let times = ["start", "stop", "monitor"].map(|name| found.timeout(name));
        assert_eq!(times, [120, 20, 0].map(Timeout::Seconds));
    }

    #[test]
    fn a_template_gives_its_agent_and_its_times() {
        let text = r#"<resources>
            <primitive id="p" class="ocf" provider="heartbeat" type="Dummy"/>
            <template id="t" class="ocf" provider="understudy" type="vport"><operations>
              <op id="to" name="stop" interval="0" timeout="25s"/>
              <op id="ta" name="start" interval="0" timeout="60s"/></operations></template>
            <primitive id="g" template="t"><operations>
              <op id="ga" name="start" interval="0" timeout="90s"/></operations>
            </primitive></resources>"#;
        let all = read(text);
        assert_eq!(all.len(), 2);
        assert_eq!(all[1].agent, "ocf:understudy:vport");
        assert!(all[0].is_plain() && !all[1].is_plain());
        let stops = [&all[0], &all[1]].map(|its| its.timeout("stop"));
        assert_eq!(stops, [20, 25].map(Timeout::Seconds));
        assert_eq!(all[1].timeout("start"), Timeout::Seconds(90));
    }

    #[test]
    fn what_is_no_plain_list_is_left_to_pacemaker() {
        let is_plain = |inside: &str| {
            let set = "<instance_attributes id='s'><nvpair name='home' value='a'/>\
                       </instance_attributes>";
            let inside = inside.replace("SET", set);
            read(&format!("<primitive id='g'>{inside}</primitive>"))[0].is_plain()
        };
        assert!(is_plain("SET"));
        assert!(is_plain("<instance_attributes id='s' score='7'/>"));
        assert!(is_plain("SET<operations><op><instance_attributes/></op></operations>"));
        for inside in [
            "SETSET",
            "<instance_attributes id-ref='s'/>",
            "<instance_attributes><nvpair id-ref='s' name='home'/></instance_attributes>",
            "<instance_attributes><rule score='1'/></instance_attributes>",
            "<instance_attributes><nvpair name='home' value='#default'/>\
             </instance_attributes>",
        ] {
            assert!(!is_plain(inside), "{inside}");
        }
        let group = "<group id='h'><primitive id='g'/><instance_attributes id='s'/>\
                     <primitive id='i'/></group><primitive id='j'/>";
        let plain: Vec<_> = read(group).iter().map(Configured::is_plain).collect();
        assert_eq!(plain, [false, false, true]);
    }

    #[test]
    fn times_that_no_operation_says_are_op_defaults() {
        let stop = |operations: &str, defaults: &str| {
            let text = format!(
                "<configuration><resources><primitive id='g'>{operations}</primitive>\
                 </resources><op_defaults>{defaults}</op_defaults></configuration>"
            );
            read(&text)[0].timeout("stop")
        };
        let set = |inside: &str| {
            let time = "<nvpair id='t' name='timeout' value='180s'/>";
            format!("<meta_attributes id='m'>{inside}{time}</meta_attributes>")
        };
        let own = "<operations><op name='stop' timeout='3min'/></operations>";
        let long = Timeout::Seconds(180);
        assert_eq!(stop("", ""), Timeout::Seconds(20));
        assert_eq!(stop("", &set("")), long);
        assert_eq!(stop(own, ""), long);
        assert_eq!(stop(own, &set("<rule id='r'/>")), long);
        assert_eq!(stop("", &set("<rule id='r'/>")), Timeout::NotJudged);
        assert_eq!(stop("", &(set("") + &set(""))), Timeout::NotJudged);
        let of = |op: &str| format!("<operations>{op}</operations>");
        let inner = of(&format!("<op name='stop'>{}</op>", set("")));
        assert_eq!(stop(&inner, ""), Timeout::NotJudged);
        assert_eq!(stop(&of("<op id-ref='x'/>"), ""), Timeout::NotJudged);
        assert_eq!(stop("<operations id-ref='x'/>", ""), Timeout::NotJudged);
        let reference = "<meta_attributes id-ref='m'/>";
        assert_eq!(stop("", reference), Timeout::NotJudged);
        let iso = of("<op name='stop' timeout='PT3M'/>");
        assert_eq!(stop(&iso, &set("")), Timeout::NoTime("PT3M".into()));
    }
}
