//! The library's front door: add tasks, look at them, change them.
//!
//! A [`Scheduler`] runs nothing; it puts tasks into a store and steers them there. Any number of
//! schedulers may use one store at once, in any number of processes.
//!
//! # Batches
//!
//! A batch holds 1 to 1,000 tasks whose arguments, labels and names have at most 8 MiB together. It
//! is one atomic step: all of its tasks are stored, or none. If anything is wrong, [`Error::Invalid`]
//! names every fault with the position of its task and the name of its field.
//!
//! # When the store is away
//!
//! Adding is repeated with the same request id, [`ADD_TRIES`] times in all, and finds its own work
//! done if only the reply was lost. Every other call gives [`Error::Store`] at once; all of them may
//! be repeated without harm.

mod batch;
mod changes;
mod copy;
mod error;
mod ids;
mod import;
mod selection;
mod transaction;
mod wait;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;

use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::domain::draft::Draft;
use crate::domain::draft::Task;
use crate::domain::id::GroupId;
use crate::domain::id::NodeName;
use crate::domain::id::QueueName;
#[cfg(feature = "server")]
use crate::domain::id::RequestId;
use crate::domain::id::TaskId;
use crate::domain::json::KWARGS_BYTES_MAX;
use crate::domain::task::TaskRecord;
use crate::domain::time::Timestamp;
use crate::store;
use crate::store::Add;
use crate::store::AddOutcome;
use crate::store::Cluster;
use crate::store::Existing;
use crate::store::Fetch;
use crate::store::Filter;
use crate::store::Gate;
use crate::store::Leader;
use crate::store::List;
use crate::store::PAGE_MAX;
use crate::store::Page;
use crate::store::Resign;
use crate::store::Stats;
use crate::store::Store;

use self::ids::Ids;
use self::ids::Naming;

pub use copy::Copied;
pub use copy::CopyError;
pub use error::Error;
pub use error::IndexedFault;
pub use error::Result;
pub use import::IMPORTED_KEPT;
pub use import::Imported;
pub use selection::Selection;

/// Most bytes of a batch: 8 MiB.
pub const BATCH_BYTES_MAX: usize = 8 << 20;

/// How often an add is sent while the store is out of reach, the first time included.
pub const ADD_TRIES: u32 = 3;

/// How long a request may come again and find its own work done.
const AGAIN_WITHIN: Duration = Duration::from_secs(86_400);

/// Wait before an add is sent again; it doubles.
const ADD_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Adds, finds and changes tasks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Scheduler {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ids: Arc<Ids>,
    kwargs_bytes_max: usize,
}

/// What became of one task of an add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The task; for a duplicate the live one that holds the unique key.
    pub task_id: TaskId,
    /// What happened.
    pub outcome: Outcome,
}

/// How a task was met by the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is new.
    Created,
    /// It took the place of one with the same id.
    Replaced,
    /// One with the same id was kept.
    Kept,
    /// A live task has its unique key; nothing was added for it (S2).
    Duplicate,
}

impl Outcome {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Replaced => "replaced",
            Self::Kept => "kept",
            Self::Duplicate => "duplicate",
        }
    }
}

