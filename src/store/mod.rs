//! Where tasks live: the contract that every store keeps.
//!
//! Three roles make a store. A worker loop gets a [`Queue`] and cannot prune; a leader's duty gets a
//! [`Leadership`] and cannot claim.
//!
//! # Rules of the contract
//!
//! * **Batch first.** Slices in, one reply per item in the same order, one round trip.
//! * **Every method may be repeated.** After [`Error::Unavailable`] the caller repeats the same
//!   request, and no call does harm twice. Ids come from the caller.
//! * **The store applies, the domain decides.** Acks and reclaims carry a finished
//!   [`Verdict`](crate::domain::state::Verdict).
//! * **The store's clock rules.** Requests carry lengths; replies carry the store's now.
//! * **Each call is one atomic step**: all of it happened, or nothing.
//!
//! # Lanes
//!
//! A task that can be claimed stands in exactly one *lane*. Tasks of one queue and priority share
//! the ordinary lane; suspects (by crash count and callback) and parked tasks (by callback) stand
//! apart. Paused tasks, and successors of a run that has not let go yet, stand in none.

pub mod connect;
mod entry;
pub mod error;
mod hints;
mod listing;
mod measured;
pub mod memory;
#[cfg(feature = "mysql")]
pub mod mysql;
pub mod python;
#[cfg(feature = "redis")]
pub mod redis;
mod reply;
mod request;
#[cfg(any(feature = "mysql", feature = "sqlite"))]
mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod told;
mod transaction;

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::durability::Durability;
use crate::domain::id::Namespace;
use crate::domain::id::NodeName;
use crate::domain::id::ProcessId;
use crate::domain::id::QueueName;
use crate::domain::id::TaskId;
use crate::domain::id::UniqueKey;
use crate::domain::time::Timestamp;

pub use connect::connect;
pub use connect::open;
pub use error::Error;
pub use error::Result;
pub use hints::Hints;
pub use measured::measured;
pub use reply::*;
pub use request::*;
pub(crate) use transaction::Ask;
pub use transaction::InTransaction;
pub(crate) use transaction::Part;

/// Most items of one call: tasks of an add, ids of a change, verdicts of an ack, tasks of a claim.
pub const BATCH_MAX: usize = 1000;

/// Most entries that one page of [`Tasks::list`] examines.
pub const PAGE_MAX: usize = 1000;

/// How long the id of a claim that has ended is remembered.
pub const ENDED_CLAIM_KEPT: Duration = Duration::from_secs(60);

/// How long a completed task is kept at least while somebody waits for it.
pub const WATCH_KEPT: Duration = Duration::from_secs(60);

/// After how long without a beat a node is forgotten.
pub const NODE_FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// How long a process that was told to resign may not stand.
pub const BARRED_FOR: Duration = Duration::from_secs(5);

/// How long one process may become idle for a suspect that runs alone.
pub const RESERVED_FOR: Duration = Duration::from_secs(30);

/// How long after a reservation began nobody else gets one.
pub const RESERVED_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// What a store is told once, when it is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Keeps several clusters apart in one store.
    pub namespace: Namespace,
    /// How long cancelled tasks are kept.
    pub keep_cancelled: Duration,
    /// How long expired tasks are kept.
    pub keep_expired: Duration,
    /// How long dead tasks are kept.
    pub keep_dead: Duration,
    /// What must have happened to a write before it is acknowledged.
    pub durability: Durability,
}

impl Default for Options {
    /// Namespace `default`; cancelled and expired tasks stay a day, dead ones 90 days; the server's
    /// word is taken as it is.
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        Self {
            namespace: Namespace::default(),
            keep_cancelled: day,
            keep_expired: day,
            keep_dead: day * 90,
            durability: Durability::default(),
        }
    }
}

/// What a scheduler needs.
#[async_trait]
pub trait Tasks: Send + Sync {
    /// Adds tasks: all of them, or none.
    ///
    /// Tasks are taken in order, so the second of two with one unique key finds the first. A task
    /// whose id exists replaces it or keeps it, as `add.existing` says, whatever its state; a
    /// replacement inherits the fence (T4) and forgets attempts, crashes, pause and errors. If the
    /// old task is running, its run is told to stop, its ack changes nothing (T5), and the new task
    /// becomes claimable when the old run's ack came or its lease was reclaimed (T3).
    ///
    /// A task whose unique key another live task holds is not added and answers
    /// [`AddOutcome::Duplicate`] (S2); with a chosen id the rest of the store stays as it is, too.
    ///
    /// Repeating an add with the same request id finds what it wrote and answers the same, also
    /// when a task of it runs by now. Only a task that has ended *and* gone in between is added
    /// again.
    ///
    /// Cost: one round trip; on Redis two for a single task whose id is taken.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], or [`Error::Full`] if the store has no room; then nothing was added.
    async fn add(&self, add: &Add) -> Result<Added>;

