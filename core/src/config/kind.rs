//! Kinds of parameters: what a value may be, and what is wrong with one that is something
//! else.

/// What a parameter's value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A name, for instance a node's or a disk's.
    Text,
    /// Names, separated by spaces.
    Words,
    /// A word of this list.
    Choice(&'static [&'static str]),
    /// `yes` or `no`.
    Flag,
    /// A whole number.
    Number {
        /// The smallest number that is allowed.
        least: u32,
        /// The largest number that is allowed.
        most: u32,
    },
    /// A number of seconds, with or without an `s` behind it.
    Seconds,
}

impl Kind {
    /// Returns the list from which the value is chosen. The list is empty where the value
    /// is not chosen from one.
    #[must_use]
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Self::Choice(words) => words,
            Self::Flag => bool::WORDS,
            Self::Text | Self::Words | Self::Number { .. } | Self::Seconds => &[],
        }
    }

    /// Returns the number that a value means. Nothing is returned for a value that is not
    /// a number of this kind.
    #[must_use]
    pub fn number(self, value: &str) -> Option<u32> {
        match self {
            Self::Number { least, most } => {
                value.parse().ok().filter(|number| (least..=most).contains(number))
            }
            Self::Seconds => value.strip_suffix('s').unwrap_or(value).parse().ok(),
            Self::Text | Self::Words | Self::Choice(_) | Self::Flag => None,
        }
    }

    /// Returns what a value is, if it is not of this kind: the end of a sentence that
    /// begins with the value.
    pub(super) fn fault(self, value: &str) -> Option<String> {
        let (is_good, fault) = match self {
            Self::Text | Self::Words => return None,
            Self::Choice(_) | Self::Flag => {
                let words = self.words();
                let fault = match words {
                    [one, other] => format!("is neither {one} nor {other}"),
                    _ => format!("is none of {}", words.join(", ")),
                };
                (words.contains(&value), fault)
            }
            Self::Number { least, most } => {
                let fault = format!("is not a number from {least} to {most}");
                (self.number(value).is_some(), fault)
            }
            Self::Seconds => {
                (self.number(value).is_some(), "is not a number of seconds".into())
            }
        };
        (!is_good).then_some(fault)
    }
}

/// A type whose values have words in the configuration.
pub trait Choice: Sized {
    /// The words, in the order in which people should meet them.
    const WORDS: &'static [&'static str];

    /// Returns the value that a word means.
    fn of(word: &str) -> Option<Self>;
}

/// Gives a type its words in the configuration, from one table.
macro_rules! words {
    ($of:ty { $($word:literal => $value:expr),+ $(,)? }) => {
        impl $crate::config::kind::Choice for $of {
            const WORDS: &'static [&'static str] = &[$($word),+];

            fn of(word: &str) -> Option<Self> {
                match word {
                    $($word => Some($value),)+
                    _ => None,
                }
            }
        }
    };
}
pub(super) use words;

words!(bool { "yes" => true, "no" => false });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_bounds_and_seconds_may_have_their_unit() {
        let number = Kind::Number { least: 1, most: 64 };
        let read = ["0", "1", "64", "65", "1s", "-1", "", "x"].map(|v| number.number(v));
        assert_eq!(read, [None, Some(1), Some(64), None, None, None, None, None]);
        let fault = number.fault("65");
        assert_eq!(fault.as_deref(), Some("is not a number from 1 to 64"));
        let read = ["0", "10", "10s", "s", "-1", "5min"].map(|v| Kind::Seconds.number(v));
        assert_eq!(read, [Some(0), Some(10), Some(10), None, None, None]);
        let fault = Kind::Seconds.fault("5min");
        assert_eq!(fault.as_deref(), Some("is not a number of seconds"));
    }
}
