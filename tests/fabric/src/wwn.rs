//! World Wide Names: what a port or node is called, wherever it is plugged in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A 64-bit World Wide Name, printed in lower-case colon form.
///
/// ```
/// use understudy_fabric::wwn::Wwn;
/// let wwn: Wwn = "0x200000aa00000001".parse()?;
/// assert_eq!(wwn.to_string(), "20:00:00:aa:00:00:00:01");
/// # Ok::<(), understudy_fabric::wwn::WwnError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wwn(pub u64);

/// The error for a text that is no World Wide Name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a WWN (16 hex digits): {0:?}")]
pub struct WwnError(String);

impl fmt::Display for Wwn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g, h, i] = self.0.to_be_bytes();
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}:{h:02x}:{i:02x}")
    }
}

impl FromStr for Wwn {
    type Err = WwnError;

    /// Reads a name in any usual form: with colons or dashes, with `0x` or `naa.` in
    /// front, or plain hexadecimal.
    fn from_str(text: &str) -> Result<Self, WwnError> {
        let bare =
            text.strip_prefix("0x").or_else(|| text.strip_prefix("naa.")).unwrap_or(text);
        let digits: String = bare.chars().filter(|c| !matches!(c, ':' | '-')).collect();
        let plain = digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let value = plain.then(|| u64::from_str_radix(&digits, 16).ok()).flatten();
        value.map(Wwn).ok_or_else(|| WwnError(text.to_owned()))
    }
}

impl Serialize for Wwn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Wwn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_common_spelling_is_one_name() {
        for text in [
            "20:00:00:aa:00:00:00:01",
            "20-00-00-AA-00-00-00-01",
            "0x200000aa00000001",
            "naa.200000aa00000001",
            "200000AA00000001",
        ] {
            assert_eq!(text.parse(), Ok(Wwn(0x2000_00aa_0000_0001)), "{text}");
        }
    }

    #[test]
    fn an_error_names_the_bad_text() {
        for text in ["", "20:00", "200000aa0000000g", "+00000aa00000001", "é"] {
            let error = text.parse::<Wwn>().unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }
}
