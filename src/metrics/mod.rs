//! What is counted on a node, for Prometheus and whatever reads its text.
//!
//! [`Metrics`] is a handle: parts of a node count with it, and whoever is asked for numbers writes them
//! down. [`Metrics::text`] is what `/metrics` answers; a program that embeds a node takes it from
//! [`NodeHandle::metrics`](crate::node::NodeHandle::metrics) and appends it to its own, or registers the
//! handle as a collector of its registry. What each number means stands in `docs/reference/metrics.md`.
//!
//! ```
//! use std::sync::Arc;
//!
//! use taskshed::Node;
//! use taskshed::Scheduler;
//! use taskshed::clock::SystemClock;
//! use taskshed::store::measured;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = taskshed::connect("memory:").await?;
//! let node = Node::builder(store.clone()).build()?;
//! let metrics = node.handle().metrics();
//! // The node counts by itself; a scheduler beside it does so over a store that is measured.
//! let scheduler = Scheduler::new(measured(store, metrics.clone(), Arc::new(SystemClock)));
//!
//! scheduler.add(taskshed::Task::new("greet", &serde_json::json!({}))?).await?;
//! assert!(metrics.text().contains("taskshed_tasks_added_total{outcome=\"created\"} 1"));
//! # Ok(())
//! # }
//! ```
//!
//! # What it costs
//!
//! A run costs four atomic additions, a batch of outcomes and a call to the store some more; there is no
//! lock on the way. Reading costs no call to the store, so that it works while the store is away. What
//! only the store knows, the leader samples while somebody reads.
//!
//! # What is not here
//!
//! No label with values from outside: callbacks are those that have a handler on the node, and the runs
//! of all others share an empty one; queues are bounded in number.

mod calls;
mod count;
mod runs;
mod sample;
mod shown;
#[cfg(feature = "otlp")]
mod spans;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::Notify;

use crate::domain::id::Callback;
use crate::domain::lease::Term;

pub(crate) use calls::Method;
pub(crate) use calls::Trouble;
pub(crate) use runs::Ended;
pub(crate) use runs::Runs;
pub(crate) use runs::Tally;
pub(crate) use sample::QueueSample;
pub(crate) use sample::Sample;
#[cfg(feature = "otlp")]
pub(crate) use spans::Lost;
#[cfg(feature = "otlp")]
pub(crate) use spans::Spans;

use calls::Calls;
use count::Buckets;
use count::Counter;
use count::Histogram;

/// Sizes of claims: none, one, and up to the most that there are.
const BATCHES: Buckets = Buckets::of_counts(&[0, 1, 2, 5, 10, 25, 50, 100, 250, 500, 1000]);

/// Counts what happens on one node. Cheap to clone; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    counted: Arc<Counted>,
}

#[derive(Debug)]
struct Counted {
    /// In the order of [`Added::NAMES`].
    added: [Counter; Added::NAMES.len()],
    runs: Mutex<BTreeMap<Callback, Arc<Runs>>>,
    /// Of callbacks that have no handler here.
    others: Arc<Runs>,
    reclaimed: [Counter; Cause::NAMES.len()],
    stale: [Counter; Sender::NAMES.len()],
    claims: Histogram,
    renewed: Counter,
    lost: Counter,
    calls: Calls,
    leads: AtomicBool,
    term: AtomicU64,
    skew_us: AtomicI64,
    concurrency: AtomicU64,
    sample: Mutex<Option<Sample>>,
    read: Notify,
    #[cfg(feature = "otlp")]
    spans: Spans,
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            added: Default::default(),
            runs: Mutex::default(),
            others: Arc::default(),
            reclaimed: Default::default(),
            stale: Default::default(),
            claims: Histogram::new(BATCHES),
            renewed: Counter::default(),
            lost: Counter::default(),
            calls: Calls::default(),
            leads: AtomicBool::default(),
            term: AtomicU64::default(),
            skew_us: AtomicI64::default(),
            concurrency: AtomicU64::default(),
            sample: Mutex::default(),
            read: Notify::new(),
            #[cfg(feature = "otlp")]
            spans: Spans::default(),
        }
    }
}

/// How a task was met by the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    Created,
    Replaced,
    Kept,
    Duplicate,
}

impl Added {
    const NAMES: [&str; 4] = ["created", "replaced", "kept", "duplicate"];
}

/// Why tasks were taken back from a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Its holder seems to have died.
    Crash,
    /// Its holder lives, and does not know of it: the reply to its claim was lost.
    Unclaimed,
}

