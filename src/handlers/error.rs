//! What a handler says when a run did not end well.

use std::fmt;
use std::time::Duration;

/// Why a run did not complete, and what should become of its task.
///
/// Made from any error, it asks for a retry by the task's backoff:
///
/// ```
/// use taskshed::TaskError;
///
/// fn parse(text: &str) -> Result<u32, TaskError> {
///     Ok(text.parse()?)
/// }
/// # assert!(parse("x").is_err());
/// ```
///
/// It is not itself a `std::error::Error`, because that would forbid the conversion.
#[derive(Clone, PartialEq, Eq)]
pub struct TaskError(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Retry(String),
    Dead(String),
    Snooze(Duration),
}

impl TaskError {
    /// The attempt failed; the task runs again by its backoff.
    pub fn retry(message: impl fmt::Display) -> Self {
        Self(Kind::Retry(message.to_string()))
    }

    /// No retry can help; the task, or this occurrence of it, is dead.
    pub fn dead(message: impl fmt::Display) -> Self {
        Self(Kind::Dead(message.to_string()))
    }

    /// The task should run again after `length`; no attempt is charged.
    #[must_use]
    pub fn snooze(length: Duration) -> Self {
        Self(Kind::Snooze(length))
    }

    pub(crate) fn into_kind(self) -> Kind {
        self.0
    }
}

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for TaskError {
    fn from(error: E) -> Self {
        let error = error.into();
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(source) = cause {
            message.push_str(": ");
            message.push_str(&source.to_string());
            cause = source.source();
        }
        Self(Kind::Retry(message))
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Retry(message) | Kind::Dead(message) => f.write_str(message),
            Kind::Snooze(length) => write!(f, "snoozed for {length:?}"),
        }
    }
}
