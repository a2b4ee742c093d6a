//! Short ways to say what is asked of a store.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use taskshed::domain::draft::Task;
use taskshed::domain::id::Callback;
use taskshed::domain::id::ClaimId;
use taskshed::domain::id::NodeName;
use taskshed::domain::id::ProcessId;
use taskshed::domain::id::QueueName;
use taskshed::domain::id::RequestId;
use taskshed::domain::id::TaskId;
use taskshed::domain::retry::Jitter;
use taskshed::domain::state::Deciding;
use taskshed::domain::state::Outcome;
use taskshed::domain::state::decide;
use taskshed::domain::task::NewTask;
use taskshed::domain::time::Timestamp;
use taskshed::store::AckItem;
use taskshed::store::Add;
use taskshed::store::Beat;
use taskshed::store::Campaign;
use taskshed::store::Claim;
use taskshed::store::Existing;
use taskshed::store::Holder;
use taskshed::store::HolderKind;
use taskshed::store::SuspectRoom;
use taskshed::store::TaskRecord;

use crate::fixture::SECOND;
use crate::fixture::start;

static COUNT: AtomicU64 = AtomicU64::new(0);

/// A text that no other caller in this process gets.
pub(crate) fn unique(start: &str) -> String {
    format!("{start}{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A task of the callback `noop`, due at once.
pub(crate) fn task(id: &str) -> Task {
    of("noop", id)
}

/// A task of another callback.
pub(crate) fn of(callback: &str, id: &str) -> Task {
    Task::new(callback, &json!({ "n": 1 })).unwrap().id(id)
}

pub(crate) fn planned(task: Task) -> NewTask {
    let fresh = TaskId::parse(&unique("t")).unwrap();
    task.check(usize::MAX).unwrap().plan(fresh, start()).unwrap()
}

pub(crate) fn id(text: &str) -> TaskId {
    TaskId::parse(text).unwrap()
}

pub(crate) fn queue(text: &str) -> QueueName {
    QueueName::parse(text).unwrap()
}

/// An add that replaces what is there, under a request of its own.
pub(crate) fn add(tasks: impl IntoIterator<Item = Task>) -> Add {
    Add {
        request: RequestId::parse(&unique("r")).unwrap(),
        tasks: tasks.into_iter().map(planned).collect(),
        existing: Existing::Replace,
    }
}

/// The process of a node that has only one.
pub(crate) fn process(node: &str) -> ProcessId {
    ProcessId::parse(&format!("{node}-process")).unwrap()
}

pub(crate) fn node(text: &str) -> NodeName {
    NodeName::parse(text).unwrap()
}

pub(crate) fn holder(name: &str) -> Holder {
    Holder { node: node(name), process: process(name), kind: HolderKind::Node }
}

/// A claim of `node-a` for up to 100 tasks of `noop` in the queue `default`, without room for
/// suspects.
pub(crate) fn claim() -> Claim {
    Claim {
        id: ClaimId::parse(&unique("c")).unwrap(),
        holder: holder("node-a"),
        queues: vec![QueueName::default()],
        callbacks: Some(Arc::from([Callback::parse("noop").unwrap()])),
        limit: 100,
        ttl: 10 * SECOND,
        grace: 2 * SECOND,
        ahead: Duration::ZERO,
        suspects: SuspectRoom::default(),
        wait: false,
    }
}

/// The same by another node.
pub(crate) fn claim_of(node: &str) -> Claim {
    Claim { holder: holder(node), ..claim() }
}

/// A claim that takes any suspect and waits for nothing.
pub(crate) fn roomy() -> Claim {
    Claim { suspects: SuspectRoom { two: 10, three: 10, idle: true }, ..claim() }
}

/// The outcome of a run, decided without jitter.
pub(crate) fn ended(task: &TaskRecord, outcome: Outcome, now: Timestamp) -> AckItem {
    let lease = task.lease.clone().unwrap();
    let deciding = Deciding { now, jitter: Jitter::NONE, node: &lease.node };
    AckItem {
        claim: lease.claim_id.clone(),
        task: task.id.clone(),
        fence: lease.fence,
        spec: task.spec.clone(),
        verdict: decide(task, outcome, &deciding),
    }
}

pub(crate) fn completed(task: &TaskRecord) -> AckItem {
    ended(task, Outcome::Completed(None), start())
}

pub(crate) fn failed(task: &TaskRecord) -> AckItem {
    ended(task, Outcome::Failed("no".into()), start())
}

pub(crate) fn beat(name: &str) -> Beat {
    Beat {
        node: node(name),
        process: process(name),
        version: "1.2.3".into(),
        queues: vec![QueueName::default()],
        callbacks: Arc::from([Callback::parse("noop").unwrap()]),
        concurrency: 64,
        running: 3,
        draining: true,
        skew_us: -250,
        leaving: false,
    }
}

pub(crate) fn standing(name: &str) -> Campaign {
    Campaign { node: node(name), process: process(name), ttl: 10 * SECOND }
}