impl Cause {
    const NAMES: [&str; 2] = ["crash", "unclaimed"];
}

/// Who sent an outcome that the store refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// This node, once.
    Node,
    /// This node, again after a try without an answer, which may have been accepted.
    NodeAgain,
    /// A remote worker, which may have sent it before.
    Remote,
}

impl Sender {
    const NAMES: [&str; 3] = ["node", "node_again", "remote"];
}

impl Metrics {
    /// All numbers in the text format of Prometheus, version 0.0.4, sorted by nothing in particular.
    ///
    /// Another text in this format may stand before or behind it. Costs no call to the store and a few
    /// hundred lines; whoever calls it lets the leader sample the queues for some minutes.
    #[must_use]
    pub fn text(&self) -> String {
        shown::text(self)
    }

    /// Counts runs of `callback` under its name from now on.
    pub(crate) fn register(&self, callback: &Callback) -> Arc<Runs> {
        Arc::clone(self.runs().entry(callback.clone()).or_default())
    }

    /// Where runs of `callback` are counted: apart if it has a handler here.
    pub(crate) fn runs_of(&self, callback: &Callback) -> Arc<Runs> {
        self.runs().get(callback).map_or_else(|| self.others(), Arc::clone)
    }

    /// Where runs are counted whose callback has no handler here.
    pub(crate) fn others(&self) -> Arc<Runs> {
        Arc::clone(&self.counted.others)
    }

    /// Tasks were met so by the store.
    pub(crate) fn added(&self, how: Added, count: u64) {
        self.counted.added[how as usize].add(count);
    }

    /// Tasks were taken back from a lease.
    pub(crate) fn reclaimed(&self, cause: Cause, count: u64) {
        self.counted.reclaimed[cause as usize].add(count);
    }

    /// The store refused outcomes.
    pub(crate) fn stale(&self, sender: Sender, count: u64) {
        self.counted.stale[sender as usize].add(count);
    }

    /// A claim brought so many tasks.
    pub(crate) fn claimed(&self, count: usize) {
        self.counted.claims.observe(count as u64);
    }

    /// Leases were prolonged.
    pub(crate) fn renewed(&self, count: usize) {
        self.counted.renewed.add(count as u64);
    }

    /// The store gave leases up under which runs were under way.
    pub(crate) fn lost(&self, count: usize) {
        self.counted.lost.add(count as u64);
    }

    /// A call to the store took so long, and was answered or not.
    pub(crate) fn called(&self, method: Method, length: Duration, trouble: Option<Trouble>) {
        self.counted.calls.note(method, length, trouble);
    }

    /// Most tasks that the node runs at once.
    pub(crate) fn sized(&self, concurrency: usize) {
        self.counted.concurrency.store(concurrency as u64, Relaxed);
    }

    /// What a beat told: how far this machine's clock is ahead of the store's, and who leads.
    pub(crate) fn beat(&self, skew_us: i64, term: Option<Term>) {
        self.counted.skew_us.store(skew_us, Relaxed);
        if let Some(term) = term {
            self.counted.term.store(term.0, Relaxed);
        }
    }

    /// This node leads, until the answer is dropped.
    pub(crate) fn lead(&self, term: Term) -> Leading {
        self.counted.term.store(term.0, Relaxed);
        self.counted.leads.store(true, Relaxed);
        Leading { metrics: self.clone() }
    }

    /// What the leader saw of the store last; `None` if it sees nothing.
    pub(crate) fn sampled(&self, sample: Option<Sample>) {
        let sample = sample.map(Sample::bounded);
        *self.counted.sample.lock().unwrap_or_else(PoisonError::into_inner) = sample;
    }

    /// What becomes of the spans of this process.
    #[cfg(feature = "otlp")]
    pub(crate) fn spans(&self) -> &Spans {
        &self.counted.spans
    }

    /// Returns when somebody has read the metrics since this returned last. One waiter at a time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future forgets no reader.
    pub(crate) async fn read(&self) {
        self.counted.read.notified().await;
    }

    fn runs(&self) -> MutexGuard<'_, BTreeMap<Callback, Arc<Runs>>> {
        self.counted.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A spell of leadership, as it is shown.
#[derive(Debug)]
pub(crate) struct Leading {
    metrics: Metrics,
}

impl Drop for Leading {
    fn drop(&mut self) {
        self.metrics.counted.leads.store(false, Relaxed);
        self.metrics.sampled(None);
    }
}
