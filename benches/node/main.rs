//! How fast and how punctual nodes are, on private servers and a file on this machine.
//!
//! `cargo bench --bench node [-- drain lag growth] [redis sqlite mariadb]` prints and asserts
//! nothing: figures are for people, who know what else the machine was doing. Without names it
//! measures all; `short` drains a tenth.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and may stop"
)]

#[expect(dead_code, reason = "tests stop theirs and start it again")]
#[path = "../../tests/support/mariadb_server.rs"]
mod mariadb_server;
mod place;
#[expect(dead_code, reason = "tests stop theirs and start it again")]
#[path = "../../tests/support/redis_server.rs"]
mod redis_server;

use std::sync::Arc;
use std::sync::Mutex;
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
use taskshed::handlers::Context;
use taskshed::store;
use taskshed::store::Existing;
use taskshed::store::Store;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use place::KINDS;
use place::Place;

const DRAINED: usize = 100_000;
const LAGGED: usize = 5_000;

#[derive(Deserialize)]
struct Arguments {
    number: usize,
}

fn main() {
    let wanted: Vec<_> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let names = |known: &[&'static str]| {
        let named = |name: &&str| wanted.iter().any(|one| one == *name);
        let chosen: Vec<&'static str> = known.iter().copied().filter(named).collect();
        if chosen.is_empty() { known.to_vec() } else { chosen }
    };
    let tasks = if wanted.iter().any(|one| one == "short") { DRAINED / 10 } else { DRAINED };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for measure in names(&["drain", "lag", "growth"]) {
        for kind in names(&KINDS) {
            print!("{measure} on {kind}: ");
            match measure {
                "drain" => {
                    runtime.block_on(drain(kind, tasks, 1));
                    print!("{measure} on {kind}: ");
                    runtime.block_on(drain(kind, tasks, 2));
                }
                "lag" => runtime.block_on(lag(kind)),
                _ => runtime.block_on(growth(kind)),
            }
        }
    }
}

/// Due tasks that do nothing, 500 at once on each node.
async fn drain(kind: &str, tasks: usize, nodes: usize) {
    let mut place = Place::new(kind);
    let store = place.open().await;
    let began = SystemClock.steady();
    add(&store, tasks, |number| Task::new("noop", &json!({ "number": number })).unwrap()).await;
    let added = SystemClock.steady();

    let (count, sum) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let done = CancellationToken::new();
    let mut running = JoinSet::new();
    let before = cpu_seconds();
    let started = SystemClock.steady();
    for number in 0..nodes {
        let (ran, total, last) = (Arc::clone(&count), Arc::clone(&sum), done.clone());
        let noop = move |_: Context, arguments: Arguments| {
            total.fetch_add(arguments.number, Relaxed);
            if ran.fetch_add(1, Relaxed) + 1 == tasks {
                last.cancel();
            }
            std::future::ready(Ok(()))
        };
        let node = Node::builder(place.open().await).name(&format!("node-{number}"));
        let node = node.concurrency(500).handler("noop", noop).build().unwrap();
        running.spawn(node.run_until(done.clone().cancelled_owned()));
    }
    while let Some(drained) = running.join_next().await {
        assert!(drained.unwrap().unwrap().is_clean());
    }
    let took = SystemClock.steady().saturating_sub(started).as_secs_f64();
    let cpu = cpu_seconds() - before;

    assert_eq!(sum.load(Relaxed), tasks * (tasks - 1) / 2, "each task ran once");
    let add_rate = per_second(tasks, added.saturating_sub(began).as_secs_f64());
    println!(
        "added {add_rate}/s, {nodes} node(s) drained {}/s in {took:.3} s, {cpu:.2} s of CPU{}",
        per_second(tasks, took),
        place.repeats(),
    );
}

