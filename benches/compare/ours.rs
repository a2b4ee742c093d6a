//! The programs of taskshed itself, which talk as those of the peers do.
//!
//! Settings: 500 tasks at once, as a node of tasks that wait would have.

use std::io::BufRead;
use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use taskshed::Node;
use taskshed::Scheduler;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::domain::draft::Task;
use taskshed::handlers::Context;
use taskshed::store;
use taskshed::store::Existing;
use taskshed::store::Options;
use taskshed::store::Store;
use tokio::runtime::Builder;
use tokio::runtime::Runtime;

#[derive(Deserialize)]
struct Arguments {
    number: usize,
    at: i64,
}

#[derive(Default)]
struct Counted {
    seen: Vec<bool>,
    executed: usize,
    distinct: usize,
    lags: Vec<i64>,
}

/// Tasks a second up to which each has a turn of its own; above, those of a millisecond are one batch.
const RATE_EACH: usize = 1000;

type Shared = Arc<Mutex<Counted>>;

/// Does what the words of a command line say.
pub(crate) fn run(words: &[String]) {
    let number = |at: usize| words.get(at).map_or(1, |word| word.parse().unwrap());
    let (url, tasks) = (words[1].as_str(), number(2));
    match words[0].as_str() {
        "work" => runtime(2).block_on(work(url, tasks, number(3))),
        "add" => runtime(1).block_on(add(url, tasks, number(3))),
        "tamper" => runtime(1).block_on(tamper(url, tasks)),
        "pace" => runtime(1).block_on(pace(url, tasks, number(3), words[4] == "later")),
        _ => runtime(2).block_on(alone(url, tasks, number(3))),
    }
}

/// Who only adds needs one thread, and saves to pass work on to another one.
fn runtime(threads: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    if threads == 1 {
        builder = Builder::new_current_thread();
    }
    builder.worker_threads(threads).enable_all().build().unwrap()
}

async fn opened(url: &str) -> Arc<dyn Store> {
    let store = store::open(url, Options::default()).unwrap();
    store.migrate().await.unwrap();
    store.prepare().await.unwrap();
    store
}

async fn work(url: &str, tasks: usize, nodes: usize) {
    let store = opened(url).await;
    let counted = begin(tasks);
    wait_for_go();
    for number in 1..nodes {
        start(node(opened(url).await, &format!("n{number}"), &counted));
    }
    start(node(store, "n0", &counted));
    tell(counted).await;
}

/// Scheduler and node in one process.
async fn alone(url: &str, tasks: usize, rate: usize) {
    let store = opened(url).await;
    let counted = begin(tasks);
    start(node(Arc::clone(&store), "n0", &counted));
    wait_for_go();
    add_later(&store, tasks, rate).await;
    tell(counted).await;
}

fn begin(tasks: usize) -> Shared {
    Arc::new(Mutex::new(Counted { seen: vec![false; tasks], ..Counted::default() }))
}

fn node(store: Arc<dyn Store>, name: &str, counted: &Shared) -> Node {
    let counted = Arc::clone(counted);
    let noop = move |_: Context, arguments: Arguments| {
        counted.lock().unwrap().run(&arguments);
        std::future::ready(Ok(()))
    };
    Node::builder(store).name(name).concurrency(500).handler("noop", noop).build().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "it ends with the process")]
fn start(node: Node) {
    tokio::spawn(node.run_until(std::future::pending()));
}

impl Counted {
    fn run(&mut self, arguments: &Arguments) {
        self.executed += 1;
        if arguments.at > 0 {
            self.lags.push(SystemClock.wall().as_us() - arguments.at);
        }
        if !std::mem::replace(&mut self.seen[arguments.number], true) {
            self.distinct += 1;
            if self.distinct == self.seen.len() {
                say("done");
            }
        }
    }
}

/// Waits for the word to stop, and tells what was counted.
async fn tell(counted: Shared) {
    tokio::task::spawn_blocking(hear).await.unwrap();
    let counted = counted.lock().unwrap();
    let Counted { executed, distinct, lags, .. } = &*counted;
    say(&format!(
        "counted {}",
        json!({ "executed": executed, "distinct": distinct, "lags": lags })
    ));
    #[expect(clippy::exit, reason = "a node that is asked to end would first drain")]
    std::process::exit(0);
}

