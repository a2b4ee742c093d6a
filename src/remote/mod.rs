//! Workers that are no nodes: they claim, renew and hand back through a node.
//!
//! A claim of theirs is a lease like any other: fenced, renewed, reclaimed by the leader, and shown
//! among the nodes. What differs is told to the store with the claim: a lease that lapses always
//! counts as a crash, and the leader watches it for half its length, because it is to be renewed every
//! quarter.
//!
//! # What is not here
//!
//! No list of workers and no owner of a claim. All that a claim is stands in the store, so a worker may
//! ask another node each time, and a node that dies takes no claim with it. A node only remembers when
//! the tasks of the claims that it met time out, and finds that again from the store: the fence of a
//! run is the moment of its claim.

mod claim;
mod hand_back;
mod hinted;
mod pace;
mod renew;
mod traced;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::domain::id::Callback;
use crate::domain::id::ClaimId;
use crate::domain::id::NodeName;
use crate::domain::id::QueueName;
use crate::domain::id::TaskId;
use crate::domain::lease::Fence;
use crate::domain::retry::Jitter;
use crate::domain::state::Outcome;
use crate::domain::task::TaskRecord;
use crate::domain::time::Timestamp;
use crate::events::Events;
use crate::events::Run;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::traces::Traces;

use self::watch::Watches;

/// A run is stopped after this unless its task says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3600);

/// How long after its timeout a task is taken from its claim: a worker that renews in time hears of the
/// timeout before, and may still hand an outcome back.
pub const TAKEN_AFTER: Duration = Duration::from_secs(30);

/// Where workers that are no nodes come for tasks. Cheap to clone; clones are one desk.
#[derive(Clone)]
pub struct Desk {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    events: Events,
    metrics: Metrics,
    traces: Option<Arc<dyn Traces>>,
    default_timeout: Duration,
    rng: Arc<Mutex<StdRng>>,
    watches: Arc<Watches>,
    tracker: TaskTracker,
}

/// What a worker wishes for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Name of the worker, for people.
    pub worker: NodeName,
    /// Queues to serve, in this order.
    pub queues: Vec<QueueName>,
    /// Callbacks that the worker has; `None` if it takes any.
    pub callbacks: Option<Arc<[Callback]>>,
    /// 1 to [`BATCH_MAX`](crate::store::BATCH_MAX) tasks.
    pub limit: usize,
    /// Length of the lease.
    pub lease: Duration,
    /// Identity of the claim, if the worker chose one so that it can repeat the claim.
    pub claim_id: Option<ClaimId>,
}

/// What a worker gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// Nothing is due.
    Nothing,
    /// Tasks, under one lease.
    Tasks(Vec<TaskRecord>),
    /// The claim is that of another worker or node.
    Foreign,
}

/// A lease that was prolonged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// Its new end, by the store's clock.
    pub expires_at: Timestamp,
    /// Tasks that are to stop: cancelled, replaced or removed.
    pub cancelled: Vec<TaskId>,
    /// Tasks that are to stop: their time is over. [`TAKEN_AFTER`] later they are taken from the claim.
    pub timed_out: Vec<TaskId>,
}

/// The outcome of one run, as a worker tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Handed {
    /// The task.
    pub task: TaskId,
    /// Fence of the run.
    pub fence: Fence,
    /// How it ended.
    pub outcome: Outcome,
}

impl Desk {
    /// A desk on `store`, with ids and jitter drawn from the system's random numbers.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            events: Events::default(),
            metrics: Metrics::default(),
            traces: None,
            default_timeout: DEFAULT_TIMEOUT,
            rng: Arc::new(Mutex::new(rand::make_rng())),
            watches: Arc::default(),
            tracker: TaskTracker::new(),
        }
    }

    /// Times waits and timeouts by `clock`.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Tells runs that start and end here on `events`.
    #[must_use]
    pub fn events(mut self, events: Events) -> Self {
        self.events = events;
        self
    }

    /// Counts runs that start and end here with `metrics`.
    #[must_use]
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Tells `traces` of claims, runs and acks of workers.
    #[must_use]
    pub fn traces(mut self, traces: Arc<dyn Traces>) -> Self {
        self.traces = Some(traces);
        self
    }

    /// Takes tasks without a timeout of their own from their claim after this.
    #[must_use]
    pub fn default_timeout(mut self, length: Duration) -> Self {
        self.default_timeout = length;
        self
    }

    /// Returns when no claim is under way any more whose client went away. For the end of a server.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn settled(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    fn fresh_id(&self) -> ClaimId {
        let unix_ms = u64::try_from(self.clock.wall().as_us() / 1000).unwrap_or(0);
        ClaimId::generate(unix_ms, self.rng().random())
    }

    fn jitter(&self) -> Jitter {
        Jitter::new(self.fraction())
    }

    fn fraction(&self) -> f64 {
        self.rng().random()
    }

    fn rng(&self) -> MutexGuard<'_, StdRng> {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("store", &self.store).finish_non_exhaustive()
    }
}

/// When a run was claimed: a fence is never below the store's now in µs, and above it only where the
/// store's clock stepped back.
fn claimed_at(fence: Fence) -> Timestamp {
    Timestamp::from_us(i64::try_from(fence.0).unwrap_or(i64::MAX))
}

/// Names a run for who listens.
fn name(task: &TaskRecord) -> Option<Run> {
    let lease = task.lease.as_ref()?;
    Some(Run {
        task: task.id.clone(),
        callback: task.spec.callback.clone(),
        queue: task.spec.queue.clone(),
        planned_at: task.planned_at,
        attempt: task.attempt,
        fence: lease.fence,
        node: lease.node.clone(),
    })
}
