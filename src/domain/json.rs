//! JSON that is carried, not understood.
//!
//! Arguments and results are handed on byte for byte: numbers keep their digits, empty lists stay
//! lists, and key order is the sender's. Decoding and encoding again would promise less.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// Most bytes of arguments unless configured otherwise: 1 MiB.
pub const KWARGS_BYTES_MAX: usize = 1 << 20;

/// Most bytes of a result that is kept: 64 KiB.
pub const RESULT_BYTES_MAX: usize = 64 << 10;

/// Any JSON value, as its text. Cheap to clone.
#[derive(Clone)]
pub struct Json(Arc<RawValue>);

impl Json {
    /// Takes `text` if it is one JSON value; white space around it is dropped.
    ///
    /// # Errors
    ///
    /// If the text is not JSON.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<Box<RawValue>>(text).map(|raw| Self(Arc::from(raw)))
    }

    /// Writes `value` as JSON.
    ///
    /// # Errors
    ///
    /// If JSON cannot hold the value, such as a map whose keys are not text.
    pub fn of(value: &(impl Serialize + ?Sized)) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(|raw| Self(Arc::from(raw)))
    }

    /// Reads the value into a type.
    ///
    /// # Errors
    ///
    /// If the value has another shape.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The text as `serde_json` carries it.
    #[must_use]
    pub fn raw(&self) -> &RawValue {
        &self.0
    }
}

impl PartialEq for Json {
    /// Whether both are the same text.
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|raw| Self(Arc::from(raw)))
    }
}

/// Arguments of a task: a JSON object, as its text. Cheap to clone.
#[derive(Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Kwargs(Json);

/// Why a value cannot be the arguments of a task.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKwargs {
    /// Not JSON, or JSON cannot hold it.
    #[error("is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// JSON, and not an object.
    #[error("must be a JSON object such as {{\"name\": \"value\"}}")]
    NotObject,
}

impl Kwargs {
    /// No arguments: `{}`.
    #[must_use]
    pub fn empty() -> Self {
        Self(Json::parse("{}").expect("an empty object is JSON"))
    }

    /// Takes `text` if it is a JSON object.
    ///
    /// # Errors
    ///
    /// If the text is not JSON, or not an object.
    pub fn parse(text: &str) -> Result<Self, InvalidKwargs> {
        Self::from_json(Json::parse(text)?)
    }

    /// Writes `value` as JSON.
    ///
    /// # Errors
    ///
    /// If the value does not become a JSON object.
    pub fn of(value: &(impl Serialize + ?Sized)) -> Result<Self, InvalidKwargs> {
        Self::from_json(Json::of(value)?)
    }

    /// Takes a value that was read already.
    ///
    /// # Errors
    ///
    /// If it is not an object.
    pub fn from_json(json: Json) -> Result<Self, InvalidKwargs> {
        if json.as_str().starts_with('{') { Ok(Self(json)) } else { Err(InvalidKwargs::NotObject) }
    }

    /// Reads the arguments into a type.
    ///
    /// # Errors
    ///
    /// If the arguments have another shape.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        self.0.read()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Default for Kwargs {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Kwargs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Kwargs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(Json::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_kept_byte_for_byte() {
        let text = r#"{"big": 12345678901234567890123, "f":1.10, "l":[], "b":1,"a":"ü\u00fc"}"#;

        assert_eq!(Kwargs::parse(&format!(" {text}\n")).unwrap().as_str(), text);
    }

    #[test]
    fn only_an_object_can_be_arguments() {
        for text in ["[]", "1", "null", "\"x\""] {
            assert!(matches!(Kwargs::parse(text), Err(InvalidKwargs::NotObject)), "{text}");
        }
        for text in ["", "{", "{\"a\":1}x", "{'a':1}"] {
            assert!(matches!(Kwargs::parse(text), Err(InvalidKwargs::NotJson(_))), "{text}");
        }
        assert!(Kwargs::of(&("a", 1)).is_err());
    }
}
