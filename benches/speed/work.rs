//! What benchmarks ask of stores and nodes.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use taskshed::Node;
use taskshed::Scheduler;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::domain::draft::Task;
use taskshed::domain::id::ClaimId;
use taskshed::domain::id::NodeName;
use taskshed::domain::id::ProcessId;
use taskshed::domain::id::QueueName;
use taskshed::domain::state::TaskState;
use taskshed::domain::state::Verdict;
use taskshed::handlers::Context;
use taskshed::node::Builder;
use taskshed::store;
use taskshed::store::Existing;
use taskshed::store::Store;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::place::Place;

/// How often an ack is sent again that other calls were in the way of.
const ACKED_AGAIN_MAX: usize = 20;

#[derive(Deserialize)]
pub(crate) struct Arguments {
    pub(crate) number: usize,
}

/// Makes the task of a number.
pub(crate) type Kind = fn(usize) -> Task;

/// A task that does nothing.
pub(crate) fn noop(number: usize) -> Task {
    Task::new("noop", &json!({ "number": number })).unwrap()
}

/// Adds tasks in the largest batches.
pub(crate) async fn add(store: &Arc<dyn Store>, count: usize, task: impl Fn(usize) -> Task) {
    add_by(store, count, store::BATCH_MAX, task).await;
}

/// Adds tasks in batches.
pub(crate) async fn add_by(
    store: &Arc<dyn Store>,
    count: usize,
    batch: usize,
    task: impl Fn(usize) -> Task,
) {
    let scheduler = Scheduler::new(Arc::clone(store));
    let numbers: Vec<_> = (0..count).collect();
    for batch in numbers.chunks(batch) {
        let tasks = batch.iter().map(|number| task(*number));
        scheduler.add_all(tasks, Existing::Keep).await.unwrap();
    }
}

/// How long a piece of work takes.
pub(crate) async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let began = SystemClock.steady();
    let done = work.await;
    (done, SystemClock.steady().saturating_sub(began))
}

/// Nodes of processes of their own that run so many tasks at once.
pub(crate) async fn nodes(place: &mut Place, count: usize, concurrency: usize) -> Vec<Builder> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(Node::builder(place.open().await).concurrency(concurrency));
    }
    nodes
}

/// Has nodes run all of the first `tasks` no-ops.
pub(crate) async fn drained(nodes: Vec<Builder>, tasks: usize) -> Duration {
    let (count, sum) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let done = CancellationToken::new();
    let mut running = JoinSet::new();
    let began = SystemClock.steady();
    for (number, node) in nodes.into_iter().enumerate() {
        let (ran, total, last) = (Arc::clone(&count), Arc::clone(&sum), done.clone());
        let noop = move |_: Context, arguments: Arguments| {
            total.fetch_add(arguments.number, Relaxed);
            if ran.fetch_add(1, Relaxed) + 1 == tasks {
                last.cancel();
            }
            std::future::ready(Ok(()))
        };
        let node = node.name(&format!("node-{number}")).handler("noop", noop).build().unwrap();
        running.spawn(node.run_until(done.clone().cancelled_owned()));
    }
    while let Some(drained) = running.join_next().await {
        assert!(drained.unwrap().unwrap().is_clean());
    }
    let took = SystemClock.steady().saturating_sub(began);
    assert_eq!(sum.load(Relaxed), tasks * (tasks - 1) / 2, "each task ran once");
    took
}

/// A claim of a node that does not exist.
pub(crate) fn claim(limit: usize) -> store::Claim {
    store::Claim {
        id: ClaimId::generate(0, rand::random()),
        holder: store::Holder {
            node: NodeName::parse("bench").unwrap(),
            process: ProcessId::generate(0, [0; 10]),
            kind: store::HolderKind::Node,
        },
        queues: vec![QueueName::default()],
        callbacks: None,
        limit,
        ttl: Duration::from_secs(30),
        grace: Duration::from_secs(2),
        ahead: Duration::ZERO,
        suspects: store::SuspectRoom::default(),
        wait: false,
    }
}

/// Hands claimed tasks back as completed, again if other calls were in the way.
pub(crate) async fn ack(store: &Arc<dyn Store>, claimed: &store::Claimed) {
    let items: Vec<_> = claimed.tasks.iter().map(completed).collect();
    let mut answer = store.ack(&items).await;
    for _ in 0..ACKED_AGAIN_MAX {
        let Err(store::Error::Unavailable { method, source }) = &answer else { break };
        eprintln!("{method}: {source}");
        answer = store.ack(&items).await;
    }
    let acked = answer.unwrap();
    assert!(acked.iter().all(|one| *one == store::Acked::Done));
}

fn completed(task: &store::TaskRecord) -> store::AckItem {
    let lease = task.lease.as_ref().unwrap();
    store::AckItem {
        claim: lease.claim_id.clone(),
        task: task.id.clone(),
        fence: lease.fence,
        spec: Arc::clone(&task.spec),
        verdict: Verdict::End {
            state: TaskState::Completed,
            attempt: 1,
            crashes: 0,
            errors: Vec::new(),
            result: None,
        },
    }
}

/// Seconds of CPU that a process has used.
pub(crate) fn cpu_seconds(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}
