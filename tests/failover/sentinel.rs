//! A primary that Sentinel watches is killed under load.

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
use crate::redis_sentinel::Watched;

/// How long a replica is cut off before its primary dies.
const CUT_OFF: Duration = Duration::from_millis(500);

fn store(url: &str, durability: &str) -> Arc<dyn Store> {
    open(url, Options { durability: durability.parse().unwrap(), ..Options::default() }).unwrap()
}

/// Kills primaries under load; their replicas were cut off for a moment before. Counts what is left.
async fn play(durability: &str, count: usize) -> Count {
    let mut watched = block_in_place(|| Watched::start(&[]));
    let url = watched.url();
    let load = Load::start(|| store(&url, durability)).await;
    for n in 1..=count {
        load.flow(500).await;
        let before = load.acknowledged();
        block_in_place(|| watched.cut_off());
        SystemClock.sleep(CUT_OFF).await;
        let cut_off = load.acknowledged() - before;
        block_in_place(|| watched.fail_over());
        eprintln!("{durability}: failover {n} of {count}, {cut_off} acknowledged while cut off");
    }
    load.flow(500).await;
    let count = load.settle().await;
    eprintln!("{durability}: {count:?}");
    count
}

/// Guards T1: what a replica has is not lost with its primary, and nothing else is acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_task_is_lost_if_a_replica_has_it() {
    let count = play("replicated:1", failovers(3)).await;

    assert_eq!(count.lost, 0, "{count:?}");
}

/// The loss that `durability = "memory"` takes; the other test would lose as much without its wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_to_a_replica_that_was_cut_off_loses_tasks_in_memory() {
    let count = play("memory", failovers(2)).await;

    assert!(count.lost > 0, "the replica was cut off: {count:?}");
    assert!(count.lost < count.acknowledged / 2, "the rest goes on: {count:?}");
}
