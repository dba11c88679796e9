//! Addresses: the 24-bit FC address (FCID) and the Ethernet MAC it maps to.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// FC-MAP: the high half of every MAC that this fabric grants (FC-BB-5 default).
pub const FC_MAP: u32 = 0x0e_fc00;

/// The 24-bit address that a fabric grants to a port at login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fcid(pub u32);

impl Fcid {
    /// No address yet. FLOGI and FDISC come from it.
    pub const NONE: Self = Self(0);
    /// The FDMI server.
    pub const MANAGEMENT: Self = Self(0xff_fffa);
    /// The name server (dNS).
    pub const DIRECTORY: Self = Self(0xff_fffc);
    /// The fabric controller: takes SCR, sends RSCN.
    pub const CONTROLLER: Self = Self(0xff_fffd);
    /// The F_Port at the other end of the cable: takes FLOGI, FDISC and LOGO.
    pub const F_PORT: Self = Self(0xff_fffe);

    /// Whether the fabric itself answers at this address (FC-FS, well-known addresses).
    pub fn is_well_known(self) -> bool {
        self.0 >= 0xff_fff0
    }
}

impl fmt::Display for Fcid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:06x}", self.0)
    }
}

impl Serialize for Fcid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fcid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.strip_prefix("0x")
            .and_then(|hex| u32::from_str_radix(hex, 16).ok())
            .filter(|value| *value < 1 << 24)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom(format!("not an FCID: {text:?}")))
    }
}

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Every node: where advertisements go (FC-BB-5).
    pub const ALL_ENODES: Self = Self([0x01, 0x10, 0x18, 0x01, 0x00, 0x01]);
    /// Every forwarder: where solicitations go.
    pub const ALL_FCFS: Self = Self([0x01, 0x10, 0x18, 0x01, 0x00, 0x02]);
    /// This forwarder's own address: locally administered, and outside FC-MAP.
    pub const FCF: Self = Self([0x02, 0x0f, 0xcf, 0x00, 0x00, 0x01]);
    /// What a node that wants a fabric-provided address puts in its FLOGI.
    pub const ZERO: Self = Self([0; 6]);

    /// Returns the fabric-provided MAC of a port: FC-MAP, then the FCID.
    pub fn fabric_provided(fcid: Fcid) -> Self {
        let [_, a, b, c] = FC_MAP.to_be_bytes();
        let [_, d, e, f] = fcid.0.to_be_bytes();
        Self([a, b, c, d, e, f])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([a, b, c, d, e, g]) = self;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}
