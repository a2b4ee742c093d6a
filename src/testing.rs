//! Test handlers without a server and without sleeping.
//!
//! [`Inline`] is a scheduler on a memory store whose clock stands until it is moved. Tasks run where
//! the test asks for it, one after the other, in the order in which a node would claim them, and
//! their outcomes are decided by the same code.
//!
//! ```
//! use std::time::Duration;
//!
//! use taskshed::Context;
//! use taskshed::Task;
//! use taskshed::TaskError;
//! use taskshed::testing::Inline;
//! use serde_json::Value;
//!
//! async fn flaky(ctx: Context, _args: Value) -> Result<&'static str, TaskError> {
//!     if ctx.attempt() < 3 { Err(TaskError::retry("not yet")) } else { Ok("done") }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let shed = Inline::new().handler("flaky", flaky)?;
//! let added = shed.scheduler().add(Task::new("flaky", &serde_json::json!({}))?).await?;
//!
//! let ran = shed.advance(Duration::from_secs(60)).await?;
//!
//! assert_eq!(ran.len(), 3);
//! assert_eq!(ran[2].task.attempt, 3);
//! assert!(shed.scheduler().find(&added.task_id).await?.is_none());
//! # Ok(())
//! # }
//! ```

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::Clock;
use crate::config::NodeConfig;
use crate::domain::id::Callback;
use crate::domain::id::ClaimId;
use crate::domain::id::InvalidName;
use crate::domain::id::NodeName;
use crate::domain::id::ProcessId;
use crate::domain::retry::Jitter;
use crate::domain::state::Deciding;
use crate::domain::state::Outcome;
use crate::domain::state::decide;
use crate::domain::task::TaskRecord;
use crate::domain::time::Timestamp;
use crate::handlers::Context;
use crate::handlers::Handlers;
use crate::handlers::Stopper;
use crate::handlers::TaskError;
use crate::handlers::typed;
use crate::node::run_alone;
use crate::scheduler::Scheduler;
use crate::store::AckItem;
use crate::store::Claim;
use crate::store::Claimed;
use crate::store::Holder;
use crate::store::HolderKind;
use crate::store::Options;
use crate::store::Result;
use crate::store::Store;
use crate::store::SuspectRoom;
use crate::store::connect::in_memory;

pub use crate::clock::ManualClock;
pub use crate::node::Gate;
pub use crate::node::Part;
pub use crate::node::Work;

/// Most runs of one call, so that a task which is always due does not run for ever.
pub const RUNS_MAX: usize = 10_000;

/// Where the clock stands at first: 2026-01-01T00:00:00Z.
const START_US: i64 = 1_767_225_600_000_000;

/// Length of a lease; nothing competes for it.
const LEASE: Duration = Duration::from_secs(600);

/// A scheduler, a store in memory, a clock that stands, and handlers that run when told to.
#[derive(Debug)]
pub struct Inline {
    clock: ManualClock,
    store: Arc<dyn Store>,
    scheduler: Scheduler,
    handlers: Handlers,
    holder: Holder,
    claims: AtomicU64,
}

/// One run that took place.
#[derive(Clone, Debug, PartialEq)]
pub struct Ran {
    /// The task as its handler saw it.
    pub task: Arc<TaskRecord>,
    /// How the run ended.
    pub outcome: Outcome,
}

impl Inline {
    /// An empty store; the clock shows 2026-01-01T00:00:00Z.
    #[must_use]
    pub fn new() -> Self {
        Self::at(Timestamp::from_us(START_US))
    }

    /// An empty store; the clock shows `wall`.
    #[must_use]
    pub fn at(wall: Timestamp) -> Self {
        let clock = ManualClock::at(wall);
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let store = in_memory(Arc::clone(&shared), Options::default());
        let scheduler = Scheduler::with(Arc::clone(&store), shared, StdRng::seed_from_u64(0));
        let holder = Holder {
            node: NodeName::parse("inline").expect("a word is a node's name"),
            process: ProcessId::generate(0, [0; 10]),
            kind: HolderKind::Node,
        };
        let (handlers, claims) = (Handlers::default(), AtomicU64::new(0));
        Self { clock, store, scheduler, handlers, holder, claims }
    }

