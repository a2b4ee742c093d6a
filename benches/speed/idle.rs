//! What waits, what is kept, and what nodes do when there is nothing to do.

use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use taskshed::Node;
use taskshed::Scheduler;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::handlers::Context;
use taskshed::store;
use taskshed::store::Keep;
use taskshed::store::Store;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Course;
use crate::add::wide;
use crate::place::Place;
use crate::report::Figure;
use crate::report::of;
use crate::report::quantile;
use crate::work::add;
use crate::work::claim;
use crate::work::noop;
use crate::work::timed;

/// Calls of one node (a leader), of the second one (a follower), and what one task adds to those of
/// fifty.
pub(crate) async fn measure(course: Course) -> Vec<Figure> {
    let mut place = Place::new(course.kind);
    if place.calls().is_none() {
        return Vec::new();
    }
    let seconds = Duration::from_secs(if course.short { 1 } else { 10 });
    let mut fleet = Fleet::new(place.open().await);
    let mut rates = Vec::new();
    for _ in 0..2 {
        fleet.start(1);
        SystemClock.sleep(Duration::from_secs(2)).await;
        rates.push(calls_within(&place, seconds).await / seconds.as_secs_f64());
    }
    let mut figures = vec![
        Figure::new("calls of a leader that is idle", rates[0], "/s"),
        Figure::new("calls of a follower that is idle", rates[1] - rates[0], "/s"),
    ];
    if course.kind == "redis" {
        fleet.start(48);
        SystemClock.sleep(Duration::from_secs(3)).await;
        let scheduler = Scheduler::new(place.open().await);
        let tasks = if course.short { 2 } else { 10 };
        let second = Duration::from_secs(1);
        let idle = calls_within(&place, second * tasks).await;
        let (busy, ()) = tokio::join!(calls_within(&place, second * tasks), async {
            for number in 0..tasks {
                scheduler.add(noop(usize::try_from(number).unwrap())).await.unwrap();
                SystemClock.sleep(second).await;
            }
        });
        assert_eq!(fleet.ran.load(Relaxed), usize::try_from(tasks).unwrap());
        let more = (busy - idle) / f64::from(tasks);
        figures.push(Figure::new("calls for one task beside 50 idle nodes, add and ack", more, ""));
    }
    fleet.stop().await;
    figures
}

async fn calls_within(place: &Place, length: Duration) -> f64 {
    let before = place.calls().unwrap_or_default();
    SystemClock.sleep(length).await;
    place.calls().unwrap_or_default() - before
}

/// Nodes of this process.
struct Fleet {
    store: Arc<dyn Store>,
    nodes: JoinSet<()>,
    stop: CancellationToken,
    ran: Arc<AtomicUsize>,
}

impl Fleet {
    fn new(store: Arc<dyn Store>) -> Self {
        let (nodes, stop, ran) = (JoinSet::new(), CancellationToken::new(), Arc::default());
        Self { store, nodes, stop, ran }
    }

    fn start(&mut self, count: usize) {
        for _ in 0..count {
            let ran = Arc::clone(&self.ran);
            let noop = move |_: Context, _: serde_json::Value| {
                ran.fetch_add(1, Relaxed);
                std::future::ready(Ok(()))
            };
            let node = Node::builder(self.store.apart()).name(&format!("n{}", self.nodes.len()));
            let node = node.concurrency(4).handler("noop", noop).build().unwrap();
            let stop = self.stop.clone();
            self.nodes.spawn(async move {
                assert!(node.run_until(stop.cancelled_owned()).await.unwrap().is_clean());
            });
        }
    }

    async fn stop(mut self) {
        self.stop.cancel();
        while self.nodes.join_next().await.is_some() {}
    }
}

