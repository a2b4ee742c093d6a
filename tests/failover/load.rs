//! Tasks that are added and run without pause, and a count of what became of them.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use taskshed::Context;
use taskshed::Node;
use taskshed::Scheduler;
use taskshed::Task;
use taskshed::TaskError;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::store::Store;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Callers who add at the same time.
const ADDERS: usize = 8;

const NODES: usize = 2;

/// Between two adds of one caller.
const PAUSE: Duration = Duration::from_millis(2);

/// When every second task is due, so that the primary dies while many wait.
const LATER: Duration = Duration::from_secs(2);

/// How long the store may show nothing that is to run before what did not run counts as lost.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// What was acknowledged, and what ran.
#[derive(Debug, Default)]
struct Ledger {
    acknowledged: Mutex<HashSet<String>>,
    /// How often each task ran.
    ran: Mutex<HashMap<String, u32>>,
    refused: AtomicU64,
}

/// Callers and nodes on one store.
pub(crate) struct Load {
    store: Arc<dyn Store>,
    ledger: Arc<Ledger>,
    adding: JoinSet<()>,
    nodes: JoinSet<()>,
    stop_adding: CancellationToken,
    stop_nodes: CancellationToken,
}

/// What became of all tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    /// Adds that were acknowledged.
    pub(crate) acknowledged: usize,
    /// Adds that were given up after their repeats.
    pub(crate) refused: u64,
    /// Acknowledged tasks that neither ran nor are there.
    pub(crate) lost: usize,
    /// Tasks that ran more than once.
    pub(crate) repeated: usize,
}

impl Load {
    /// Starts the nodes and the callers; each has connections of its own, which `open` makes.
    pub(crate) async fn start(open: impl Fn() -> Arc<dyn Store>) -> Self {
        let (store, ledger) = (open(), Arc::new(Ledger::default()));
        store.prepare().await.unwrap();
        let (stop_adding, stop_nodes) = (CancellationToken::new(), CancellationToken::new());
        let mut nodes = JoinSet::new();
        for n in 0..NODES {
            let (notes, stop) = (Arc::clone(&ledger), stop_nodes.clone());
            let note = move |context: Context, _: Value| {
                let id = context.task().id.as_str().to_owned();
                *notes.ran.lock().unwrap().entry(id).or_default() += 1;
                async { Ok::<_, TaskError>(()) }
            };
            let node = Node::builder(open()).name(&format!("node-{n}")).handler("note", note);
            let node = node.lease(Duration::from_secs(4)).build().unwrap();
            nodes.spawn(async move {
                assert!(node.run_until(stop.cancelled_owned()).await.unwrap().is_clean());
            });
        }
        let mut adding = JoinSet::new();
        for n in 0..ADDERS {
            let scheduler = Scheduler::new(open());
            adding.spawn(add(scheduler, Arc::clone(&ledger), n, stop_adding.clone()));
        }
        Self { store, ledger, adding, nodes, stop_adding, stop_nodes }
    }

    /// How many adds were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> usize {
        self.ledger.acknowledged.lock().unwrap().len()
    }

    /// Waits until this many more are acknowledged, so that the load is felt.
    pub(crate) async fn flow(&self, more: usize) {
        let goal = self.acknowledged() + more;
        self.wait_for("tasks are added", Duration::ZERO, async || self.acknowledged() >= goal)
            .await;
    }

    /// Stops adding, lets run what is there, and counts.
    pub(crate) async fn settle(mut self) -> Count {
        self.stop_adding.cancel();
        while self.adding.join_next().await.is_some() {}
        self.wait_for("all that is there has run", SETTLED_AFTER, async || {
            let Ok(stats) = self.store.stats().await else { return false };
            stats.next_run_at.is_none() && stats.queues.iter().all(|queue| queue.running == 0)
        })
        .await;
        self.stop_nodes.cancel();
        while self.nodes.join_next().await.is_some() {}

        let ran = self.ledger.ran.lock().unwrap();
        let acknowledged = self.ledger.acknowledged.lock().unwrap();
        Count {
            acknowledged: acknowledged.len(),
            refused: self.ledger.refused.load(Ordering::Relaxed),
            lost: acknowledged.iter().filter(|id| !ran.contains_key(*id)).count(),
            repeated: ran.values().filter(|count| **count > 1).count(),
        }
    }

    /// Waits until something has been so for `long`.
    async fn wait_for(&self, what: &str, long: Duration, is_so: impl AsyncFn() -> bool) {
        let (mut held, step) = (Duration::ZERO, Duration::from_millis(50));
        for _ in 0..1200 {
            held = if is_so().await { held + step } else { Duration::ZERO };
            if held > long {
                return;
            }
            SystemClock.sleep(step).await;
        }
        panic!("within a minute: {what}");
    }
}

async fn add(scheduler: Scheduler, ledger: Arc<Ledger>, caller: usize, stop: CancellationToken) {
    for n in 0.. {
        if stop.is_cancelled() {
            return;
        }
        let id = format!("{caller}-{n}");
        let task = Task::new("note", &serde_json::json!({})).unwrap().id(&id);
        let task = if n % 2 == 0 { task } else { task.run_in(LATER) };
        match scheduler.add(task).await {
            Ok(_) => drop(ledger.acknowledged.lock().unwrap().insert(id)),
            Err(_) => drop(ledger.refused.fetch_add(1, Ordering::Relaxed)),
        }
        SystemClock.sleep(PAUSE).await;
    }
}
