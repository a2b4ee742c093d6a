//! The contract in SQL, written once for all databases.
//!
//! Each method is one [`Step`]: a transaction that reads rows, lets [`entry`](super::entry) say what
//! becomes of them, and writes them back. A database brings a [`Tx`], which sends a [`Statement`]
//! and nothing else; how it connects, repeats and commits is its own matter.
//!
//! # Tables
//!
//! All rows belong to a namespace by its number, `ns`. Moments are µs since the epoch.
//!
//! | table | a row is |
//! |---|---|
//! | `task` | a task; primary key `(ns, id)` |
//! | `unique_key` | a live task's unique key (S2); primary key `(ns, name)` |
//! | `lease` | a lease; primary key `(ns, claim)` |
//! | `stop` | a run that is to stop, by claim and task: cancelled, or superseded because its task was replaced or removed; without a claim: a process that is to drain |
//! | `ended_claim` | a claim that ended lately |
//! | `queue` | a queue that was ever used, and whether it is paused |
//! | `node` | a process that beats |
//! | `leader` | who leads, who is barred, who becomes idle for a suspect; one row per namespace |
//! | `fence` | the highest term that acted; one row per namespace, apart from `leader` so that a long duty does not hold up a renewal |
//! | `namespace` | the number of a namespace |
//!
//! # One index for all places
//!
//! Where a task stands is one text, [`place`], and one number, `due`: the moment from which it can be
//! claimed there, or pruned. The index `(ns, place, due, id)` serves claiming, looking at a claim's
//! tasks, pruning and counting, so a task is in exactly the place that its row says (T10), and a
//! claim moves one index entry per task. The text of a lane sorts in the order of claiming.

mod ack;
mod add;
#[cfg(feature = "mysql")]
mod add_in;
mod args;
mod change;
mod claim;
mod complete;
mod election;
mod entries;
mod fetch;
mod front;
mod keep;
mod lanes;
mod leases;
mod maintain;
mod place;
mod queues;
mod restore;
mod row;
mod statement;

use std::future::Future;
use std::sync::Arc;

use crate::domain::time::Timestamp;
use crate::store::Error;
use crate::store::Options;
use crate::store::error::BoxError;

pub(super) use args::Arg;
pub(super) use args::Value;
pub(super) use statement::Rows;
pub(super) use statement::Statement;
pub(super) use statement::named_table;

pub(super) use ack::Ack;
#[cfg(feature = "mysql")]
pub(super) use add_in::AddIn;
#[cfg(feature = "mysql")]
pub(super) use add_in::AskTaken;
#[cfg(feature = "mysql")]
pub(super) use add_in::Taken;
pub(super) use claim::Peek;
pub(super) use complete::Complete;
pub(super) use fetch::Watch;
pub(super) use front::Fronts;
pub(super) use keep::Drain;
pub(super) use maintain::AskCluster;
pub(super) use queues::AskStats;
#[cfg(feature = "mysql")]
pub(super) use queues::KnowQueues;
pub(super) use queues::SetQueue;

/// What a row holds, in the order of its statement's columns.
pub(super) type Columns = Vec<Value>;

/// An answer, or why there is none.
pub(super) type Answer<T> = Result<T, Trouble>;

/// Why a step did not end.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It met another one: a deadlock, a wait that was too long, a row that somebody else wrote
    /// first. Roll back and take the whole step again.
    #[cfg_attr(
        not(feature = "mysql"),
        expect(dead_code, reason = "SQLite has one writer at a time")
    )]
    Again(BoxError),
    /// It cannot be taken.
    Refused(Error),
}

impl Trouble {
    /// What the caller of a method gets if it is not taken again.
    pub(super) fn into_error(self, method: &'static str) -> Error {
        match self {
            Self::Refused(error) => error,
            Self::Again(source) => Error::Unavailable { method, source },
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// A transaction, or a connection on which only reads are sent.
pub(super) trait Tx: Send {
    /// The store's now, read once for the whole step.
    fn now(&self) -> Timestamp;

    /// The number of the namespace.
    fn ns(&self) -> i64;

    /// What the store was told when it was opened.
    fn options(&self) -> &Options;

    /// How far busy lanes are known to be empty; `None` where rows that are gone cost nothing.
    fn fronts(&self) -> Option<Arc<Fronts>> {
        None
    }

    /// The rows that a statement finds, in its order.
    fn rows(
        &mut self,
        statement: &'static Statement,
        args: Vec<Arg>,
    ) -> impl Future<Output = Answer<Vec<Columns>>> + Send;

    /// Runs a statement that gives no rows.
    fn run(
        &mut self,
        statement: &'static Statement,
        args: Vec<Arg>,
    ) -> impl Future<Output = Answer<()>> + Send;

    /// Inserts rows: a statement with the values of one row, for each of `rows`; none is fine.
    fn insert(
        &mut self,
        statement: &'static Statement,
        rows: Vec<Columns>,
    ) -> impl Future<Output = Answer<()>> + Send;
}

/// One method of the contract, as a transaction.
pub(super) trait Step: Send + Sync {
    /// What it answers.
    type Reply: Send;

    /// The name of the method.
    const METHOD: &'static str;

    /// Whether it only reads, so that it needs no transaction.
    const READS: bool = false;

    /// Takes the step. It writes nothing if it answers [`Trouble`], once the caller has rolled back.
    fn take<T: Tx>(&self, tx: &mut T) -> impl Future<Output = Answer<Self::Reply>> + Send;
}
