//! Tasks of the Python library `TaskShed`, as its data stores keep them.
//!
//! It keeps them in Redis under `scheduler:*` or in the table `_taskshed_data`. They are read as text,
//! field by field and as they are found: what they mean, and whether they can be tasks here, is for
//! the caller to decide. Nothing of theirs is ever written.

use std::collections::BTreeMap;
use std::fmt::Debug;

use async_trait::async_trait;

use crate::store::Result;

/// In what its moments are counted, since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds, with a fraction.
    Seconds,
    /// Whole microseconds.
    Micros,
}

/// One task as it is kept there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonTask {
    /// The id under which it was found.
    pub id: String,
    /// Its fields as text. What an older version did not write, or holds nothing, is not there.
    pub fields: BTreeMap<String, String>,
    /// In what `run_at` and `paused_at` are counted.
    pub unit: Unit,
}

/// A walk over all tasks of a data store, page by page.
#[async_trait]
pub trait PythonTasks: Debug + Send {
    /// The next tasks; an empty page is not the end, `None` is. A task may come twice.
    ///
    /// Cost: one or two round trips.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`](crate::store::Error::Unavailable), after which the same page may be
    /// asked for again, or [`Error::Unusable`](crate::store::Error::Unusable).
    async fn next(&mut self) -> Result<Option<Vec<PythonTask>>>;
}
