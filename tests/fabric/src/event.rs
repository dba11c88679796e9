//! Events in the fabric, which the log, the control socket and the tests share.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::addr::Fcid;
use crate::wwn::Wwn;

/// The kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A port logged in.
    Login,
    /// A port logged out, was logged out by its own new login, or lost its link.
    Logout,
    /// A login was rejected; the FCID is that of the port that has the name, if any.
    Refused,
    /// A port lost its login to a later login of the same WWPN on another link.
    Replaced,
    /// A link came up.
    LinkUp,
    /// A link went down.
    LinkDown,
    /// A port sent no keep-alive for two and a half periods.
    AgedOut,
    /// A port's login was ended through the control socket.
    Dropped,
    /// State change notifications about a port were sent.
    Rscn,
    /// A port's FC-4 features became known to the name server.
    Registered,
    /// A port gave up an exchange with another port (ABTS) that took too long.
    Aborted,
    /// Other zones came into force.
    Zoned,
    /// Forwarding between ports was paused.
    Paused,
    /// Forwarding between ports was resumed.
    Resumed,
}

impl What {
    /// Whether such an event ends the login of the port that it names.
    pub fn ends_login(self) -> bool {
        matches!(self, Self::Logout | Self::Replaced | Self::AgedOut | Self::Dropped)
    }
}

/// How a port logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoginKind {
    /// A physical port.
    Flogi,
    /// A virtual port.
    Fdisc,
}

/// An event, which is a line of the event log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The event's number. Numbers begin with 1 and have no gaps.
    pub seq: u64,
    /// When the event happened, in seconds since 1970.
    pub t: f64,
    /// The kind of the event.
    pub event: What,
    /// How the port logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<LoginKind>,
    /// The port's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wwpn: Option<Wwn>,
    /// The name of the port's node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wwnn: Option<Wwn>,
    /// The port's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fcid: Option<Fcid>,
    /// The link's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Why the event happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Event {
    /// Returns an event that the log has not numbered and dated yet.
    pub fn new(event: What) -> Self {
        Self {
            seq: 0,
            t: 0.0,
            event,
            kind: None,
            wwpn: None,
            wwnn: None,
            fcid: None,
            link: None,
            reason: None,
        }
    }

    /// Returns this event, on a link.
    pub fn on_link(self, link: &str) -> Self {
        Self { link: Some(link.to_owned()), ..self }
    }

    /// Returns this event, with a reason.
    pub fn because(self, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }
}

/// A WWPN that was logged in twice at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Overlap {
    /// The name.
    pub wwpn: Wwn,
    /// The login that had not ended.
    pub first: Event,
    /// The later login.
    pub second: Event,
}

/// Returns every moment at which a WWPN was logged in twice, from the log alone.
///
/// The fabric keeps one login for each name, so its own log has no overlap. [`contests`]
/// returns the attempts, for which a cluster has to answer.
pub fn overlaps(events: &[Event]) -> Vec<Overlap> {
    let mut live: BTreeMap<Wwn, Vec<&Event>> = BTreeMap::new();
    let mut found = Vec::new();
    for event in events {
        let Some(wwpn) = event.wwpn else { continue };
        let logins = live.entry(wwpn).or_default();
        if event.event == What::Login {
            found.extend(logins.iter().map(|first| Overlap {
                wwpn,
                first: (*first).clone(),
                second: event.clone(),
            }));
            logins.push(event);
        } else if event.event.ends_login() {
            logins.retain(|login| (login.fcid, &login.link) != (event.fcid, &event.link));
        }
    }
    found
}

/// Returns every attempt to log a WWPN in while it was logged in on another link: refused
/// logins of a name that was live, and logins that were taken over.
pub fn contests(events: &[Event]) -> Vec<Event> {
    let contested = |event: &&Event| match event.event {
        What::Replaced => true,
        What::Refused => event.fcid.is_some(),
        _ => false,
    };
    events.iter().filter(contested).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Wwn = Wwn(0x2000_00aa_0000_0001);

    fn event(what: What, wwpn: Wwn, fcid: u32, link: &str) -> Event {
        Event {
            wwpn: Some(wwpn),
            fcid: Some(Fcid(fcid)),
            ..Event::new(what).on_link(link)
        }
    }

    #[test]
    fn a_second_login_before_the_first_ended_is_an_overlap() {
        let first = event(What::Login, NAME, 1, "a");
        let second = event(What::Login, NAME, 2, "b");
        let found = overlaps(&[first.clone(), second.clone()]);
        assert_eq!(found, [Overlap { wwpn: NAME, first, second }]);
    }

    #[test]
    fn every_end_of_a_login_makes_room_for_the_next() {
        for end in [What::Logout, What::Replaced, What::AgedOut, What::Dropped] {
            let log = [
                event(What::Login, NAME, 1, "a"),
                event(end, NAME, 1, "a"),
                event(What::Login, NAME, 2, "b"),
            ];
            assert_eq!(overlaps(&log), [], "{end:?}");
        }
    }

    #[test]
    fn the_end_of_another_login_does_not_count() {
        for other in
            [event(What::Logout, NAME, 9, "a"), event(What::Logout, NAME, 1, "b")]
        {
            let log = [
                event(What::Login, NAME, 1, "a"),
                other,
                event(What::Login, NAME, 2, "b"),
            ];
            assert_eq!(overlaps(&log).len(), 1);
        }
    }

    #[test]
    fn different_names_do_not_overlap() {
        let log = [
            event(What::Login, NAME, 1, "a"),
            event(What::Login, Wwn(NAME.0 + 1), 2, "b"),
        ];
        assert_eq!(overlaps(&log), []);
    }

    #[test]
    fn a_third_login_overlaps_with_both() {
        let log = [1, 2, 3].map(|fcid| event(What::Login, NAME, fcid, "a"));
        assert_eq!(overlaps(&log).len(), 3);
    }

    #[test]
    fn contests_are_attempts_on_a_live_name() {
        let taken = event(What::Replaced, NAME, 1, "a");
        let refused = event(What::Refused, NAME, 1, "b");
        let no_npiv = Event { fcid: None, ..refused.clone() };
        let log =
            [event(What::Login, NAME, 1, "a"), taken.clone(), refused.clone(), no_npiv];
        assert_eq!(contests(&log), [taken, refused]);
    }

    #[test]
    fn a_line_has_the_documented_shape() {
        let event = Event {
            seq: 7,
            t: 1.5,
            kind: Some(LoginKind::Fdisc),
            wwnn: Some(Wwn(1)),
            ..event(What::LinkDown, NAME, 0x01_0203, "array-a").because("why")
        };
        let line = serde_json::to_string(&event).unwrap();
        assert_eq!(
            line,
            r#"{"seq":7,"t":1.5,"event":"link-down","kind":"fdisc","#.to_owned()
                + r#""wwpn":"20:00:00:aa:00:00:00:01","wwnn":"00:00:00:00:00:00:00:01","#
                + r#""fcid":"0x010203","link":"array-a","reason":"why"}"#
        );
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }
}
