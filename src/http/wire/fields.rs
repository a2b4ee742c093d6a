//! Fields of an object, taken out one by one; every fault is kept under the name of its field.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::domain::draft::Fault;
use crate::domain::time::Timestamp;
use crate::domain::time::parse_duration;

use super::json;

/// Most unknown fields of one object that are told.
const UNKNOWN_TOLD_MAX: usize = 100;

/// Fields of one object.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    values: BTreeMap<String, &'a RawValue>,
    faults: Vec<Fault>,
}

impl<'a> Fields<'a> {
    /// The fields of `raw`, or what is wrong with it.
    pub(super) fn of(raw: &'a RawValue) -> Result<Self, String> {
        let members = json::members(raw)?;
        let twice = members.twice.iter().take(UNKNOWN_TOLD_MAX);
        let faults = twice.map(|name| Fault::new(name.as_str(), "is given twice")).collect();
        Ok(Self { values: members.values, faults })
    }

    /// Whether a field is there and was not taken yet.
    pub(super) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The text of a value.
    pub(super) fn raw(&mut self, name: &str) -> Option<&'a RawValue> {
        self.values.remove(name)
    }

    /// A value that is text.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let raw = self.raw(name)?;
        self.kept(name, text(raw))
    }

    /// A value that is true or false.
    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        let raw = self.raw(name)?;
        let read = match raw.get() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("must be true or false"),
        };
        self.kept(name, read)
    }

    /// A value that is text and parses.
    pub(super) fn parsed<T>(&mut self, name: &str) -> Option<T>
    where
        T: FromStr<Err: fmt::Display>,
    {
        let text = self.text(name)?;
        self.kept(name, text.parse())
    }

    /// A moment.
    pub(super) fn moment(&mut self, name: &str) -> Option<Timestamp> {
        self.parsed(name)
    }

    /// A length with its unit.
    pub(super) fn length(&mut self, name: &str) -> Option<Duration> {
        let raw = self.raw(name)?;
        self.kept(name, length(raw))
    }

    /// Takes a field away if it is null, where null means that it is not given.
    pub(super) fn drop_null(&mut self, name: &str) {
        if self.values.get(name).is_some_and(|raw| raw.get() == "null") {
            self.values.remove(name);
        }
    }

    /// Keeps what is wrong with a field.
    pub(super) fn fault(&mut self, name: &str, message: impl fmt::Display) {
        self.faults.push(Fault::new(name, message));
    }

    /// The value, or nothing, and the fault is kept.
    pub(super) fn kept<T>(&mut self, name: &str, read: Result<T, impl fmt::Display>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(message) => {
                self.fault(name, message);
                None
            }
        }
    }

    /// All faults; a field that nobody took is one.
    pub(super) fn end(mut self) -> Vec<Fault> {
        for name in self.values.keys().take(UNKNOWN_TOLD_MAX) {
            self.faults.push(Fault::new(name.as_str(), "is not known here"));
        }
        self.faults
    }
}

/// A value that is text.
pub(super) fn text(raw: &RawValue) -> Result<String, String> {
    if !raw.get().starts_with('"') {
        return Err("must be text".into());
    }
    json::value(raw)
}

fn length(raw: &RawValue) -> Result<Duration, String> {
    if !raw.get().starts_with('"') {
        return Err("must be text with a unit, such as \"5s\"".into());
    }
    parse_duration(&text(raw)?).map_err(|error| error.to_string())
}