    /// The tasks with these ids, `None` where there is none.
    ///
    /// With `fetch.watch`, a task that completes within that time is kept for at least
    /// [`WATCH_KEPT`], so that who waits for it can see its result.
    ///
    /// Cost: one round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], or [`Error::Corrupt`] if one of the records cannot be read.
    async fn fetch(&self, fetch: &Fetch) -> Result<Vec<Option<TaskRecord>>>;

    /// One page of the tasks that match a filter, in no particular order.
    ///
    /// Walks the narrowest index and examines about `list.limit` entries, at most [`PAGE_MAX`]. A
    /// task that is there throughout appears at least once over all pages; a page may be short or
    /// empty until [`Page::next`] is `None`. Records that cannot be read are named, not hidden.
    ///
    /// Cost: one or two round trips.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], or [`Error::Cursor`] if the store did not give that cursor.
    async fn list(&self, list: &List) -> Result<Page>;

    /// Pauses, resumes, cancels, retries, reschedules or removes all of the target, in one step.
    ///
    /// | action | scheduled | running | ended |
    /// |---|---|---|---|
    /// | pause | leaves its lane; `run_at` is kept (T8) | its retry or next occurrence lands paused | skipped |
    /// | resume | back to its lane with its old `run_at` | takes an asked pause back | skipped |
    /// | cancel | ends as cancelled (T8) | is told to stop; completed may still win | skipped |
    /// | retry | skipped | skipped | dead, cancelled, expired: due now, attempts, crashes and expiry cleared; skipped if completed or its unique key is taken |
    /// | reschedule | new `run_at` and planned time; stays paused if it was | recurring: its next planned time; once: skipped | skipped |
    /// | remove | gone (T8) | gone; its run is told to stop, its ack changes nothing | gone |
    ///
    /// A task that already is as asked (paused, resumed, told to stop) counts as affected, so a
    /// repeat answers the same. A group that has no tasks affects none.
    ///
    /// Cost: one round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    async fn change(&self, change: &Change) -> Result<Changed>;

    /// Depths of all queues, and the earliest `run_at` of a task that is neither paused nor running.
    ///
    /// Cost: one round trip; grows with the number of queues, not of tasks.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    async fn stats(&self) -> Result<Stats>;

    /// Puts tasks there as they were in another store: all of them, or none.
    ///
    /// Every field of a record is kept. What [`Arrival`](crate::domain::arrival::Arrival) says of it
    /// was decided before: none arrives running or parked. A live one stands where it would after
    /// such a life: in its lane, apart if it is a suspect, in no lane if it is paused or a run of
    /// its id has not let go here (T10, T3). It expires only if it `may_expire` (T7), goes on from
    /// its last fence (T4), and a planned time that was asked for waits for its next occurrence.
    ///
    /// An ended one is pruned when the time that this store keeps its state has passed since its
    /// `finished_at`, which may be at once; without a `finished_at` it ends at the store's now.
    ///
    /// Tasks are taken in order. An id that exists is kept as it is, whatever its state. A live task
    /// whose unique key another live task holds is not put there and answers
    /// [`RestoreOutcome::Duplicate`] (S2).
    ///
    /// Repeating a restore with the same request id finds what it wrote and answers the same, as
    /// with [`Tasks::add`]; under another one, all that is there answers [`RestoreOutcome::Kept`].
    ///
    /// Cost: one round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], or [`Error::Full`] if the store has no room; then nothing was put
    /// there.
    async fn restore(&self, restore: &Restore) -> Result<Restored>;

    /// Opens or pauses a queue. Nothing is claimed from a paused one; opening it gives hints.
    /// Cost: one round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    async fn set_queue(&self, queue: &QueueName, gate: Gate) -> Result<()>;
}

