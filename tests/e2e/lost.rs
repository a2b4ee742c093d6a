//! A primary of a Redis Cluster that dies while tasks run.

use std::time::Duration;

use serde_json::json;
use taskshed::Task;

use crate::program::pause;
use crate::program::until;
use crate::redis_cluster::RedisCluster;
use crate::witness::Shed;

fn nap(id: &str) -> Task {
    Task::new("nap", &json!({})).unwrap().id(id).retention(Duration::from_secs(3600))
}

/// Guards T3, T6 and T9: runs go on while a replica takes the place of their primary, which takes
/// longer than their lease; they are accepted, and none runs twice.
#[tokio::test]
async fn runs_go_on_while_a_primary_of_a_cluster_is_replaced() {
    let servers = RedisCluster::start(1, &["--appendonly", "yes"]);
    let mut shed = Shed::on(servers, &[("nap", "sleep 12")]).await;
    let mut nodes = [shed.node("a", &[]), shed.node("b", &[])];
    let ids: Vec<_> = (0..24).map(|number| format!("nap-{number}")).collect();
    shed.add(ids.iter().map(|id| nap(id))).await;
    until("all run", || shed.runs().len() == ids.len());

    for partition in [0, 2] {
        let slot = shed.server.slot(&format!("{{ts:default:{partition}}}:"));
        shed.server.fail_over(slot);
        pause(Duration::from_secs(1));
    }
    while shed.scheduler.stats().await.is_err() {
        pause(Duration::from_millis(50));
    }

    for id in &ids {
        let task = shed.completed(id).await;
        assert_eq!((task.attempt, task.crashes), (1, 0), "{id}");
    }
    assert_eq!(shed.runs().len(), ids.len(), "{:?}", shed.runs());
    for node in &mut nodes {
        assert_eq!(node.leave(), Some(0), "{}", node.log());
    }
}
