//! What SQLite reports, as an error of the contract.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::store::Error;

use super::SCHEMA;
use super::link::BUSY_FOR;

/// Why SQLite did not do what it was told. Several callers may get the same one.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{problem}")]
pub(super) struct Failure {
    kind: Kind,
    problem: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Away,
    Busy,
    Full,
    Unusable,
    /// The problem is the version that was found.
    Schema,
}

impl Failure {
    /// What SQLite reported of the file at `path`.
    pub(super) fn of(error: &rusqlite::Error, path: &Path) -> Self {
        let file = path.display();
        let (kind, problem) = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                let seconds = BUSY_FOR.as_secs();
                (Kind::Busy, format!("another process held {file} for {seconds} s ({error})"))
            }
            Some(ErrorCode::ReadOnly) => (
                Kind::Away,
                format!(
                    "{file} cannot be written; let this user write it and its directory ({error})"
                ),
            ),
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => (
                Kind::Away,
                format!(
                    "{file} cannot be opened; see that it is there and that this user may write it \
                     and its directory ({error})"
                ),
            ),
            Some(ErrorCode::DiskFull) => {
                (Kind::Full, format!("the disk of {file} is full; make room ({error})"))
            }
            Some(ErrorCode::SystemIoFailure) => {
                (Kind::Away, format!("the disk of {file} failed; look after it ({error})"))
            }
            Some(ErrorCode::OutOfMemory | ErrorCode::OperationInterrupted) => {
                (Kind::Away, format!("{file}: {error}"))
            }
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => (
                Kind::Unusable,
                format!(
                    "{file} is damaged or no SQLite database; put a copy in its place ({error})"
                ),
            ),
            _ => (Kind::Unusable, format!("{file}: {error}")),
        };
        Self { kind, problem }
    }

    /// The file is not reached, for now.
    pub(super) fn away(problem: String) -> Self {
        Self { kind: Kind::Away, problem }
    }

    /// The file is none of ours.
    pub(super) fn unusable(problem: String) -> Self {
        Self { kind: Kind::Unusable, problem }
    }

    /// The file has another schema.
    pub(super) fn schema(found: i64) -> Self {
        Self { kind: Kind::Schema, problem: found.to_string() }
    }

    /// Whether it says that there was no room.
    pub(super) fn is_full(&self) -> bool {
        self.kind == Kind::Full
    }

    /// Whether another process held the file for as long as a call waits.
    pub(super) fn is_busy(&self) -> bool {
        self.kind == Kind::Busy
    }

    /// The error that the callers of a method get.
    pub(super) fn error(&self, method: &'static str) -> Error {
        match self.kind {
            Kind::Full if matches!(method, "add" | "restore") => {
                Error::Full { method, source: Box::new(self.clone()) }
            }
            Kind::Away | Kind::Busy | Kind::Full => {
                Error::Unavailable { method, source: Box::new(self.clone()) }
            }
            Kind::Unusable => Error::Unusable { problem: self.problem.clone() },
            Kind::Schema => Error::Schema { found: self.problem.clone(), wanted: SCHEMA },
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn error(code: i32, method: &'static str) -> Error {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        Failure::of(&error, Path::new("/x/tasks.db")).error(method)
    }

    #[test]
    fn only_new_tasks_are_refused_for_lack_of_room() {
        for method in ["add", "restore"] {
            assert!(matches!(error(ffi::SQLITE_FULL, method), Error::Full { .. }));
        }
        assert!(matches!(error(ffi::SQLITE_FULL, "ack"), Error::Unavailable { .. }));
    }

    #[test]
    fn what_a_person_can_mend_is_worth_a_repeat() {
        for code in
            [ffi::SQLITE_BUSY, ffi::SQLITE_READONLY, ffi::SQLITE_CANTOPEN, ffi::SQLITE_IOERR]
        {
            assert!(error(code, "claim").is_transient(), "{code}");
        }
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB, ffi::SQLITE_ERROR] {
            let error = error(code, "claim");
            assert!(!error.is_transient() && error.to_string().contains("/x/tasks.db"), "{error}");
        }
    }
}