/// What a worker needs: take due tasks, keep them, hand them back.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Leases up to `claim.limit` due tasks to `claim.holder` under one lease.
    ///
    /// A task is due when the store's own clock plus `claim.ahead` has reached its `run_at`.
    /// Queues are served in the order given, paused ones not at all; in a queue by priority; in a
    /// priority first suspects (most crashes first, as far as `claim.suspects` gives room), then
    /// parked tasks of the claimer's callbacks, then the ordinary lane; in a lane by `run_at`, then
    /// by id. So two stores that hold the same tasks answer alike. Lanes of suspects and parked
    /// tasks are taken in the order of their callback's bytes.
    ///
    /// Only tasks whose callback is in `claim.callbacks` are leased. Others that stand in an
    /// ordinary lane before them are moved to the parking place of their callback; each counts
    /// against the limit, so a claim examines a bounded number. A task whose `expires_at` has
    /// passed and that was never claimed ends as expired instead, and counts likewise.
    ///
    /// A suspect with four crashes runs alone: if one is due, a claimer with `suspects.idle` gets
    /// exactly it; another one may get the reservation, is told so by [`Claimed::isolate`], gets
    /// nothing, and should come back when nothing runs on it any more. A reservation lasts 30 s and
    /// is held by one process of the namespace; for the next 30 s after it nobody gets one.
    ///
    /// The lease ends `claim.ttl` after the store's now. The fence of each task is greater than
    /// any earlier one of the same task, and not below the store's now in µs (T3, T4).
    ///
    /// Repeating a claim with the same id returns the tasks it still holds. The id of a claim that
    /// has ended is remembered for [`ENDED_CLAIM_KEPT`] and answers empty. A claim whose reply was
    /// lost for good is never renewed and comes back through [`Leadership::leases`]. A repeat that
    /// names no queue never takes anything, also if the id is not known.
    ///
    /// With `claim.wait`, a claim that took less than its limit enters the process as waiting for
    /// hints of these queues; any other claim of the process takes it out.
    ///
    /// Cost: one round trip, whatever the limit.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    async fn claim(&self, claim: &Claim) -> Result<Claimed>;

    /// How many tasks a claim of a busy claimer should ask for at most; by what claims were answered
    /// lately, if that matters to the store. More is allowed. Costs no round trip.
    fn claim_max(&self) -> usize {
        BATCH_MAX
    }

    /// Beats for a process and prolongs leases, in one step.
    ///
    /// A lease that has expired but was not reclaimed is prolonged, too. The reply names the claims
    /// that are lost, the runs that are to stop, and whether the process is to drain. A store in parts
    /// that reaches only some of them prolongs what it can and names the other claims, too.
    ///
    /// Cost: one round trip; grows with the number of claims, not of tasks.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    async fn keep(&self, keep: &Keep) -> Result<Kept>;

    /// Tells the process that beats under this name, not one that takes it later, to drain: its beats
    /// are answered so until it has left. Answers whether there is one. Cost: one round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    async fn drain(&self, node: &NodeName) -> Result<bool>;

    /// Hands outcomes back. One reply per item, in order.
    ///
    /// An item whose claim does not hold the task with that fence answers [`Acked::Stale`] and
    /// changes nothing (T5), except that a run which was replaced or removed lets go: a successor
    /// that waits for it becomes claimable. The table in [`state`](crate::domain::state) says how a
    /// verdict yields to what was asked meanwhile. A repeat of an ack that had its effect answers
    /// stale.
    ///
    /// The lease ends with its last task.
    ///
    /// Cost: one round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    async fn ack(&self, items: &[AckItem]) -> Result<Vec<Acked>>;

    /// Hints for a process: something became claimable that it could take.
    ///
    /// `None` if the store cannot tell; then the caller polls. Hints may be lost or come in vain;
    /// they go to as many waiting processes as there are tasks to take.
    ///
    /// Cost: a connection of its own on stores with a server.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    async fn hints(&self, process: &ProcessId) -> Result<Option<Box<dyn Hints>>>;

    /// The database that it lives in, for [`InTransaction`]; `None` if it lives in none.
    ///
    /// A store around another one, such as [`measured`], answers what that one answers.
    fn database(&self) -> Option<&(dyn Any + Send + Sync)> {
        None
    }
}

/// What the leader needs, and what shows who leads.
#[async_trait]
pub trait Leadership: Send + Sync {
    /// Stands for leader, or renews the term of the process that leads.
    ///
    /// A free place (nobody leads, the term has ended, or it was resigned) goes to the caller with
    /// the next higher term (L1), except that a process that was told to resign does not get it for
    /// 5 s. The reply says who leads now; read holder and term from it.
    ///
    /// Cost: one round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    async fn campaign(&self, campaign: &Campaign) -> Result<Leading>;

