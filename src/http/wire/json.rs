//! JSON objects and lists one level deep, with the texts of their values.
//!
//! Ordinary maps drop a name that comes twice; these tell.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde_json::value::RawValue;

use crate::http::problem::Answer;
use crate::http::problem::Kind;
use crate::http::problem::Problem;

/// Most members of an object; the labels of a task cannot be more.
const MEMBERS_MAX: usize = 20_000;

/// Checks that `text` is one JSON value.
pub(super) fn document(text: &str) -> Answer<&RawValue> {
    serde_json::from_str(text).map_err(|error| Problem::new(Kind::NotJson, error.to_string()))
}

/// Members of an object.
#[derive(Debug, Default)]
pub(super) struct Members<'a> {
    pub(super) values: BTreeMap<String, &'a RawValue>,
    pub(super) twice: BTreeSet<String>,
}

/// The members of `raw`, or what is wrong with it.
pub(super) fn members(raw: &RawValue) -> Result<Members<'_>, String> {
    if !raw.get().starts_with('{') {
        return Err("must be a JSON object".into());
    }
    serde_json::from_str(raw.get()).map_err(|error| reason(&error))
}

/// The items of `raw`, at most `max`, or what is wrong with it.
pub(super) fn items(raw: &RawValue, max: usize) -> Result<Vec<&RawValue>, String> {
    if !raw.get().starts_with('[') {
        return Err("must be a list".into());
    }
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    deserializer.deserialize_seq(Items { max }).map_err(|error| reason(&error))
}

/// Reads `raw` into a type, or says what is wrong, without a place that would mislead: it is counted
/// from the start of the value and not of the body.
pub(super) fn value<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, String> {
    serde_json::from_str(raw.get()).map_err(|error| reason(&error))
}

fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].into(),
        None => text,
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members::default();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            if members.values.len() >= MEMBERS_MAX {
                let message = format!("has more than {MEMBERS_MAX} members");
                return Err(serde::de::Error::custom(message));
            }
            if members.values.insert(name.clone(), value).is_some() {
                members.twice.insert(name);
            }
        }
        Ok(members)
    }
}

struct Items {
    max: usize,
}

impl<'de> Visitor<'de> for Items {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            if items.len() >= self.max {
                let message = format!("has more than {} items", self.max);
                return Err(serde::de::Error::custom(message));
            }
            items.push(item);
        }
        Ok(items)
    }
}
