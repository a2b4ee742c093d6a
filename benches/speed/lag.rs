//! How late tasks start.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::json;
use taskshed::Node;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::domain::draft::Task;
use taskshed::handlers::Context;
use taskshed::store::Store;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Course;
use crate::place::Place;
use crate::report::Figure;
use crate::report::of;
use crate::report::quantile;
use crate::work::Arguments;
use crate::work::add;
use crate::work::drained;
use crate::work::nodes;
use crate::work::noop;

/// Tasks a second on nodes that have nothing else to do.
const IDLE_RATE: usize = 500;

/// Most tasks that wait in the store at once. With more than 2^19 Redis moves its tables to larger
/// ones, a step with each command, and for that second half of the rate of draining is all it can do:
/// with 540,000 tasks p99 was 12 to 88 ms, where with 500,000 it was 3 to 6.
const WAITING_MAX: usize = 450_000;

pub(crate) async fn measure(course: Course) -> Vec<Figure> {
    let seconds = if course.short { 2 } else { 10 };
    let mut figures = figures("a bare timer", bare(seconds).await);
    let idle = lags(course.kind, IDLE_RATE, IDLE_RATE * seconds).await;
    figures.extend(self::figures("idle", idle));

    let mut place = Place::new(course.kind);
    add(&place.open().await, course.tasks, noop).await;
    let took = drained(nodes(&mut place, 1, 500).await, course.tasks).await;
    let half = Figure::rate("half of the rate of draining", course.tasks, took * 2);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate below a million"
    )]
    let rate = half.value() as usize;
    let lags = lags(course.kind, rate, WAITING_MAX.min(rate * seconds / 2)).await;
    figures.push(half);
    figures.extend(self::figures("at half of it", lags));
    figures
}

fn figures(name: &str, mut lags_us: Vec<i64>) -> Vec<Figure> {
    lags_us.sort_unstable();
    let at = |share| Duration::from_micros(quantile(&lags_us, share).unsigned_abs());
    let early = lags_us.iter().filter(|late| **late < 0).count();
    vec![
        Figure::time(format!("{name}, p50"), at(0.5)),
        Figure::time(format!("{name}, p99"), at(0.99)),
        Figure::time(format!("{name}, most"), at(1.0)),
        Figure::new(format!("{name}, early"), of(early), "tasks"),
    ]
}

/// The same moments kept by a timer of the runtime alone, for the share of the machine.
async fn bare(seconds: usize) -> Vec<i64> {
    let step = Duration::from_secs(1) / u32::try_from(IDLE_RATE).unwrap();
    let mut at = SystemClock.steady() + Duration::from_millis(100);
    let mut lags = Vec::new();
    for _ in 0..IDLE_RATE * seconds {
        SystemClock.sleep(at.saturating_sub(SystemClock.steady())).await;
        let late = SystemClock.steady().saturating_sub(at);
        lags.push(i64::try_from(late.as_micros()).unwrap());
        at += step;
    }
    lags
}

/// How late each task started. There is no lock: a thread that holds one may be put to sleep for
/// milliseconds where server and nodes share two cores, and the others would wait for it.
struct Lags {
    late_us: Vec<AtomicI64>,
    noted: AtomicUsize,
}

impl Lags {
    fn of(tasks: usize) -> Self {
        let late_us = std::iter::repeat_with(AtomicI64::default).take(tasks).collect();
        Self { late_us, noted: AtomicUsize::new(0) }
    }

    fn note(&self, number: usize, late_us: i64) {
        self.late_us[number].store(late_us, Relaxed);
        self.noted.fetch_add(1, Relaxed);
    }
}

/// Tasks that fall due one after the other, on two nodes.
async fn lags(kind: &str, rate: usize, tasks: usize) -> Vec<i64> {
    let mut place = Place::new(kind);
    let store = place.open().await;
    let lags = Arc::new(Lags::of(tasks));
    let stop = CancellationToken::new();
    let mut nodes = JoinSet::new();
    for name in ["a", "b"] {
        let lags = Arc::clone(&lags);
        let punctual = move |context: Context, Arguments { number }: Arguments| {
            lags.note(number, SystemClock.wall().as_us() - context.task().run_at.as_us());
            std::future::ready(Ok(()))
        };
        let node = Node::builder(place.open().await).name(name).concurrency(500);
        let node = node.handler("punctual", punctual).build().unwrap();
        nodes.spawn(node.run_until(stop.clone().cancelled_owned()));
    }
    SystemClock.sleep(Duration::from_millis(500)).await;

    plan(&store, tasks, rate).await;
    while lags.noted.load(Relaxed) < tasks {
        SystemClock.sleep(Duration::from_millis(50)).await;
    }
    stop.cancel();
    while nodes.join_next().await.is_some() {}
    lags.late_us.iter().map(|late_us| late_us.load(Relaxed)).collect()
}

/// Adds tasks that fall due at a rate, the first one when all are added for sure.
async fn plan(store: &Arc<dyn Store>, tasks: usize, rate: usize) {
    let first = store.now().await.unwrap().plus(Duration::from_millis(500 + tasks as u64 / 20));
    let step = Duration::from_secs(1) / u32::try_from(rate).unwrap();
    add(store, tasks, |number| {
        let at = first.plus(step * u32::try_from(number).unwrap());
        Task::new("punctual", &json!({ "number": number })).unwrap().run_at(at)
    })
    .await;
}