/// Bytes of what waits in Redis, and of a node with tasks that run.
pub(crate) async fn memory(course: Course) -> Vec<Figure> {
    let mut place = Place::new(course.kind);
    let store = place.open().await;
    let mut figures = Vec::new();
    if let Some(before) = place.memory() {
        let later = Duration::from_secs(86_400);
        add(&store, course.tasks, |number| wide(number).run_in(later)).await;
        let bytes = (place.memory().unwrap_or_default() - before) / of(course.tasks);
        figures.push(Figure::new(
            "Redis, per waiting task with 100 bytes of arguments",
            bytes,
            "B",
        ));
    }
    let mut place = Place::new(course.kind);
    place.open().await;
    figures.push(Figure::new("a node that is idle", program(&place).await / 1e6, "MB"));
    let running = course.tasks / 2;
    let told = Command::new(std::env::current_exe().unwrap())
        .args(["hold", &place.url(), &running.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let bytes = String::from_utf8(told.stdout).unwrap().trim().parse().unwrap();
    figures.push(Figure::new(format!("node, per task of {running} that run"), bytes, "B"));
    figures
}

/// Bytes of each of so many tasks that run on a node, and nothing else in a process of its own: one
/// that did other things before has memory left over and asks for less.
pub(crate) async fn hold(url: &str, running: usize) -> f64 {
    let store = store::connect(url).await.unwrap();
    let (stop, started) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
    let (until, begun) = (stop.clone(), Arc::clone(&started));
    let sleep = move |_: Context, _: serde_json::Value| {
        begun.fetch_add(1, Relaxed);
        let until = until.clone();
        async move {
            until.cancelled().await;
            Ok(())
        }
    };
    let node = Node::builder(Arc::clone(&store)).concurrency(running).handler("noop", sleep);
    let node = node.build().unwrap();
    let mut nodes = JoinSet::new();
    nodes.spawn(node.run_until(stop.clone().cancelled_owned()));
    SystemClock.sleep(Duration::from_secs(1)).await;
    let before = resident("self");
    add(&store, running, wide).await;
    while started.load(Relaxed) < running {
        SystemClock.sleep(Duration::from_millis(50)).await;
    }
    let bytes = (resident("self") - before) / of(running);
    stop.cancel();
    while nodes.join_next().await.is_some() {}
    bytes
}

/// Bytes of a node of its own that has started.
async fn program(place: &Place) -> f64 {
    let dir = tempfile::TempDir::new().unwrap();
    let mut node = Command::new(env!("CARGO_BIN_EXE_taskshed"))
        .args(["node", "--listen", "127.0.0.1:0", "--store", &place.url()])
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    SystemClock.sleep(Duration::from_secs(2)).await;
    let bytes = resident(&node.id().to_string());
    node.kill().unwrap();
    node.wait().unwrap();
    bytes
}

/// Bytes of a process that are in memory.
fn resident(process: &str) -> f64 {
    let statm = std::fs::read_to_string(format!("/proc/{process}/statm")).unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
}

/// The time of a call that renews all leases, by how many tasks are under them.
pub(crate) async fn renew(course: Course) -> Vec<Figure> {
    let mut figures = Vec::new();
    let all = [1_000, 5_000, 10_000, 50_000];
    for running in all.into_iter().filter(|running| *running <= course.tasks / 2) {
        let mut place = Place::new(course.kind);
        let store = place.open().await;
        add(&store, running, noop).await;
        let (mut claims, mut held) = (Vec::new(), 0);
        while held < running {
            let wish = claim(100);
            held += store.claim(&wish).await.unwrap().tasks.len();
            claims.push(wish.id);
        }
        let keep = Keep { beat: None, claims, ttl: Duration::from_secs(30) };
        let mut times = Vec::new();
        for _ in 0..50 {
            let (kept, took) = timed(store.keep(&keep)).await;
            assert!(kept.unwrap().lost.is_empty());
            times.push(took);
        }
        times.sort_unstable();
        let name = format!("{running} running, claimed by 100");
        figures.push(Figure::time(name, quantile(&times, 0.5)));
    }
    figures
}
