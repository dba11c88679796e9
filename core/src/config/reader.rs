//! Reading a resource's parameters by their declarations. What is wrong is collected, so that
//! all of it can be said at once.

use std::fmt::Display;
use std::str::FromStr;

use super::kind::Choice;
use super::params::Param;
use crate::text::quoted;

/// Reads the parameters of a resource, and collects what is wrong with them.
#[derive(Debug)]
pub struct Reader<F> {
    declared: &'static [Param],
    given: F,
    faults: Vec<String>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    /// Returns a reader of the parameters that an agent declares. `given` returns what the
    /// configuration says of a parameter: nothing, where it is not set.
    pub fn new(declared: &'static [Param], given: F) -> Self {
        Self { declared, given, faults: Vec::new() }
    }

    /// Returns a parameter's value with its declaration. Nothing is returned after a fault.
    fn value(&mut self, name: &str) -> Option<(&'static Param, String)> {
        let declared = self.declared.iter().find(|param| param.name == name);
        let value = match declared {
            Some(param) => param.value((self.given)(name)).map(|value| (param, value)),
            None => Err(format!("{name} is not declared")),
        };
        value.map_err(|fault| self.faults.push(fault)).ok()
    }

    /// Returns a parameter's text. Nothing is returned where it is not set.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.value(name).map(|(_, value)| value).filter(|value| !value.is_empty())
    }

    /// Returns a parameter's number. Nothing is returned where it is not set.
    pub fn number(&mut self, name: &str) -> Option<u32> {
        self.value(name).and_then(|(param, value)| param.kind.number(&value))
    }

    /// Returns the word that was chosen of a parameter's words.
    pub fn word(&mut self, name: &str) -> Option<&'static str> {
        let (param, value) = self.value(name)?;
        let word = param.kind.words().iter().copied().find(|word| *word == value);
        if word.is_none() {
            self.faults
                .push(format!("{name} is not declared with the word {}", quoted(&value)));
        }
        word
    }

    /// Returns what the word means that was chosen of a parameter's words.
    pub fn choice<T: Choice>(&mut self, name: &str) -> Option<T> {
        let word = self.word(name)?;
        let choice = T::of(word);
        if choice.is_none() {
            self.faults.push(format!("{name}: '{word}' is declared, and means nothing"));
        }
        choice
    }

    /// Returns what a parameter's words mean, without those that mean nothing.
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

    /// Returns what a parameter's only word means; `what` is what the word names.
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

    /// Adds faults to those that were found.
    pub(super) fn add(&mut self, faults: Vec<String>) {
        self.faults.extend(faults);
    }

    /// Returns what was made of the parameters, if all of them were right.
    ///
    /// # Errors
    /// Every fault found, each with the parameter and the value.
    pub fn finish<T>(self, made: Option<T>) -> Result<T, Vec<String>> {
        made.filter(|_| self.faults.is_empty()).ok_or(self.faults)
    }
}
