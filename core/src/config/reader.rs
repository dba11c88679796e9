//! Reads the parameters of a resource as they are declared. Faults are collected, so that
//! all of them can be reported at once.

use std::fmt::Display;
use std::str::FromStr;

use super::kind::Choice;
use super::params::Param;
use crate::text::quoted;

/// A reader of a resource's parameters, with the faults that it has found so far.
#[derive(Debug)]
pub struct Reader<F> {
    declared: &'static [Param],
    given: F,
    faults: Vec<String>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    /// Returns a reader of the parameters that an agent declares. `given` returns the
    /// configured value of a parameter, or `None` if it is not set.
    pub fn new(declared: &'static [Param], given: F) -> Self {
        Self { declared, given, faults: Vec::new() }
    }

    /// Returns the declaration and the value of a parameter; `None` if there was a fault,
    /// which is noted.
    fn value(&mut self, name: &str) -> Option<(&'static Param, String)> {
        let declared = self.declared.iter().find(|param| param.name == name);
        let value = match declared {
            Some(param) => param.value((self.given)(name)).map(|value| (param, value)),
            None => Err(format!("{name} is not declared")),
        };
        value.map_err(|fault| self.faults.push(fault)).ok()
    }

    /// Returns a parameter's text; `None` if it is not set.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        self.value(name).map(|(_, value)| value).filter(|value| !value.is_empty())
    }

    /// Returns a parameter's number; `None` if it is not set.
    pub fn number(&mut self, name: &str) -> Option<u32> {
        self.value(name).and_then(|(param, value)| param.kind.number(&value))
    }

    /// Returns a parameter's value as one of the words that it is declared with.
    pub(crate) fn word(&mut self, name: &str) -> Option<&'static str> {
        let (param, value) = self.value(name)?;
        let word = param.kind.words().iter().copied().find(|word| *word == value);
        if word.is_none() {
            self.faults
                .push(format!("{name} is not declared with the word {}", quoted(&value)));
        }
        word
    }

    /// Returns a parameter's value as the type whose words it is declared with.
    pub(crate) fn choice<T: Choice>(&mut self, name: &str) -> Option<T> {
        let word = self.word(name)?;
        let choice = T::of(word);
        if choice.is_none() {
            self.faults.push(format!("{name}: '{word}' is declared, and means nothing"));
        }
        choice
    }

    /// Returns the parsed words of a parameter. Words that cannot be parsed are left out
    /// and noted as faults.
    pub(super) fn words<T>(&mut self, name: &str) -> Vec<T>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.text(name).unwrap_or_default();
        let mut found = Vec::new();
        for word in text.split_whitespace() {
            match word.parse() {
                Ok(value) => found.push(value),
                Err(fault) => self.faults.push(format!("{name}: {fault}")),
            }
        }
        found
    }

    /// Returns the parsed value of a parameter that takes one word. `what` names such a
    /// word in the fault for more than one.
    pub(super) fn one<T>(&mut self, name: &str, what: &str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        let found = self.words(name);
        if found.len() > 1 {
            self.faults.push(format!("{name}: more than one {what} given"));
        }
        found.into_iter().next()
    }

    /// Adds faults that the caller has found.
    pub(super) fn add(&mut self, faults: Vec<String>) {
        self.faults.extend(faults);
    }

    /// Returns what the caller has made of the parameters, if no fault was found.
    pub fn finish<T>(self, made: Option<T>) -> Result<T, Vec<String>> {
        made.filter(|_| self.faults.is_empty()).ok_or(self.faults)
    }
}
