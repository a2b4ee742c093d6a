//! Why a store gave no answer.

use crate::domain::id::TaskId;

/// Any error of a driver.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// A reply of a store, or the news that there was none.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a store gave no answer.
///
/// What a healthy cluster meets every day, such as a lease that was lost, is a reply and not an
/// error. An `Error` means the caller knows no more than before the call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server was out of reach, too slow, or not ready. The call may have had its effect or
    /// not. Repeat it: every method allows that.
    #[error("store out of reach ({method})")]
    Unavailable {
        /// The method that was waiting.
        method: &'static str,
        /// What the driver reported.
        source: BoxError,
    },

    /// The store has no room and takes no more tasks; nothing was written. Repeat it later; tasks
    /// that are there go on.
    #[error("the store is full ({method})")]
    Full {
        /// The method that was refused.
        method: &'static str,
        /// What the driver reported.
        source: BoxError,
    },

    /// The store cannot be used as it is set up; repeating does not help. Tell the operator.
    #[error("the store cannot be used: {problem}")]
    Unusable {
        /// What is wrong and what to do.
        problem: String,
    },

    /// The schema is not the one that this build speaks. Stop, and tell the operator.
    #[error("the store's schema is {found}, this build needs {wanted}: {}", remedy(found, *wanted))]
    Schema {
        /// Version in the store.
        found: String,
        /// Version compiled in.
        wanted: u32,
    },

    /// A transaction of the caller's is none of this store: it was begun on another database, or is
    /// over. Nothing was written.
    #[error("the transaction is none that the store can take part in: {problem}")]
    Foreign {
        /// What is wrong and what to do.
        problem: String,
    },

    /// The cursor of a listing is none that this store gave. Start again without one.
    #[error("the cursor is not one that a listing of this store gave; list again without it")]
    Cursor,

    /// The record of a task cannot be read. It is kept as it is; `doctor` names it.
    #[error("the record of task {id} cannot be read: {problem}")]
    Corrupt {
        /// The task.
        id: TaskId,
        /// What is wrong with it.
        problem: String,
    },
}

impl Error {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Full { .. })
    }
}

/// What to do about a schema.
fn remedy(found: &str, wanted: u32) -> &'static str {
    match found.parse::<u32>() {
        Ok(found) if found < wanted => "run `taskshed migrate --store URL`",
        Ok(_) => "a newer taskshed has been at work here; upgrade this one",
        Err(_) => "it was not written by taskshed; use another store or namespace",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_schema_says_what_to_do() {
        let says = |found: &str| Error::Schema { found: found.into(), wanted: 3 }.to_string();

        assert!(
            says("2").ends_with("is 2, this build needs 3: run `taskshed migrate --store URL`")
        );
        assert!(says("10").ends_with("upgrade this one"));
        assert!(says("x").ends_with("use another store or namespace"));
    }
}
