//! The HBA as a FIP node: it finds a forwarder and shows that it is alive (FC-BB-5).

use std::time::Duration;

use understudy_fabric::addr::Mac;
use understudy_fabric::fip::Fip;
use understudy_fabric::wwn::Wwn;

/// How long a node waits for an answer to its solicitation before it asks again.
const SOLICITATION: Duration = Duration::from_secs(2);
/// The period of keep-alives where a forwarder states none that makes sense (FC-BB-5).
const PERIOD: Duration = Duration::from_secs(8);
/// The shortest period that is believed.
const SHORTEST: Duration = Duration::from_millis(100);

/// A forwarder that answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Forwarder {
    /// The forwarder's MAC, from which all frames come and to which all go.
    pub(super) mac: Mac,
    /// The name of its switch.
    pub(super) switch: Wwn,
    /// The period of its advertisements and of keep-alives.
    period: Duration,
    /// Whether it wants keep-alives.
    pub(super) keep_alive: bool,
    /// When it was last heard.
    heard: Duration,
    /// When the next keep-alive is due.
    beat: Duration,
}

impl Forwarder {
    /// When it is taken for dead: after two and a half silent periods.
    fn end(&self) -> Duration {
        self.heard.saturating_add(self.period.saturating_mul(5) / 2)
    }
}

/// How far discovery has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Discovery {
    /// The link is down.
    Down,
    /// Nobody has answered. The next solicitation is due at this time.
    Looking(Duration),
    /// A forwarder answered.
    Found(Forwarder),
}

/// What an advertisement tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing new.
    None,
    /// The forwarder is found.
    Found,
    /// A forwarder is there. It has to be asked before it is used.
    Unasked(Mac),
}

/// What is due in discovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing.
    Nothing,
    /// A solicitation to all forwarders.
    Solicit,
    /// A keep-alive of the node.
    Beat,
    /// The forwarder is dead.
    Lost,
}

impl Discovery {
    /// Returns the forwarder, if there is one.
    pub(super) fn forwarder(&self) -> Option<Forwarder> {
        match self {
            Self::Found(forwarder) => Some(*forwarder),
            _ => None,
        }
    }

    /// Takes an advertisement from a MAC. One that nobody asked for is only a sign of life
    /// (FC-BB-5).
    pub(super) fn advertised(
        &mut self,
        from: Mac,
        advertisement: &Fip,
        now: Duration,
    ) -> News {
        let &Fip::Advertisement { solicited, fcf, switch, fka_ms, no_keep_alive, .. } =
            advertisement
        else {
            return News::None;
        };
        // A group address can be nobody's own, and frames could not be sent to it.
        let [first, ..] = fcf.0;
        if fcf != from || first & 1 == 1 {
            return News::None;
        }
        let stated = Duration::from_millis(u64::from(fka_ms));
        let period = if stated < SHORTEST { PERIOD } else { stated };
        let keep_alive = !no_keep_alive;
        match self {
            Self::Found(known) if known.mac == fcf => {
                *known = Forwarder { period, keep_alive, heard: now, ..*known };
                News::None
            }
            Self::Looking(_) if solicited => {
                *self = Self::Found(Forwarder {
                    mac: fcf,
                    switch,
                    period,
                    keep_alive,
                    heard: now,
                    beat: now.saturating_add(period),
                });
                News::Found
            }
            Self::Looking(next) if !solicited => {
                *next = now.saturating_add(SOLICITATION);
                News::Unasked(fcf)
            }
            _ => News::None,
        }
    }

    /// Returns when something is due.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match self {
            Self::Down => None,
            Self::Looking(next) => Some(*next),
            Self::Found(forwarder) if forwarder.keep_alive => {
                Some(forwarder.beat.min(forwarder.end()))
            }
            Self::Found(forwarder) => Some(forwarder.end()),
        }
    }

    /// Returns what is due, and notes it as done.
    pub(super) fn due(&mut self, now: Duration) -> Due {
        match self {
            Self::Looking(next) if now >= *next => {
                *next = now.saturating_add(SOLICITATION);
                Due::Solicit
            }
            Self::Found(forwarder) if now >= forwarder.end() => {
                *self = Self::Looking(now);
                Due::Lost
            }
            Self::Found(forwarder) if forwarder.keep_alive && now >= forwarder.beat => {
                forwarder.beat = now.saturating_add(forwarder.period);
                Due::Beat
            }
            _ => Due::Nothing,
        }
    }
}