fn task(number: usize, at: i64) -> Task {
    let text = "x".repeat(60);
    Task::new("noop", &json!({ "number": number, "at": at, "text": text })).unwrap()
}

async fn add(url: &str, tasks: usize, batch: usize) {
    let scheduler = Scheduler::new(opened(url).await);
    wait_for_go();
    if batch == 1 {
        for number in 0..tasks {
            scheduler.add(task(number, 0)).await.unwrap();
        }
    } else {
        for first in (0..tasks).step_by(batch) {
            let batch = (first..tasks.min(first + batch)).map(|number| task(number, 0));
            scheduler.add_all(batch, Existing::Keep).await.unwrap();
        }
    }
    say("done");
}

/// Leaves the last task out, and adds the first one twice.
async fn tamper(url: &str, tasks: usize) {
    let scheduler = Scheduler::new(opened(url).await);
    wait_for_go();
    let numbers = (0..tasks - 1).chain([0]);
    scheduler.add_all(numbers.map(|number| task(number, 0)), Existing::Keep).await.unwrap();
    say("done");
}

async fn pace(url: &str, tasks: usize, rate: usize, later: bool) {
    let store = opened(url).await;
    wait_for_go();
    if later {
        add_later(&store, tasks, rate).await;
        return say("done");
    }
    let scheduler = Scheduler::new(store);
    let first = SystemClock.steady() + Duration::from_millis(100);
    let together = rate.div_ceil(RATE_EACH);
    for number in (0..tasks).step_by(together) {
        let turn = first + Duration::from_secs(1) * to_u32(number) / to_u32(rate);
        wait_until(turn, rate).await;
        let at = SystemClock.wall().as_us();
        if together == 1 {
            scheduler.add(task(number, at)).await.unwrap();
        } else {
            let some = (number..tasks.min(number + together)).map(|number| task(number, at));
            scheduler.add_all(some, Existing::Keep).await.unwrap();
        }
    }
    say("done");
}

/// Sleeps until shortly before a turn, and then spins; at high rates it only sleeps.
async fn wait_until(turn: Duration, rate: usize) {
    let rest = turn.saturating_sub(SystemClock.steady());
    if rate > RATE_EACH {
        return SystemClock.sleep(rest).await;
    }
    if let Some(long) = rest.checked_sub(Duration::from_millis(2)) {
        SystemClock.sleep(long).await;
    }
    while SystemClock.steady() < turn {
        tokio::task::yield_now().await;
    }
}

/// Adds tasks that fall due one after the other, the first one when all are added for sure.
async fn add_later(store: &Arc<dyn Store>, tasks: usize, rate: usize) {
    let scheduler = Scheduler::new(Arc::clone(store));
    let first = store.now().await.unwrap().plus(Duration::from_secs(3));
    let numbers: Vec<_> = (0..tasks).collect();
    for batch in numbers.chunks(1000) {
        let tasks = batch.iter().map(|number| {
            let due = first.plus(Duration::from_secs(1) * to_u32(*number) / to_u32(rate));
            task(*number, due.as_us()).run_at(due)
        });
        scheduler.add_all(tasks, Existing::Keep).await.unwrap();
    }
}

/// How late a timer of the runtime is at the same moments, in microseconds.
pub(crate) fn bare(rate: usize, seconds: usize) -> Vec<i64> {
    runtime(1).block_on(async {
        let mut lags = Vec::new();
        let first = SystemClock.steady() + Duration::from_millis(100);
        for number in 0..rate * seconds {
            let due = first + Duration::from_secs(1) * to_u32(number) / to_u32(rate);
            SystemClock.sleep(due.saturating_sub(SystemClock.steady())).await;
            let late = SystemClock.steady().saturating_sub(due);
            lags.push(i64::try_from(late.as_micros()).unwrap());
        }
        lags
    })
}

fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap()
}

fn say(word: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{word}").unwrap();
    out.flush().unwrap();
}

fn hear() -> String {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).unwrap();
    line.trim().to_owned()
}

fn wait_for_go() {
    say("ready");
    assert_eq!(hear(), "go");
}