/// Tasks that fall due within ten seconds, two nodes that have nothing else to do.
async fn lag(kind: &str) {
    let mut place = Place::new(kind);
    let store = place.open().await;
    let lags = Arc::new(Mutex::new(Vec::with_capacity(LAGGED)));
    let stop = CancellationToken::new();
    let mut nodes = JoinSet::new();
    for name in ["a", "b"] {
        let lags = Arc::clone(&lags);
        let punctual = move |context: Context, _: Arguments| {
            let late_us = SystemClock.wall().as_us() - context.task().run_at.as_us();
            lags.lock().unwrap().push(late_us);
            std::future::ready(Ok(()))
        };
        let node = Node::builder(place.open().await).name(name);
        let node = node.handler("punctual", punctual).build().unwrap();
        nodes.spawn(node.run_until(stop.clone().cancelled_owned()));
    }
    SystemClock.sleep(Duration::from_millis(500)).await;

    let before = cpu_seconds();
    let step = Duration::from_secs(10) / u32::try_from(LAGGED).unwrap();
    add(&store, LAGGED, |number| {
        let task = Task::new("punctual", &json!({ "number": number })).unwrap();
        task.run_in(Duration::from_millis(500) + step * u32::try_from(number).unwrap())
    })
    .await;
    while lags.lock().unwrap().len() < LAGGED {
        SystemClock.sleep(Duration::from_millis(100)).await;
    }
    let cpu = cpu_seconds() - before;
    stop.cancel();
    while nodes.join_next().await.is_some() {}

    let mut lags = lags.lock().unwrap().clone();
    lags.sort_unstable();
    let at = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index into few thousand lags"
        )]
        let index = ((lags.len() - 1) as f64 * share) as usize;
        format!("{:.3}", Duration::from_micros(lags[index].unsigned_abs()).as_secs_f64() * 1e3)
    };
    println!(
        "min {} p50 {} p95 {} p99 {} max {} ms, early {}, {cpu:.2} s of CPU{}",
        at(0.0),
        at(0.5),
        at(0.95),
        at(0.99),
        at(1.0),
        lags.iter().filter(|late_us| **late_us < 0).count(),
        place.repeats(),
    );
}

/// The time of a claim and its ack beside a thousand and beside a million future tasks.
async fn growth(kind: &str) {
    let mut place = Place::new(kind);
    let store = place.open().await;
    let mut there = 0;
    for future in [1_000, 1_000_000] {
        add(&store, future - there, |number| {
            let task = Task::new("later", &json!({ "number": number })).unwrap();
            task.run_in(Duration::from_secs(86_400))
        })
        .await;
        there = future;

        let mut times = Vec::new();
        for _ in 0..200 {
            add(&store, 100, |number| Task::new("due", &json!({ "number": number })).unwrap())
                .await;
            let sent = SystemClock.steady();
            claim_and_ack(&store).await;
            times.push(SystemClock.steady().saturating_sub(sent));
        }
        times.sort_unstable();
        print!("beside {future} future tasks p50 {:?}, p99 {:?}; ", times[100], times[198]);
    }
    println!("each the claim and ack of 100{}", place.repeats());
}

async fn claim_and_ack(store: &Arc<dyn Store>) {
    let claim = store::Claim {
        id: ClaimId::generate(0, rand::random()),
        holder: store::Holder {
            node: NodeName::parse("bench").unwrap(),
            process: ProcessId::generate(0, [0; 10]),
            kind: store::HolderKind::Node,
        },
        queues: vec![QueueName::default()],
        callbacks: None,
        limit: 100,
        ttl: Duration::from_secs(10),
        grace: Duration::from_secs(2),
        ahead: Duration::ZERO,
        suspects: store::SuspectRoom::default(),
        wait: false,
    };
    let claimed = store.claim(&claim).await.unwrap();
    assert_eq!(claimed.tasks.len(), 100);
    let items: Vec<_> = claimed.tasks.iter().map(completed).collect();
    store.ack(&items).await.unwrap();
}

fn completed(task: &store::TaskRecord) -> store::AckItem {
    let lease = task.lease.as_ref().unwrap();
    store::AckItem {
        claim: lease.claim_id.clone(),
        task: task.id.clone(),
        fence: lease.fence,
        spec: Arc::clone(&task.spec),
        verdict: taskshed::domain::state::Verdict::End {
            state: taskshed::domain::state::TaskState::Completed,
            attempt: 1,
            crashes: 0,
            errors: Vec::new(),
            result: None,
        },
    }
}

async fn add(store: &Arc<dyn Store>, count: usize, task: impl Fn(usize) -> Task) {
    let scheduler = Scheduler::new(Arc::clone(store));
    let numbers: Vec<_> = (0..count).collect();
    for batch in numbers.chunks(store::BATCH_MAX) {
        let tasks = batch.iter().map(|number| task(*number));
        scheduler.add_all(tasks, Existing::Keep).await.unwrap();
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn per_second(tasks: usize, seconds: f64) -> String {
    format!("{:.0}", tasks as f64 / seconds)
}

/// Seconds of CPU that this process has used.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}
