//! What a node claims before it has a slot for it.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use serde_json::Value;
use taskshed::config::NodeConfig;
use taskshed::domain::draft::Task;
use taskshed::domain::id::TaskId;
use taskshed::domain::state::TaskState;
use taskshed::domain::task::Priority;
use taskshed::handlers::Context;
use taskshed::node::Builder;
use taskshed::node::NodeHandle;
use taskshed::store::Existing;
use tokio::sync::Barrier;
use tokio_util::sync::CancellationToken;

use crate::shed::Live;
use crate::shed::MS;
use crate::shed::Shed;
use crate::shed::leading;
use crate::shed::pause;
use crate::shed::steady;
use crate::shed::task;
use crate::shed::until;

/// How many short tasks show a node that runs are short.
const SHORT: usize = 5_000;

/// How many tasks are behind those that block it.
const BEHIND: usize = 300;

/// What runs at present, and at most ran at once.
#[derive(Default)]
struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Gauge {
    fn up(&self) {
        self.most.fetch_max(self.now.fetch_add(1, SeqCst) + 1, SeqCst);
    }

    fn down(&self) {
        self.now.fetch_sub(1, SeqCst);
    }
}

/// Nodes whose slots are blocked after many short runs.
struct Jam {
    shed: Shed,
    short: Arc<AtomicUsize>,
    blocked: Arc<AtomicUsize>,
    /// Tasks that the node held when the last of its slots was blocked.
    held: Arc<AtomicUsize>,
    go_on: CancellationToken,
    behind: Vec<TaskId>,
}

async fn add(shed: &Shed, tasks: Vec<Task>) -> Vec<TaskId> {
    let mut ids = Vec::new();
    for batch in tasks.chunks(1_000) {
        let added = shed.scheduler.add_all(batch.iter().cloned(), Existing::Keep).await.unwrap();
        ids.extend(added.into_iter().map(|added| added.task_id));
    }
    ids
}

fn small(name: &str, drain_timeout: Duration) -> NodeConfig {
    let mut config = leading(name);
    config.concurrency = 2;
    config.stands_for_leader = false;
    config.drain_timeout = drain_timeout;
    config
}

impl Jam {
    async fn new() -> Self {
        let shed = Shed::new();
        let copies = |task: Task, count| std::iter::repeat_n(task, count).collect::<Vec<_>>();
        add(&shed, copies(task("short").priority(Priority::High), SHORT)).await;
        add(&shed, copies(task("block"), 2)).await;
        let kept = task("short").priority(Priority::Low).retention(Duration::from_secs(3600));
        let behind = add(&shed, copies(kept, BEHIND)).await;
        let (short, blocked, held) = <(Arc<_>, Arc<_>, Arc<_>)>::default();
        Self { shed, short, blocked, held, go_on: CancellationToken::new(), behind }
    }

    fn node(&self, name: &str) -> (Builder, Arc<OnceLock<NodeHandle>>) {
        let handle = Arc::new(OnceLock::<NodeHandle>::new());
        let short = Arc::clone(&self.short);
        let run_short = move |_: Context, _: Value| {
            short.fetch_add(1, SeqCst);
            std::future::ready(Ok(Value::Null))
        };
        let (blocked, held) = (Arc::clone(&self.blocked), Arc::clone(&self.held));
        let (go_on, known) = (self.go_on.clone(), Arc::clone(&handle));
        let block = move |_: Context, _: Value| {
            held.store(known.get().map_or(0, |handle| handle.status().held), SeqCst);
            blocked.fetch_add(1, SeqCst);
            let go_on = go_on.clone();
            async move {
                go_on.cancelled().await;
                Ok(Value::Null)
            }
        };
        let builder = self.shed.node_with(small(name, Duration::from_secs(10)));
        (builder.handler("short", run_short).handler("block", block), handle)
    }

    /// A node all of whose slots are blocked, while it holds more.
    async fn blocked(&self, name: &str) -> Live {
        let (builder, handle) = self.node(name);
        let live = Live::start(builder);
        handle.set(live.handle.clone()).unwrap();
        until("all slots are blocked", async || self.blocked.load(SeqCst) == 2).await;
        let held = self.held.load(SeqCst);
        assert!(held > 2, "nothing was claimed for which there was no slot: {held}");
        live
    }

