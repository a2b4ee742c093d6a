//! The suite on a Redis Cluster that this process starts, on a namespace in three partitions.
//!
//! The tasks of a test share a tag, because what the suite asks for is promised in each partition:
//! see `gathered`. What is promised over several partitions is in `tests/partitions`.

use std::sync::Arc;
use std::sync::LazyLock;

use taskshed::clock::ManualClock;
use taskshed::store::Store;
use taskshed::store::redis::ClusterStore;

use crate::fixture::Shed;
use crate::fixture::options;
use crate::fixture::start;
use crate::gathered::Gathered;
use crate::redis_cluster::RedisCluster;

#[path = "suite/hints.rs"]
mod hints;
#[path = "suite/mod.rs"]
mod suite;

static SERVERS: LazyLock<RedisCluster> = LazyLock::new(|| RedisCluster::start(0, &[]));

/// Each in a namespace of its own, whose name is the tag, so that all partitions get their tests.
async fn shed() -> Shed {
    let clock = ManualClock::at(start());
    let options = options();
    let tag = options.namespace.to_string();
    let store = ClusterStore::open(&SERVERS.url(3), options).unwrap();
    let store = store.with_clock(Arc::new(clock.clone()));
    store.prepare().await.unwrap();
    Shed::of(Arc::new(Gathered::of(Arc::new(store), &tag)), clock)
}
