//! Random sequences of calls, with time that passes and replies that are lost.
//!
//! A sequence is played on a store, and each event judged by what must always hold; then on two
//! stores at once, which must answer alike. A sequence that fails is cut down to the steps that it
//! takes and printed with its seed. `TASKSHED_SEED` plays that one alone, `TASKSHED_CASES` more of
//! them.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod call;
mod dice;
mod game;
#[cfg(feature = "redis")]
#[path = "../support/gathered.rs"]
mod gathered;
mod history;
#[cfg(feature = "mysql")]
#[path = "../support/mariadb_server.rs"]
#[expect(dead_code, reason = "other tests kill and restart their server")]
mod mariadb_server;
mod moving;
mod player;
#[cfg(feature = "redis")]
#[path = "../support/redis_cluster.rs"]
#[expect(dead_code, reason = "other tests move slots and kill servers")]
mod redis_cluster;
#[cfg(feature = "redis")]
#[path = "../support/redis_server.rs"]
#[expect(dead_code, reason = "other tests kill and restart their server")]
mod redis_server;
mod seeds;
mod shown;
mod step;

use crate::game::Stores;

/// Steps of a sequence.
const LENGTH: usize = 120;

/// Guards T1, T2, T3, T4, T5, T6, T7, T8, T10, S1, S2 and L1.
#[tokio::test]
async fn the_memory_store_keeps_its_promises_whatever_happens() {
    seeds::play(200, LENGTH, Stores::Memory).await;
}

/// The first keeps the promises; the second does the same.
#[cfg(feature = "redis")]
#[tokio::test]
async fn redis_answers_as_memory_does_whatever_happens() {
    let server = redis_server::RedisServer::start(&[]);
    seeds::play(40, LENGTH, Stores::MemoryAndRedis(server.url())).await;
}

/// The first keeps the promises; the second does the same with tasks that share a partition.
#[cfg(feature = "redis")]
#[tokio::test]
async fn cluster_answers_as_memory_does_whatever_happens() {
    let servers = redis_cluster::RedisCluster::start(0, &[]);
    seeds::play(40, LENGTH, Stores::MemoryAndCluster(servers.url(3))).await;
}

/// Guards T1, T2, T3, T4, T5, T6, T7, T8, T10, S1 and L1, with tasks in all partitions.
#[cfg(feature = "redis")]
#[tokio::test]
async fn the_cluster_store_keeps_its_promises_whatever_happens() {
    let servers = redis_cluster::RedisCluster::start(0, &[]);
    seeds::play(40, LENGTH, Stores::Cluster(servers.url(3))).await;
}

/// The first keeps the promises; the second does the same.
#[cfg(feature = "mysql")]
#[tokio::test]
async fn mariadb_answers_as_memory_does_whatever_happens() {
    let server = mariadb_server::MariadbServer::start(&[]);
    seeds::play(40, LENGTH, Stores::MemoryAndMysql(server.url())).await;
}

/// The first keeps the promises; the second does the same.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn sqlite_answers_as_memory_does_whatever_happens() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("taskshed.db").display());
    seeds::play(40, LENGTH, Stores::MemoryAndSqlite(url)).await;
}
