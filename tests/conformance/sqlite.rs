//! The suite on SQLite, each test in a file of its own.

use std::sync::Arc;

use taskshed::clock::ManualClock;
use taskshed::store::Store;
use taskshed::store::sqlite::SqliteStore;

use crate::fixture::Shed;
use crate::fixture::options;
use crate::fixture::start;

#[path = "suite/mod.rs"]
mod suite;

async fn shed() -> Shed {
    let clock = ManualClock::at(start());
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("taskshed.db").display());
    let store = SqliteStore::open(&url, options()).unwrap();
    let store = store.with_clock(Arc::new(clock.clone()));
    store.prepare().await.unwrap();
    Shed::of(Arc::new(store), clock).in_folder(folder)
}
