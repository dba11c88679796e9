//! Resources that have to run where a group is before it starts: members of its Pacemaker
//! group that stand before it, and what it is ordered after or colocated with
//! (Pacemaker's xml/constraints-*.rng). A pool, a volume or a DRBD device comes with such a
//! resource, and is nowhere else.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::Configured;
use super::view::value;

/// Returns the ids of resources that have to run before one does; understudy's own make no
/// disks and are left out. `text` has the constraints.
///
/// # Errors
/// It is no XML.
pub fn before<'a>(
    text: &str,
    resources: &'a [Configured],
    one: &Configured,
) -> Result<Vec<&'a str>, quick_xml::Error> {
    let named = Named::in_constraints(text, one)?;
    let is_named = |its: &Configured| named.ids.iter().any(|id| its.is_or_is_in(id));
    let group = one.within.iter().rev().find(|its| its.is_group).map(|its| &its.id);
    let place = resources.iter().position(|its| its.id == one.id);
    let found = resources.iter().enumerate().filter(|(at, its)| {
        let stands_before = place.is_some_and(|place| *at < place)
            && group.is_some_and(|group| its.is_or_is_in(group));
        let is_ours = its.agent.starts_with("ocf:understudy:");
        its.id != one.id && !is_ours && (stands_before || is_named(its))
    });
    Ok(found.map(|(_, its)| its.id.as_str()).collect())
}

/// What a constraint is about, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    Order,
    Colocation,
    Other,
}

/// The resources that, by the constraints, have to be there before a resource, or before
/// a collection that it is in.
struct Named<'a> {
    one: &'a Configured,
    ids: Vec<String>,
    /// The constraint that is open.
    about: About,
    /// The resources in its sets so far, but those of the open set.
    earlier: Vec<String>,
    /// The resources in the open set so far.
    set: Vec<String>,
    /// Whether the resources of the open set wait for one another.
    is_sequential: bool,
    /// Whether the resource itself was met in a set.
    is_met: bool,
}

impl<'a> Named<'a> {
    fn in_constraints(text: &str, one: &'a Configured) -> Result<Self, quick_xml::Error> {
        let mut reader = Reader::from_str(text);
        let (ids, earlier, set) = (Vec::new(), Vec::new(), Vec::new());
        let (about, is_sequential, is_met) = (About::Other, true, false);
        let mut named = Self { one, ids, about, earlier, set, is_sequential, is_met };
        loop {
            match reader.read_event()? {
                Event::Start(tag) | Event::Empty(tag) => named.note(&tag),
                Event::End(tag) if is_constraint(tag.name().as_ref()) => named.end(),
                Event::Eof => return Ok(named),
                _ => {}
            }
        }
    }

    fn note(&mut self, tag: &BytesStart) {
        let is = |name, wanted: &[&str]| {
            value(tag, name).is_none_or(|text| wanted.contains(&text.as_str()))
        };
        match tag.name().as_ref() {
            b"rsc_order" => {
                let starts = is("first-action", &["start", "promote"])
                    && is("then-action", &["start"]);
                self.begin(if starts { About::Order } else { About::Other });
                if starts {
                    self.pair(value(tag, "then"), value(tag, "first"));
                }
            }
            b"rsc_colocation" => {
                let apart =
                    value(tag, "score").is_some_and(|score| score.starts_with('-'));
                self.begin(if apart { About::Other } else { About::Colocation });
                if !apart {
                    self.pair(value(tag, "rsc"), value(tag, "with-rsc"));
                }
            }
            name if is_constraint(name) => self.begin(About::Other),
            b"resource_set" => {
                self.earlier.append(&mut self.set);
                self.is_sequential =
                    value(tag, "sequential").is_none_or(|its| its != "false");
            }
            b"resource_ref" => {
                if let Some(id) = value(tag, "id") {
                    self.member(id);
                }
            }
            _ => {}
        }
    }

