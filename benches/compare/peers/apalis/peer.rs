//! apalis, on Redis.
//!
//! Settings: 1,000 tasks fetched at once instead of 10 (100 with leases, each of which looks through
//! the list of waiting tasks, or calls time out), no results kept, no events published, no
//! lease for each task unless the first word is `leased` (what a dead worker had is found by its beat
//! either way), a beat every 10 ms, batches by `push_bulk`. Version 1.0.0 unpacks all due tasks of a
//! queue inside one script, so a worker ends with an error if it finds more than 8,000 there. After the
//! word `spread`, for tasks that all wait before they are run, they are spread over queues, each with a
//! worker of this process. A worker that looks all the time never finds as many.
//! Source: the docs of `apalis_redis::Config`, 1.0.

#[path = "../course.rs"]
mod course;

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use apalis::prelude::*;
use apalis_redis::Config;
use apalis_redis::RedisStorage;
use course::Arguments;
use course::Told;
use tokio::sync::Notify;

/// Tasks in a row that go to one queue.
const TOGETHER: usize = 7000;

static RUNS: AtomicUsize = AtomicUsize::new(0);

/// A queue is empty.
static EMPTY: Notify = Notify::const_new();

fn main() {
    let told = Told::read();
    course::block_on(&told, run(&told));
    course::say("done");
}

async fn run(told: &Told) {
    let mut storages = Vec::new();
    let queues = if told.spread { told.tasks.div_ceil(TOGETHER) } else { 1 };
    for queue in 0..queues {
        let conn = apalis_redis::connect(told.url.as_str()).await.unwrap();
        storages.push(RedisStorage::new(conn).with_config(config(queue, told)));
    }
    match told.mode.as_str() {
        "work" => work(storages, told).await,
        "add" => add(storages, told).await,
        _ => pace(storages, told).await,
    }
}

fn config(queue: usize, told: &Told) -> Config {
    let batch = if told.leased { 100 } else { 1000 };
    let config = Config::default().queue(format!("tasks-{queue}")).batch_size(batch);
    let config = config.persist_results(false).emit_events(false).lock_tasks(told.leased);
    // A worker without tasks looks again at its next beat, and is taken for dead after so many.
    config.heartbeat_interval(Duration::from_millis(10)).missed_heartbeats(6000)
}

/// The queue of a task.
fn of(storages: &mut [RedisStorage<Arguments>], number: usize) -> &mut RedisStorage<Arguments> {
    let queues = storages.len();
    &mut storages[number / TOGETHER % queues]
}

async fn noop(arguments: Arguments) -> Result<(), BoxDynError> {
    course::run(&arguments);
    if (RUNS.fetch_add(1, Relaxed) + 1).is_multiple_of(TOGETHER) {
        EMPTY.notify_one();
    }
    Ok(())
}

/// Lets the next queue begin when the one before is empty: more workers at once wait for each other in
/// the server until their calls time out.
async fn work(storages: Vec<RedisStorage<Arguments>>, told: &Told) {
    let named = |(at, storage)| WorkerBuilder::new(format!("peer-{at}")).backend(storage).build(noop);
    let workers: Vec<_> = storages.into_iter().enumerate().map(named).collect();
    course::start(told.tasks);
    for worker in workers {
        tokio::spawn(async {
            let ended = worker.run().await;
            eprintln!("a worker ended: {ended:?}");
            std::process::exit(1);
        });
        EMPTY.notified().await;
    }
    std::future::pending().await
}

async fn add(mut storages: Vec<RedisStorage<Arguments>>, told: &Told) {
    course::wait_for_go();
    let task = |number| Arguments::new(number, 0);
    if told.other == 1 {
        for number in 0..told.tasks {
            of(&mut storages, number).push(task(number)).await.unwrap();
        }
    }
    for first in (0..told.tasks).step_by(told.other).filter(|_| told.other > 1) {
        let last = told.tasks.min(first + told.other);
        of(&mut storages, first).push_bulk((first..last).map(task).collect()).await.unwrap();
    }
}

async fn pace(mut storages: Vec<RedisStorage<Arguments>>, told: &Told) {
    course::wait_for_go();
    if told.later {
        for (number, due) in course::dues(told.tasks, told.other, 3) {
            let at = UNIX_EPOCH + Duration::from_micros(due as u64);
            let task = TaskBuilder::new(Arguments::new(number, due)).run_at_time(at).build();
            of(&mut storages, number).push_task(task).await.unwrap();
        }
        return;
    }
    for (numbers, turn) in course::turns(told.tasks, told.other) {
        course::wait_until(turn, told.other).await;
        let (storage, at) = (of(&mut storages, numbers.start), course::now_us());
        if numbers.len() == 1 {
            storage.push(Arguments::new(numbers.start, at)).await.unwrap();
        } else {
            let tasks = numbers.map(|number| Arguments::new(number, at)).collect();
            storage.push_bulk(tasks).await.unwrap();
        }
    }
}