    /// Registers an async function of a [`Context`] and the task's arguments under `callback`.
    ///
    /// # Errors
    ///
    /// If the name is not a callback.
    pub fn handler<F, Fut, Args, Output>(
        mut self,
        callback: &str,
        function: F,
    ) -> std::result::Result<Self, InvalidName>
    where
        F: Fn(Context, Args) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = std::result::Result<Output, TaskError>> + Send + 'static,
        Args: DeserializeOwned + Send + 'static,
        Output: Serialize + Send + 'static,
    {
        self.handlers.insert(Callback::parse(callback)?, Arc::new(typed(function)));
        Ok(self)
    }

    /// Adds, finds and changes tasks of this store.
    #[must_use]
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// The store, for what else works on one.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The clock. Moving it by hand runs nothing, so that recurrences are missed; see
    /// [`Inline::advance`] for the other way.
    #[must_use]
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// Runs what is due, and what becomes due through it, until nothing is: at most [`RUNS_MAX`] runs.
    ///
    /// Tasks of callbacks without a handler stay. Timeouts do not strike, because the clock stands.
    ///
    /// # Errors
    ///
    /// None; the type is that of stores.
    pub async fn run_due(&self) -> Result<Vec<Ran>> {
        Ok(self.run_until_idle().await?.0)
    }

    /// Moves the clock forward by `length`, stopping at each moment at which a task becomes due, and
    /// runs it there.
    ///
    /// # Errors
    ///
    /// None; the type is that of stores.
    pub async fn advance(&self, length: Duration) -> Result<Vec<Ran>> {
        let until = self.clock.wall().plus(length);
        let mut all = Vec::new();
        loop {
            let (ran, next) = self.run_until_idle().await?;
            all.extend(ran);
            let now = self.clock.wall();
            if now >= until || all.len() >= RUNS_MAX {
                return Ok(all);
            }
            let stop = next.filter(|next| *next > now).map_or(until, |next| next.min(until));
            self.clock.advance(stop.since(now));
        }
    }

    /// Runs what is due and tells when there is more.
    async fn run_until_idle(&self) -> Result<(Vec<Ran>, Option<Timestamp>)> {
        let mut all = Vec::new();
        loop {
            let claimed = self.claim().await?;
            let idle = claimed.tasks.is_empty() && !claimed.more;
            for task in claimed.tasks {
                all.push(self.run(task).await?);
            }
            if idle || all.len() >= RUNS_MAX {
                return Ok((all, claimed.next_run_at));
            }
        }
    }

    async fn claim(&self) -> Result<Claimed> {
        let count = self.claims.fetch_add(1, Ordering::Relaxed);
        let mut entropy = [0; 10];
        entropy[..8].copy_from_slice(&count.to_be_bytes());
        let queues = self.store.stats().await?.queues.into_iter().map(|queue| queue.queue);
        let claim = Claim {
            id: ClaimId::generate(0, entropy),
            holder: self.holder.clone(),
            queues: queues.collect(),
            callbacks: Some(self.handlers.callbacks()),
            limit: 1,
            ttl: LEASE,
            grace: LEASE,
            ahead: Duration::ZERO,
            suspects: SuspectRoom { two: 1, three: 1, idle: true },
            wait: false,
        };
        self.store.claim(&claim).await
    }

    async fn run(&self, record: TaskRecord) -> Result<Ran> {
        let task = Arc::new(record);
        let outcome = self.call(&task).await;
        let deciding =
            Deciding { now: self.clock.wall(), jitter: Jitter::NONE, node: &self.holder.node };
        let verdict = decide(&task, outcome.clone(), &deciding);
        if let Some(lease) = &task.lease {
            let item = AckItem {
                claim: lease.claim_id.clone(),
                task: task.id.clone(),
                fence: lease.fence,
                spec: Arc::clone(&task.spec),
                verdict,
            };
            self.store.ack(&[item]).await?;
        }
        Ok(Ran { task, outcome })
    }

    async fn call(&self, task: &Arc<TaskRecord>) -> Outcome {
        let Some(handler) = self.handlers.find(&task.spec.callback) else {
            return Outcome::Released;
        };
        let config = NodeConfig::new(self.holder.node.clone());
        let timeout = task.spec.timeout.or(handler.timeout()).unwrap_or(config.default_timeout);
        let node = self.holder.node.clone();
        let (task, store) = (Arc::clone(task), Arc::clone(&self.store));
        let context = Context::new(task, node, timeout, Stopper::default(), store);
        run_alone(&**handler, context).await
    }
}

impl Default for Inline {
    fn default() -> Self {
        Self::new()
    }
}
