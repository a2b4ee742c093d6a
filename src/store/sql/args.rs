//! What is bound to statements, and what rows hold.

use crate::domain::time::Timestamp;

/// One value of a row, or bound to a statement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) enum Value {
    Null,
    Int(i64),
    Text(String),
    /// What a database holds that is not valid text. Never bound.
    Damaged(Vec<u8>),
}

/// What is bound at one mark of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum Arg {
    /// At `?`.
    One(Value),
    /// At `(?*)`: a list that is not empty.
    Many(Vec<Value>),
}

impl<T: Into<Value>> From<T> for Arg {
    fn from(value: T) -> Self {
        Self::One(value.into())
    }
}

impl Arg {
    /// A list of texts.
    pub(in crate::store) fn texts<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::Many(texts.into_iter().map(|text| Value::from(text.as_ref())).collect())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(i64::from(number))
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Int(i64::from(flag))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Timestamp> for Value {
    fn from(moment: Timestamp) -> Self {
        Self::Int(moment.as_us())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
