//! Kinds of parameters: which values a parameter may have, and what to say of any other.

/// The kind of a parameter: which values it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text, for instance the name of a node or a disk.
    Text,
    /// Any words, separated by spaces.
    Words,
    /// A word from this list.
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
    /// A number of seconds: `10` or `10s`.
    Seconds,
}

impl Kind {
    /// Returns the words from which the value is chosen; empty for kinds that have no
    /// such list.
    #[must_use]
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Self::Choice(words) => words,
            Self::Flag => bool::WORDS,
            Self::Text | Self::Words | Self::Number { .. } | Self::Seconds => &[],
        }
    }

    /// Returns the number that a value stands for; `None` if the kind is not a number, or
    /// the value does not fit.
    #[must_use]
    pub(crate) fn number(self, value: &str) -> Option<u32> {
        match self {
            Self::Number { least, most } => {
                value.parse().ok().filter(|number| (least..=most).contains(number))
            }
            Self::Seconds => value.strip_suffix('s').unwrap_or(value).parse().ok(),
            Self::Text | Self::Words | Self::Choice(_) | Self::Flag => None,
        }
    }

    /// Returns what is wrong with a value, as the end of a sentence that begins with the
    /// value (`is not a number of seconds`); `None` for a good value.
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

/// A type that is written as one of a few words in the configuration.
pub(crate) trait Choice: Sized {
    /// The words, in the order in which they are listed for people.
    const WORDS: &'static [&'static str];

    /// Returns the value that a word stands for; `None` if it is not one of
    /// [`Self::WORDS`].
    fn of(word: &str) -> Option<Self>;
}

/// Implements [`Choice`] for a type from one table of words and values.
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
