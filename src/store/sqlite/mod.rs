//! Tasks in one file, by SQLite, for the nodes of one machine.
//!
//! Everything is durable when it is answered: the file is written ahead and synced at each commit.
//! Calls that arrive together share a commit (see `writer`). The steps themselves are those of
//! `store/sql`.
//!
//! # What is not here
//!
//! Hints: processes that share a file cannot wake each other, so nodes poll. A file on a network
//! file system: write-ahead logging needs memory that all processes share.

mod check;
mod failure;
mod join;
mod link;
mod path;
mod relay;
mod roles;
#[cfg(test)]
mod tests;
mod tx;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::domain::durability::Durability;
use crate::store::Error;
use crate::store::Options;
use crate::store::Result;

use writer::Writer;

pub use rusqlite;

/// The version of the tables that this build writes.
const SCHEMA: u32 = 1;

/// A store in a file. Handles of other processes may use the same file.
pub struct SqliteStore {
    home: Arc<Home>,
    writer: Writer,
}

/// Which file, and what all connections to it share.
struct Home {
    path: PathBuf,
    options: Options,
    clock: Arc<dyn Clock>,
    /// Who writes next, in the order of asking.
    turn: tokio::sync::Mutex<()>,
}

impl SqliteStore {
    /// A store at `url`: `sqlite:PATH`. Nothing is opened yet.
    ///
    /// # Errors
    ///
    /// [`Error::Unusable`] if the URL names no file, or if replicas are asked for.
    pub fn open(url: &str, options: Options) -> Result<Self> {
        if let Durability::Replicated(_) = options.durability {
            let problem = format!(
                "a file has no replicas and cannot promise durability = \"{}\"",
                options.durability
            );
            return Err(Error::Unusable { problem });
        }
        Ok(Self::at(path::parse(url)?, options, Arc::new(SystemClock)))
    }

    /// The same store by another clock than the machine's, so that tests own time.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self::at(self.home.path.clone(), self.home.options.clone(), clock)
    }

    /// The same file by a writer of its own, which takes turns with this one.
    fn again(&self) -> Self {
        Self { writer: Writer::new(Arc::clone(&self.home)), home: Arc::clone(&self.home) }
    }

    fn at(path: PathBuf, options: Options, clock: Arc<dyn Clock>) -> Self {
        let home = Arc::new(Home { path, options, clock, turn: tokio::sync::Mutex::new(()) });
        Self { writer: Writer::new(Arc::clone(&home)), home }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.home.path)
            .field("namespace", &self.home.options.namespace)
            .finish_non_exhaustive()
    }
}
