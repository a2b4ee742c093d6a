//! apalis, on MariaDB.
//!
//! Settings: 1,000 tasks fetched at once instead of 10, 20 connections, batches by `push_bulk`.
//! Source: the docs of `apalis_sql::Config`; the versions are those that build together.

#[path = "../course.rs"]
mod course;

use apalis::prelude::*;
use apalis_mysql::Config;
use apalis_mysql::MySqlPool;
use apalis_mysql::MySqlStorage;
use course::Arguments;
use course::Told;
use sqlx::mysql::MySqlPoolOptions;

fn main() {
    let told = Told::read();
    course::block_on(&told, run(&told));
    course::say("done");
}

async fn noop(arguments: Arguments) -> Result<(), BoxDynError> {
    course::run(&arguments);
    Ok(())
}

/// MariaDB has no collation of the name that the migrations give.
async fn prepare(pool: &MySqlPool, told: &Told) {
    if told.mode == "work" {
        return;
    }
    for step in MySqlStorage::migrations().iter() {
        let sql = step.sql.replace("utf8mb4_0900_ai_ci", "utf8mb4_general_ci");
        sqlx::raw_sql(&sql).execute(pool).await.unwrap();
    }
}

async fn run(told: &Told) {
    let pool: MySqlPool =
        MySqlPoolOptions::new().max_connections(20).connect(&told.url).await.unwrap();
    prepare(&pool, told).await;
    let config = Config::new("tasks").set_buffer_size(1000);
    let mut storage: MySqlStorage<Arguments, _, _> = MySqlStorage::new_with_config(&pool, &config);
    if told.mode == "work" {
        let worker = WorkerBuilder::new("peer").backend(storage).build(noop);
        course::start(told.tasks);
        worker.run().await.unwrap();
        return;
    }
    course::wait_for_go();
    for first in (0..told.tasks).step_by(told.other) {
        let last = told.tasks.min(first + told.other);
        let tasks = (first..last).map(|number| Arguments::new(number, 0)).collect();
        storage.push_bulk(tasks).await.unwrap();
    }
}