    /// Ends well if each task runs once, although the first node's slots stay blocked.
    async fn all_run_elsewhere(&self) {
        let (builder, _) = self.node("b");
        let other = Live::start(builder);
        until("all run", async || self.short.load(SeqCst) == SHORT + BEHIND).await;
        self.go_on.cancel();
        assert!(other.drain().await.is_clean());
        assert_eq!(self.short.load(SeqCst), SHORT + BEHIND);
        for id in &self.behind {
            let kept = self.shed.find(id).await;
            assert_eq!((kept.state, kept.attempt, kept.crashes), (TaskState::Completed, 1, 0));
        }
    }
}

/// However many are claimed, no more run than there are slots, and each slot is used.
#[tokio::test]
async fn as_many_run_at_once_as_there_are_slots() {
    let shed = Shed::new();
    let gauge = Arc::new(Gauge::default());
    let (short, long) = (Arc::clone(&gauge), Arc::clone(&gauge));
    let run_short = move |_: Context, _: Value| {
        short.up();
        short.down();
        std::future::ready(Ok(Value::Null))
    };
    let run_long = move |_: Context, _: Value| {
        let gauge = Arc::clone(&long);
        gauge.up();
        async move {
            pause(MS * 5).await;
            gauge.down();
            Ok(Value::Null)
        }
    };
    let tasks = (0..SHORT).map(|nth| task(if nth % 100 < 10 { "long" } else { "short" }));
    add(&shed, tasks.collect()).await;
    let config = NodeConfig { concurrency: 16, ..small("a", Duration::from_secs(10)) };
    let builder = shed.node_with(config).handler("short", run_short).handler("long", run_long);
    let live = Live::start(builder);
    let queued = async || shed.scheduler.stats().await.unwrap().queues[0].due;
    until("all have run", async || queued().await == 0).await;
    assert!(live.drain().await.is_clean());
    assert_eq!(gauge.most.load(SeqCst), 16);
}

/// What was claimed because runs were short does not wait for long ones, and is not charged for it.
#[tokio::test]
async fn what_waits_for_a_slot_in_vain_runs_elsewhere() {
    let jam = Jam::new().await;
    let live = jam.blocked("a").await;
    jam.all_run_elsewhere().await;
    assert!(live.drain().await.is_clean());
}

/// Guards N1: nor does it wait for those that a draining node lets end.
#[tokio::test]
async fn what_waits_for_a_slot_is_handed_back_by_a_node_that_drains() {
    let jam = Jam::new().await;
    let live = jam.blocked("a").await;
    live.shut_down();
    jam.all_run_elsewhere().await;
    assert!(live.left().await.is_clean());
}

/// A handler that blocks its thread keeps no task from starting that has a slot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_a_slot_starts_beside_a_handler_that_blocks() {
    let shed = Shed::new();
    let (ended, started) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(BEHIND)));
    let seen = Arc::clone(&ended);
    let block = move |_: Context, _: Value| {
        let began = steady();
        while seen.load(SeqCst) < BEHIND && steady() < began + MS * 15_000 {
            std::hint::spin_loop();
        }
        std::future::ready(Ok(Value::Null))
    };
    let note = Arc::clone(&ended);
    let meet = move |_: Context, _: Value| {
        let (started, ended) = (Arc::clone(&started), Arc::clone(&note));
        async move {
            started.wait().await;
            ended.fetch_add(1, SeqCst);
            Ok(Value::Null)
        }
    };
    shed.add(task("block").priority(Priority::High)).await;
    add(&shed, std::iter::repeat_n(task("meet"), BEHIND).collect()).await;
    let config = NodeConfig { concurrency: 2 * (BEHIND + 1), ..small("a", MS * 20_000) };
    let live = Live::start(shed.node_with(config).handler("block", block).handler("meet", meet));
    until("all others have started", async || ended.load(SeqCst) == BEHIND).await;
    assert!(live.drain().await.is_clean());
}
