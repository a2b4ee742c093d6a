//! Oxana (formerly oxanus), on Redis.
//!
//! Settings: 100 tasks of one queue at once over 100 connections, a look at an empty queue and at
//! the scheduled tasks every millisecond instead of every 10 s and 0.3 s, batches by
//! `enqueue_list`, no Sentry and no tracing.
//! Source: its README and benchmark, and the docs of `RuntimeBuilder`, version 2.5.

#[path = "../course.rs"]
mod course;

use std::time::Duration;

use chrono::DateTime;
use course::Arguments;
use course::Told;
use oxana::Storage;
use serde::Deserialize;
use serde::Serialize;

const AT_ONCE: usize = 100;

#[derive(Debug, Serialize, Deserialize, oxana::Job)]
struct NoopJob(Arguments);

#[derive(Clone, Debug)]
struct Shared;

#[derive(Debug)]
struct Never;

impl std::fmt::Display for Never {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("never")
    }
}

impl std::error::Error for Never {}

#[derive(oxana::Worker)]
#[oxana(context = Shared, error = Never, registry = None)]
struct Noop;

impl Noop {
    async fn process(&self, job: NoopJob, _: &oxana::JobContext) -> Result<(), Never> {
        course::run(&job.0);
        Ok(())
    }
}

#[derive(Serialize, oxana::Queue)]
#[oxana(key = "tasks", concurrency = 100, registry = None)]
struct Tasks;

fn main() {
    let told = Told::read();
    course::block_on(&told, run(&told));
    course::say("done");
}

async fn run(told: &Told) {
    let storage = Storage::builder().max_pool_size(AT_ONCE);
    let storage = storage.build_from_redis_url(told.url.clone()).unwrap();
    storage.jobs_count().await.unwrap();
    match told.mode.as_str() {
        "work" => work(&storage, told).await,
        "add" => add(&storage, told).await,
        _ => pace(&storage, told).await,
    }
}

async fn work(storage: &Storage, told: &Told) {
    let look = Duration::from_millis(1);
    let runtime = storage
        .runtime(Shared)
        .queue_with_concurrency::<Tasks>(AT_ONCE)
        .worker::<Noop, NoopJob>()
        .dequeue_timeout(look)
        .schedule_poll_interval(look);
    course::start(told.tasks);
    runtime.run().await.unwrap();
}

async fn add(storage: &Storage, told: &Told) {
    course::wait_for_go();
    let job = |number| NoopJob(Arguments::new(number, 0));
    if told.other == 1 {
        for number in 0..told.tasks {
            storage.enqueue(Tasks, job(number)).await.unwrap();
        }
    }
    for first in (0..told.tasks).step_by(told.other).filter(|_| told.other > 1) {
        let last = told.tasks.min(first + told.other);
        storage.enqueue_list(Tasks, (first..last).map(job)).await.unwrap();
    }
}

async fn pace(storage: &Storage, told: &Told) {
    course::wait_for_go();
    if told.later {
        for (number, due) in course::dues(told.tasks, told.other, 3) {
            let job = NoopJob(Arguments::new(number, due));
            let at = DateTime::from_timestamp_micros(due).unwrap();
            storage.enqueue_at(Tasks, job, at).await.unwrap();
        }
        return;
    }
    for (numbers, turn) in course::turns(told.tasks, told.other) {
        course::wait_until(turn, told.other).await;
        let at = course::now_us();
        let job = |number| NoopJob(Arguments::new(number, at));
        if numbers.len() == 1 {
            storage.enqueue(Tasks, job(numbers.start)).await.unwrap();
        } else {
            storage.enqueue_list(Tasks, numbers.map(job)).await.unwrap();
        }
    }
}