    /// Ends the present term: of `resign.process` if it leads, or of whoever leads.
    ///
    /// Answers whose term was ended.
    ///
    /// Cost: one round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    async fn resign(&self, resign: &Resign) -> Result<Option<Leader>>;

    /// Looks at leases. The look is itself a write, so that a store which cannot write does not
    /// answer as if all were well.
    ///
    /// Cost: one round trip; at most [`BATCH_MAX`] leases.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    async fn leases(&self, look: &Look) -> Result<Led<Looked>>;

    /// Ends a lease that still has the end that was seen, and applies a verdict to each task that it
    /// still holds. A lease with another end is left alone and answers 0.
    ///
    /// Runs of tasks that were replaced or removed let go. Tasks of the claim that no verdict names
    /// stay with the lease. Verdicts yield to what was asked meanwhile, as with [`Queue::ack`].
    ///
    /// Answers how many tasks were taken from the lease. Cost: one round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    async fn reclaim(&self, reclaim: &Reclaim) -> Result<Led<u64>>;

    /// One batch of each housekeeping duty: expires, prunes, forgets nodes and ended claims, repairs
    /// index entries without a record.
    ///
    /// Cost: one round trip; at most `limit` entries of each kind.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    async fn maintain(&self, maintain: &Maintain) -> Result<Led<Maintained>>;

    /// Adds or removes tasks as [`Tasks::add`] and [`Tasks::change`] do, if the mandate holds (L1).
    /// Cost: one round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], or [`Error::Full`] if the store has no room; then nothing was added.
    async fn declare(&self, declare: &Declare) -> Result<Led<()>>;

    /// The nodes that beat lately, remote workers that hold claims, and the leader.
    ///
    /// Cost: one round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    async fn cluster(&self) -> Result<Cluster>;
}

/// A place where tasks live. Keep the three roles and you have a store.
#[async_trait]
pub trait Store: Tasks + Queue + Leadership + Debug + 'static {
    /// A word for people. Code never branches on it.
    fn name(&self) -> &'static str;

    /// Which part of the store keeps the task, or the unique key, of this name.
    ///
    /// Only what is in one part changes in one step, and one part may be away while the others go on.
    /// A task and its unique key must be in the same one. A store in one piece answers 0.
    fn part(&self, _name: &str) -> usize {
        0
    }

    /// The same place over a connection of its own, which is made by the runtime that uses it
    /// first. So a keeper on its own thread renews leases even when every other thread is stuck.
    fn apart(&self) -> Arc<dyn Store>;

    /// Brings the schema up to date, and answers what that took.
    ///
    /// Safe while nodes of the schema before run, and when several are started at once: each step is
    /// taken once, and one that was interrupted is taken up again. A store that is empty gets the
    /// present schema, which is a step only where tables are made for it. What nodes need beside the
    /// schema is not checked.
    ///
    /// Cost: grows with the tasks if a step must touch them.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], after which what was done so far stays; [`Error::Schema`] if the
    /// schema is newer than this build; [`Error::Unusable`].
    async fn migrate(&self) -> Result<Migrated>;

    /// Makes the store ready: checks that it can be used and writes its schema version if new.
    ///
    /// Cost: a few round trips, once per process.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Unusable`] or [`Error::Schema`].
    async fn prepare(&self) -> Result<()>;

    /// The store's now.
    ///
    /// Cost: one round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    async fn now(&self) -> Result<Timestamp>;

    /// Looks the store over for what would cost tasks or time, for `doctor`. How long it would be
    /// away, should it fail over, is compared with the length of a `lease`.
    ///
    /// Cost: some round trips.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    async fn check(&self, lease: Duration) -> Result<Vec<Finding>>;
}

/// Why a store in several parts cannot keep a task: its unique key would be in another part, where the
/// step that keeps the task does not see who holds it (S2).
pub(crate) fn torn(store: &dyn Store, id: &TaskId, key: &UniqueKey) -> Option<String> {
    (store.part(id.as_str()) != store.part(key.as_str())).then(|| {
        format!(
            "{key} belongs to another partition of this store than the task_id {id}; leave the id to \
             taskshed, or give both the same {{tag}}"
        )
    })
}