    fn begin(&mut self, about: About) {
        self.about = about;
        self.earlier.clear();
        self.set.clear();
        self.is_met = false;
    }

    /// Takes a constraint of two: where `later` is the one, `first` comes before it.
    fn pair(&mut self, later: Option<String>, first: Option<String>) {
        if later.is_some_and(|later| self.one.is_or_is_in(&later)) {
            self.ids.extend(first);
        }
    }

    fn member(&mut self, id: String) {
        if !self.one.is_or_is_in(&id) {
            self.set.push(id);
            return;
        }
        if self.about == About::Order && !self.is_met {
            self.ids.append(&mut self.earlier);
            if self.is_sequential {
                self.ids.append(&mut self.set);
            }
        }
        self.is_met = true;
    }

    /// Ends a constraint. In a constraint about places all resources have to be together.
    fn end(&mut self) {
        if self.about == About::Colocation && self.is_met {
            self.ids.append(&mut self.earlier);
            self.ids.append(&mut self.set);
        }
        self.about = About::Other;
    }
}

fn is_constraint(name: &[u8]) -> bool {
    name.starts_with(b"rsc_")
}

#[cfg(test)]
mod tests {
    use super::super::resources;
    use super::*;

    fn found(constraints: &str) -> String {
        let text = format!(
            "<configuration><resources><primitive id='pool' class='ocf' provider='heartbeat' \
             type='ZFS'/><clone id='fc'><primitive id='fcport' class='ocf' \
             provider='understudy' type='fcport'/></clone><clone id='mirror'>\
             <primitive id='drbd'/></clone><group id='all'><primitive id='volume'/>\
             <primitive id='g'/><primitive id='after'/></group></resources>\
             <constraints>{constraints}</constraints></configuration>"
        );
        let all = resources::parse(&text).unwrap();
        let g = all.iter().find(|its| its.id == "g").unwrap();
        before(&text, &all, g).unwrap().join(" ")
    }

    #[test]
    fn what_has_to_be_there_before_is_found() {
        assert_eq!(found(""), "volume");
        let order = |rest: &str| found(&format!("<rsc_order id='o' {rest}/>"));
        assert_eq!(order("first='pool' then='g'"), "pool volume");
        assert_eq!(
            order("first='mirror' first-action='promote' then='all'"),
            "drbd volume"
        );
        assert_eq!(order("first='fc' then='g'"), "volume");
        assert_eq!(order("first='g' then='pool'"), "volume");
        assert_eq!(order("first='pool' first-action='stop' then='g'"), "volume");
        let with = |rest: &str| found(&format!("<rsc_colocation id='c' {rest}/>"));
        assert_eq!(
            with("rsc='g' with-rsc='mirror' with-rsc-role='Promoted'"),
            "drbd volume"
        );
        assert_eq!(with("rsc='g' with-rsc='pool' score='-INFINITY'"), "volume");
        let set = |ids: &str| {
            let refs = ids.split(' ').map(|id| format!("<resource_ref id='{id}'/>"));
            format!("<resource_set id='s'>{}</resource_set>", refs.collect::<String>())
        };
        let in_order =
            |sets: String| found(&format!("<rsc_order id='o'>{sets}</rsc_order>"));
        assert_eq!(in_order(set("pool g drbd")), "pool volume");
        assert_eq!(in_order(set("pool drbd") + &set("g")), "pool drbd volume");
        assert_eq!(in_order(set("g") + &set("pool")), "volume");
        let loose = set("pool g").replace("id='s'", "id='s' sequential='false'");
        assert_eq!(in_order(loose), "volume");
        let together =
            format!("<rsc_colocation id='c'>{}</rsc_colocation>", set("g pool"));
        assert_eq!(found(&together), "pool volume");
        let place = format!("<rsc_location id='l'>{}</rsc_location>", set("pool g"));
        assert_eq!(found(&place), "volume");
    }
}