impl Scheduler {
    /// A scheduler on `store`, with ids drawn from the system's random numbers.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self::with(store, Arc::new(SystemClock), rand::make_rng())
    }

    /// The same with a clock and a generator of the caller's, for tests that own time and chance.
    ///
    /// The clock times waiting and repeats and orders fresh ids; the store's clock decides the rest.
    pub fn with(store: Arc<dyn Store>, clock: Arc<dyn Clock>, rng: StdRng) -> Self {
        let ids = Arc::new(Ids::new(rng));
        Self { store, clock, ids, kwargs_bytes_max: KWARGS_BYTES_MAX }
    }

    /// The store that it works on.
    #[cfg(feature = "server")]
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// A name for a request.
    #[cfg(feature = "server")]
    pub(crate) fn fresh_request(&self) -> RequestId {
        self.ids.request()
    }

    /// Takes arguments of at most this many bytes: up to 1 MiB, which is the default.
    #[must_use]
    pub fn kwargs_bytes_max(mut self, bytes: usize) -> Self {
        self.kwargs_bytes_max = bytes.min(KWARGS_BYTES_MAX);
        self
    }

    /// Adds one task; one with the same id is replaced.
    ///
    /// Cost: one round trip, one more for a cron task without `run_at`, and on Redis one more if the id
    /// is taken.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with every fault, or [`Error::Store`] after [`ADD_TRIES`] tries.
    pub async fn add(&self, task: Task) -> Result<Added> {
        let mut added = self.add_all([task], Existing::Replace).await?;
        Ok(added.pop().expect("a store answers each task of an add"))
    }

    /// Adds 1 to 1,000 tasks in one atomic step and answers each, in order.
    ///
    /// A task whose id exists is replaced or kept, as `existing` says. The same id twice is a fault.
    ///
    /// Cost: one round trip, and one more if there is a cron task without `run_at`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with every fault, or [`Error::Store`] after [`ADD_TRIES`] tries. In the
    /// first case nothing was stored; in the second the last try may have had its effect.
    pub async fn add_all(
        &self,
        tasks: impl IntoIterator<Item = Task>,
        existing: Existing,
    ) -> Result<Vec<Added>> {
        let tasks = tasks.into_iter().collect();
        self.add_with(self.naming(), tasks, existing).await
    }

    /// Adds tasks for a request that may come again, through any scheduler: all ids that are made for it
    /// follow from `seed`, so that a repeat finds its own work done and gets the same reply. For that,
    /// completed tasks are kept for a day at least.
    ///
    /// The repeat adds a task again if it was removed meanwhile, or replaces it if another add had
    /// replaced it.
    ///
    /// Cost and errors: as [`Scheduler::add_all`].
    ///
    /// # Errors
    ///
    /// As [`Scheduler::add_all`].
    pub async fn add_again(
        &self,
        seed: [u8; 32],
        tasks: impl IntoIterator<Item = Task>,
        existing: Existing,
    ) -> Result<Vec<Added>> {
        let kept = tasks.into_iter().map(|task| task.retention_at_least(AGAIN_WITHIN)).collect();
        let naming = Naming { ids: &Ids::of(seed), wall: Timestamp::EPOCH };
        self.add_with(naming, kept, existing).await
    }

    async fn add_with(
        &self,
        naming: Naming<'_>,
        tasks: Vec<Task>,
        existing: Existing,
    ) -> Result<Vec<Added>> {
        let drafts = batch::check(tasks, self.kwargs_bytes_max)?;
        let now = if drafts.iter().any(Draft::needs_now) {
            self.persist(|| self.store.now()).await?
        } else {
            Timestamp::EPOCH
        };

        let add = self.plan(naming, drafts, now, existing)?;
        let reply = self.persist(|| self.store.add(&add)).await?;
        Ok(told_all(add.tasks.iter().map(|task| &task.id), reply.outcomes))
    }

    /// The request that adds these tasks. Only those that need the store's now look at `now`.
    fn plan(
        &self,
        naming: Naming<'_>,
        drafts: Vec<Draft>,
        now: Timestamp,
        existing: Existing,
    ) -> Result<Add> {
        let mut errors = Vec::new();
        let mut tasks = Vec::with_capacity(drafts.len());
        for (index, draft) in drafts.into_iter().enumerate() {
            let fresh = self.fresh_id(&draft, naming);
            match draft.plan(fresh, now) {
                Ok(task) => {
                    let torn = batch::torn(&task, &*self.store);
                    errors.extend(batch::indexed(index, torn));
                    tasks.push(task);
                }
                Err(fault) => errors.extend(batch::indexed(index, [fault])),
            }
        }
        if !errors.is_empty() {
            return Err(Error::Invalid { errors });
        }
        batch::check_bytes(&tasks)?;

        Ok(Add { request: naming.ids.request(), tasks, existing })
    }

    fn naming(&self) -> Naming<'_> {
        Naming { ids: &self.ids, wall: self.clock.wall() }
    }

    /// An id that is kept in the same part of the store as the task's unique key.
    fn fresh_id(&self, draft: &Draft, naming: Naming<'_>) -> TaskId {
        let home = draft.unique_key().map(|key| self.store.part(key.as_str()));
        loop {
            let id = naming.ids.task(naming.wall);
            if home.is_none_or(|home| self.store.part(id.as_str()) == home) {
                return id;
            }
        }
    }

    /// Calls until the store answers, [`ADD_TRIES`] times at most.
    async fn persist<T, F>(&self, call: impl Fn() -> F) -> store::Result<T>
    where
        F: Future<Output = store::Result<T>>,
    {
        let mut wait = ADD_AGAIN_AFTER;
        for _ in 1..ADD_TRIES {
            match call().await {
                Err(store::Error::Unavailable { .. }) => self.clock.sleep(wait).await,
                answer => return answer,
            }
            wait *= 2;
        }
        call().await
    }

    /// The task with this id, if there is one.
    ///
    /// Cost: one round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn find(&self, id: &TaskId) -> Result<Option<TaskRecord>> {
        Ok(self.fetch(std::slice::from_ref(id)).await?.pop().flatten())
    }

    /// The tasks with these ids, at most 1,000, in order; `None` where there is none.
    ///
    /// Cost: one round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if there are none or too many ids, or [`Error::Store`].
    pub async fn fetch(&self, ids: &[TaskId]) -> Result<Vec<Option<TaskRecord>>> {
        batch::check_count("task_id", ids.len())?;
        Ok(self.store.fetch(&Fetch { ids: ids.to_vec(), watch: None }).await?)
    }

    /// All tasks of a group, in no particular order.
    ///
    /// Cost: one or two round trips per thousand tasks.
    ///
    /// # Errors
    ///
    /// [`Error::Store`], also if a record of the group cannot be read.
    pub async fn fetch_group(&self, group: &GroupId) -> Result<Vec<TaskRecord>> {
        let filter = Filter { group: Some(group.clone()), ..Filter::default() };
        let mut list = List { filter, limit: PAGE_MAX, cursor: None };
        let mut found = Vec::new();
        let mut seen = std::collections::HashSet::new();
        loop {
            let page = self.list(&list).await?;
            if let Some(id) = page.corrupt.first() {
                let problem = "it is left out of listings".into();
                return Err(store::Error::Corrupt { id: id.clone(), problem }.into());
            }
            found.extend(page.tasks.into_iter().filter(|task| seen.insert(task.id.clone())));
            match page.next {
                Some(cursor) => list.cursor = Some(cursor),
                None => return Ok(found),
            }
        }
    }

    /// One page of the tasks that match a filter, in no particular order.
    ///
    /// A task that is there throughout appears at least once over all pages; a page may be short or
    /// empty until [`Page::next`] is `None`. Records that cannot be read are named in
    /// [`Page::corrupt`].
    ///
    /// Cost: one or two round trips.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the limit is not from 1 to 1,000, or [`Error::Store`].
    pub async fn list(&self, list: &List) -> Result<Page> {
        if !(1..=PAGE_MAX).contains(&list.limit) {
            return Err(Error::refused("limit", format!("must be from 1 to {PAGE_MAX}")));
        }
        Ok(self.store.list(list).await?)
    }

    /// Depths of all queues, and the earliest `run_at` of a task that may run.
    ///
    /// Cost: one round trip; grows with the number of queues, not of tasks.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn stats(&self) -> Result<Stats> {
        Ok(self.store.stats().await?)
    }

    /// The same of `named` queues alone, or with none of all that were used or that nodes serve. Also those
    /// that never had a task are there: whoever asks how deep such a queue is finds a number.
    ///
    /// Cost: one round trip with names, else two, one after the other.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn queues(&self, named: &[QueueName]) -> Result<Stats> {
        let mut stats = self.store.stats().await?;
        if named.is_empty() {
            stats.with_served(&self.store.cluster().await?.nodes);
        } else {
            stats.only(named);
        }
        Ok(stats)
    }

    /// Earliest `run_at` of a task that is neither paused nor running, if there is one.
    ///
    /// Cost: one round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn next_wakeup(&self) -> Result<Option<Timestamp>> {
        Ok(self.stats().await?.next_run_at)
    }

    /// Opens or pauses a queue; from a paused one nothing is claimed. It need not have tasks yet.
    ///
    /// Cost: one round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn set_queue(&self, queue: &QueueName, gate: Gate) -> Result<()> {
        Ok(self.store.set_queue(queue, gate).await?)
    }

    /// The nodes that are there, and who leads.
    ///
    /// Cost: one round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn cluster(&self) -> Result<Cluster> {
        Ok(self.store.cluster().await?)
    }

    /// Tells the node of this name to drain, which it hears at its next beat: within a second by default.
    /// A process that takes the name later is not told. Answers whether there is such a node.
    ///
    /// Cost: one round trip; the node's beats cost none more.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn drain_node(&self, node: &NodeName) -> Result<bool> {
        Ok(self.store.drain(node).await?)
    }

    /// Ends the present leader's term and says whose it was; another node leads then.
    ///
    /// Cost: one round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn resign_leader(&self) -> Result<Option<Leader>> {
        Ok(self.store.resign(&Resign { process: None }).await?)
    }
}

fn told_all<'a>(
    ids: impl IntoIterator<Item = &'a TaskId>,
    outcomes: Vec<AddOutcome>,
) -> Vec<Added> {
    ids.into_iter().zip(outcomes).map(|(id, outcome)| told(id, outcome)).collect()
}

fn told(id: &TaskId, outcome: AddOutcome) -> Added {
    let (task_id, outcome) = match outcome {
        AddOutcome::Created => (id.clone(), Outcome::Created),
        AddOutcome::Replaced => (id.clone(), Outcome::Replaced),
        AddOutcome::Kept => (id.clone(), Outcome::Kept),
        AddOutcome::Duplicate(holder) => (holder, Outcome::Duplicate),
    };
    Added { task_id, outcome }
}
