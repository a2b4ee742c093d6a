//! Primaries of a Redis Cluster are killed under load, and slots of the namespace move.

use std::sync::Arc;
use std::time::Duration;

use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::store::Options;
use taskshed::store::Store;
use taskshed::store::open;
use tokio::task::block_in_place;

use crate::failovers;
use crate::load::Count;
use crate::load::Load;
use crate::redis_cluster::RedisCluster;

/// Of its partitions each primary serves one.
const NAMESPACE: &str = "n0";

const PARTITIONS: usize = 3;

/// How long a replica is cut off before its primary dies.
const CUT_OFF: Duration = Duration::from_millis(500);

/// Between two keys of a slot that moves.
const BETWEEN_KEYS: Duration = Duration::from_millis(100);

fn store(url: &str, durability: &str) -> Arc<dyn Store> {
    let (durability, namespace) = (durability.parse().unwrap(), NAMESPACE.parse().unwrap());
    open(url, Options { durability, namespace, ..Options::default() }).unwrap()
}

/// The slot of a partition.
fn slot(servers: &RedisCluster, partition: usize) -> u16 {
    servers.slot(&format!("{{ts:{NAMESPACE}:{partition}}}:"))
}

/// Kills the primaries of one partition after the other; their replicas were cut off for a moment
/// before. Counts what is left.
async fn lose_primaries(durability: &str, count: usize) -> Count {
    let mut servers = block_in_place(|| RedisCluster::start(1, &[]));
    let url = servers.url(PARTITIONS);
    let load = Load::start(|| store(&url, durability)).await;
    for n in 0..count {
        load.flow(500).await;
        let slot = slot(&servers, n % PARTITIONS);
        let before = load.acknowledged();
        let old = block_in_place(|| servers.cut_off(slot));
        SystemClock.sleep(CUT_OFF).await;
        let cut_off = load.acknowledged() - before;
        block_in_place(|| servers.fail_over(slot));
        block_in_place(|| servers.revive(old));
        eprintln!(
            "{durability}: failover {} of {count}, {cut_off} acknowledged while cut off",
            n + 1
        );
    }
    load.flow(500).await;
    let count = load.settle().await;
    eprintln!("{durability}: {count:?}");
    count
}

/// Guards T1: what a replica has is not lost with its primary, and nothing else is acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_task_is_lost_with_a_primary_of_a_cluster() {
    let count = lose_primaries("replicated:1", failovers(3)).await;

    assert_eq!(count.lost, 0, "{count:?}");
}

/// The loss that `durability = "memory"` takes; the other test would lose as much without its wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_of_a_cluster_whose_replica_was_cut_off_loses_tasks_in_memory() {
    let count = lose_primaries("memory", failovers(2)).await;

    assert!(count.lost > 0, "the replica was cut off: {count:?}");
    assert!(count.lost < count.acknowledged / 2, "the rest goes on: {count:?}");
}

/// Guards T1 and T6: a slot that moves key by key, away and back, loses nothing and runs nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_under_load_loses_nothing_and_repeats_nothing() {
    let servers = block_in_place(|| RedisCluster::start(0, &[]));
    let url = servers.url(PARTITIONS);
    let load = Load::start(|| store(&url, "memory")).await;
    for n in 0..failovers(3) {
        load.flow(500).await;
        let slot = slot(&servers, n % PARTITIONS);
        let to = (servers.owner(slot) + 1) % 3;
        let mut keys = 0;
        block_in_place(|| {
            servers.move_slot(slot, to, |moved| {
                keys = moved;
                crate::pause(BETWEEN_KEYS);
            });
        });
        eprintln!("slot {slot} moved with {keys} keys");
        assert!(keys > 3, "the partition is in use");
    }
    load.flow(500).await;
    let count = load.settle().await;
    eprintln!("slots: {count:?}");

    assert_eq!((count.lost, count.repeated), (0, 0), "{count:?}");
}
