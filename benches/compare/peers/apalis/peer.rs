//! apalis, on Redis.
//!
//! Settings: 1,000 tasks fetched at once instead of 10, no results kept, no events published, no
//! lease for each task (with them it drained a fifth as fast; what a dead worker had is found by its
//! beat either way), a beat every 10 ms, batches by `push_bulk`. Version 1.0.0 unpacks all due tasks
//! inside one script, so a worker ends with an error if more than 8,000 wait.
//! Source: the docs of `apalis_redis::Config`, 1.0.

#[path = "../course.rs"]
mod course;

use std::time::Duration;
use std::time::UNIX_EPOCH;

use apalis::prelude::*;
use apalis_redis::Config;
use apalis_redis::RedisStorage;
use course::Arguments;
use course::Told;

fn main() {
    let told = Told::read();
    course::block_on(&told, run(&told));
    course::say("done");
}

async fn run(told: &Told) {
    let conn = apalis_redis::connect(told.url.as_str()).await.unwrap();
    let config = Config::default().queue("tasks").batch_size(1000);
    let config = config.persist_results(false).emit_events(false).lock_tasks(false);
    // A worker without tasks looks again at its next beat, and is taken for dead after so many.
    let config = config.heartbeat_interval(Duration::from_millis(10)).missed_heartbeats(6000);
    let storage = RedisStorage::<Arguments>::new(conn).with_config(config);
    match told.mode.as_str() {
        "work" => work(storage, told).await,
        "add" => add(storage, told).await,
        _ => pace(storage, told).await,
    }
}

async fn noop(arguments: Arguments) -> Result<(), BoxDynError> {
    course::run(&arguments);
    Ok(())
}

async fn work(storage: RedisStorage<Arguments>, told: &Told) {
    let worker = WorkerBuilder::new("peer").backend(storage).build(noop);
    course::start(told.tasks);
    worker.run().await.unwrap();
}

async fn add(mut storage: RedisStorage<Arguments>, told: &Told) {
    course::wait_for_go();
    let task = |number| Arguments::new(number, 0);
    if told.other == 1 {
        for number in 0..told.tasks {
            storage.push(task(number)).await.unwrap();
        }
    }
    for first in (0..told.tasks).step_by(told.other).filter(|_| told.other > 1) {
        let last = told.tasks.min(first + told.other);
        storage.push_bulk((first..last).map(task).collect()).await.unwrap();
    }
}

async fn pace(mut storage: RedisStorage<Arguments>, told: &Told) {
    course::wait_for_go();
    if told.later {
        for (number, due) in course::dues(told.tasks, told.other, 3) {
            let at = UNIX_EPOCH + Duration::from_micros(due as u64);
            let task = TaskBuilder::new(Arguments::new(number, due)).run_at_time(at).build();
            storage.push_task(task).await.unwrap();
        }
        return;
    }
    for (number, turn) in course::turns(told.tasks, told.other) {
        course::wait_until(turn).await;
        storage.push(Arguments::new(number, course::now_us())).await.unwrap();
    }
}
