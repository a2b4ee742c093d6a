//! The suite on a MariaDB server that this process starts.

use std::sync::Arc;
use std::sync::LazyLock;

use taskshed::clock::ManualClock;
use taskshed::store::Store;
use taskshed::store::mysql::MysqlStore;

use crate::fixture::Shed;
use crate::fixture::options;
use crate::fixture::start;
use crate::mariadb_server::MariadbServer;

#[path = "suite/mod.rs"]
mod suite;

static SERVER: LazyLock<MariadbServer> =
    LazyLock::new(|| MariadbServer::start(&["--max-connections=500"]));

/// Each in a database of its own: a claim that takes less than its limit holds the index entry after
/// its last one for a moment, so that in a shared table another test's claim could pass a task by.
async fn shed() -> Shed {
    let clock = ManualClock::at(start());
    let options = options();
    let url = SERVER.database(options.namespace.as_str()).await;
    let store = MysqlStore::open(&url, options).unwrap().with_clock(Arc::new(clock.clone()));
    store.migrate().await.unwrap();
    store.prepare().await.unwrap();
    Shed::of(Arc::new(store), clock)
}
