//! World Wide Names: the 64-bit names of nodes and ports on a Fibre Channel fabric.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::quoted;

/// A node name (WWNN), port name (WWPN) or fabric name.
///
/// It is read in any common spelling, and always printed as lower-case hex bytes with
/// colons. LIO's `fc` fabric takes no other spelling in a directory name (`ft_parse_wwn`
/// with `strict`, drivers/target/tcm_fc/tfc_conf.c).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(
    feature = "python",
    pyo3::pyclass(frozen, eq, ord, hash, from_py_object, module = "understudy")
)]
pub struct Wwn(u64);

/// Why a text is not a World Wide Name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text} is not a WWN: {why}; write 16 hex digits, for instance \
     20:00:00:25:b5:00:00:0a"
)]
pub struct WwnError {
    text: String,
    why: &'static str,
}

impl Wwn {
    /// Returns the name with this value. `None` for zero, which no port may have, and for
    /// 2^64 - 1, which the kernel shows where there is no name
    /// (`qla2x00_get_host_fabric_name`).
    pub fn new(value: u64) -> Option<Self> {
        (value != 0 && value != u64::MAX).then_some(Self(value))
    }

    /// Returns the name as a number. Its most significant byte is the first on the wire.
    pub fn value(self) -> u64 {
        self.0
    }

    /// Returns the name as 16 lower-case hex digits without separators, the form that
    /// `vport_create` takes (`fc_parse_wwn`, drivers/scsi/scsi_transport_fc.c).
    pub fn hex(self) -> String {
        format!("{:016x}", self.0)
    }
}

impl FromStr for Wwn {
    type Err = WwnError;

    fn from_str(text: &str) -> Result<Self, WwnError> {
        let wrong = |why| WwnError { text: quoted(text), why };
        let bare = text.trim();
        let bare = ["0x", "0X", "naa.", "NAA."]
            .iter()
            .find_map(|prefix| bare.strip_prefix(prefix))
            .unwrap_or(bare);
        let grouped = bare.contains([':', '-']);
        if grouped && !bare.split([':', '-']).all(|byte| byte.len() == 2) {
            return Err(wrong("its parts are not two digits each"));
        }
        let digits: String = bare.chars().filter(|c| !matches!(c, ':' | '-')).collect();
        if !digits.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(wrong("it has a character that is not a hex digit"));
        }
        if digits.len() != 16 {
            return Err(wrong("it does not have 16 hex digits"));
        }
        let value = u64::from_str_radix(&digits, 16).map_err(|_| wrong("not hex"))?;
        Self::new(value).ok_or_else(|| wrong("zero and all ones name nothing"))
    }
}

impl TryFrom<String> for Wwn {
    type Error = WwnError;
    fn try_from(text: String) -> Result<Self, WwnError> {
        text.parse()
    }
}

impl From<Wwn> for String {
    fn from(wwn: Wwn) -> Self {
        wwn.to_string()
    }
}

impl fmt::Display for Wwn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g, h, i] = self.0.to_be_bytes();
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}:{h:02x}:{i:02x}")
    }
}

impl fmt::Debug for Wwn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Parses a name from a sysfs attribute, which has it as `0x%llx`, without leading zeros
/// (`fc_host_port_name`, drivers/scsi/scsi_transport_fc.c).
pub fn from_sysfs(text: &str) -> Option<Wwn> {
    let hex = text.trim().strip_prefix("0x")?;
    u64::from_str_radix(hex, 16).ok().and_then(Wwn::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_common_spelling_is_one_name() {
        let want = Wwn(0x2000_0025_b500_000a);
        for text in [
            "20:00:00:25:b5:00:00:0a",
            "20:00:00:25:B5:00:00:0A",
            "20-00-00-25-b5-00-00-0a",
            "0x20000025b500000a",
            "naa.20000025b500000a",
            " 20000025B500000A ",
        ] {
            assert_eq!(text.parse(), Ok(want), "{text}");
        }
        assert_eq!(want.to_string(), "20:00:00:25:b5:00:00:0a");
        assert_eq!(want.hex(), "20000025b500000a");
    }

    #[test]
    fn a_refusal_names_the_text_and_the_reason() {
        for (text, why) in [
            ("", "16 hex digits"),
            ("20:00:00:25:b5:00:00", "16 hex digits"),
            ("20:00:00:25:b5:00:00:0g", "not a hex digit"),
            ("200:0:00:25:b5:00:00:0a", "two digits each"),
            ("0000000000000000", "zero"),
            ("２０００００２５", "not a hex digit"),
        ] {
            let error = text.parse::<Wwn>().unwrap_err().to_string();
            assert!(error.contains(why) && error.contains(text), "{text}: {error}");
        }
    }

    #[test]
    fn sysfs_does_not_pad() {
        assert_eq!(from_sysfs("0x1000aa\n"), Some(Wwn(0x1000aa)));
        assert_eq!(from_sysfs("0x0"), None);
        assert_eq!(from_sysfs("1000"), None);
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(value in 1u64..) {
            let wwn = Wwn(value);
            prop_assert_eq!(wwn.to_string().parse(), Ok(wwn));
            prop_assert_eq!(wwn.hex().parse(), Ok(wwn));
            prop_assert_eq!(from_sysfs(&format!("{value:#x}\n")), Some(wwn));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<Wwn>();
            let _ = from_sysfs(&text);
        }
    }
}
