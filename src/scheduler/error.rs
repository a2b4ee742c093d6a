//! Why the scheduler refused, or got no answer.

use std::fmt;

use crate::domain::draft::Fault;
use crate::store;

/// What a call of the scheduler gives, unless it was refused or the store was away.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the scheduler refused, or got no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What was asked cannot be done as it stands. Nothing was stored; mend the fields and ask again.
    #[error("invalid request: {}", Listed(.errors))]
    Invalid {
        /// Every fault.
        errors: Vec<IndexedFault>,
    },

    /// The store gave no answer, or cannot be used.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What is wrong with one field of one item of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedFault {
    /// Position of the item from 0; `None`: the request as a whole.
    pub index: Option<usize>,
    /// What is wrong with which field.
    pub fault: Fault,
}

impl IndexedFault {
    /// A fault of the request as a whole.
    pub(crate) fn whole(field: &str, message: impl fmt::Display) -> Self {
        Self { index: None, fault: Fault::new(field, message) }
    }
}

impl Error {
    /// The request as a whole is refused because of `field`.
    pub(crate) fn refused(field: &str, message: impl fmt::Display) -> Self {
        Self::Invalid { errors: vec![IndexedFault::whole(field, message)] }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

impl fmt::Display for IndexedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "[{index}] {}", self.fault),
            None => self.fault.fmt(f),
        }
    }
}

/// Most faults that a message spells out; the error itself holds all.
const FAULTS_SPELLED_MAX: usize = 5;

struct Listed<'a>(&'a [IndexedFault]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, fault) in self.0.iter().take(FAULTS_SPELLED_MAX).enumerate() {
            let separator = if position > 0 { "; " } else { "" };
            write!(f, "{separator}{fault}")?;
        }
        match self.0.len().saturating_sub(FAULTS_SPELLED_MAX) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}
