//! The suite on a Redis server that this process starts.

use std::sync::Arc;
use std::sync::LazyLock;

use taskshed::clock::ManualClock;
use taskshed::store::Store;
use taskshed::store::redis::RedisStore;

use crate::fixture::Shed;
use crate::fixture::options;
use crate::fixture::start;
use crate::redis_server::RedisServer;

#[path = "suite/hints.rs"]
mod hints;
#[path = "suite/mod.rs"]
mod suite;

static SERVER: LazyLock<RedisServer> = LazyLock::new(|| RedisServer::start(&[]));

/// Each in a namespace of its own.
async fn shed() -> Shed {
    let clock = ManualClock::at(start());
    let store = RedisStore::open(&SERVER.url(), options()).unwrap();
    let store = store.with_clock(Arc::new(clock.clone()));
    store.prepare().await.unwrap();
    Shed::of(Arc::new(store), clock)
}
