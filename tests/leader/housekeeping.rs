//! What the leader clears away.

use std::time::Duration;

use taskshed::domain::state::TaskState;
use taskshed::store::Action;
use taskshed::store::Change;
use taskshed::store::Leadership;
use taskshed::store::NODE_FORGOTTEN_AFTER;
use taskshed::store::Options;
use taskshed::store::Target;
use taskshed::store::Tasks;

use super::fleet::Fleet;
use super::fleet::SECOND;

/// Guards T8: a task that was not started in time is not run, and is seen to have expired.
#[tokio::test]
async fn a_task_that_was_not_started_in_time_expires_within_two_seconds() {
    let mut fleet = Fleet::new();
    let _leader = fleet.node("leader");
    fleet.elected().await;
    let id = fleet.add("late", |task| task.expires_in(SECOND * 5)).await;

    fleet.pass(SECOND * 4).await;
    assert_eq!(fleet.fetch(&id).await.unwrap().state, TaskState::Scheduled);
    fleet.pass(SECOND * 3).await;

    assert_eq!(fleet.fetch(&id).await.unwrap().state, TaskState::Expired);
}

/// Guards T10: what has ended goes when its time is over, and not before.
#[tokio::test]
async fn what_has_ended_is_kept_for_its_time_and_then_goes() {
    let mut fleet = Fleet::new();
    let _leader = fleet.node("leader");
    fleet.elected().await;
    let id = fleet.add("unwanted", |task| task).await;
    let change = Change { target: Target::Ids(vec![id.clone()]), action: Action::Cancel };
    fleet.store.change(&change).await.unwrap();
    let keep = Options::default().keep_cancelled;

    fleet.clock.advance(keep - SECOND * 60);
    fleet.pass(SECOND * 30).await;
    assert_eq!(fleet.fetch(&id).await.unwrap().state, TaskState::Cancelled);
    fleet.pass(SECOND * 32).await;

    assert_eq!(fleet.fetch(&id).await, None);
}

#[tokio::test]
async fn a_node_that_fell_silent_is_forgotten() {
    let mut fleet = Fleet::new();
    let _leader = fleet.node("leader");
    let gone = fleet.holder("gone", Vec::new());
    fleet.pass(SECOND * 2).await;
    let names = async || -> Vec<String> {
        let cluster = fleet.store.cluster().await.unwrap();
        cluster.nodes.iter().map(|node| node.node.to_string()).collect()
    };
    assert_eq!(names().await, ["gone", "leader"]);

    gone.kill();
    fleet.pass(NODE_FORGOTTEN_AFTER - SECOND * 3).await;
    assert_eq!(names().await, ["gone", "leader"]);
    fleet.pass(SECOND * 6).await;

    assert_eq!(names().await, ["leader"]);
}

/// Guards N2: housekeeping goes in batches, and reclaim comes between them.
#[tokio::test]
async fn a_heap_of_expired_tasks_is_cleared_in_batches_that_do_not_hold_reclaim_up() {
    let mut fleet = Fleet::new();
    let leader = fleet.node("leader");
    fleet.elected().await;
    for index in 0..4500 {
        fleet.add(&format!("t{index}"), |task| task.expires_in(SECOND).run_in(SECOND * 99)).await;
    }
    let before = (leader.store.calls("maintain"), leader.store.calls("leases"));

    fleet.pass(SECOND * 4).await;

    let batches = leader.store.calls("maintain") - before.0;
    let sweeps = leader.store.calls("leases") - before.1;
    assert!((5..=12).contains(&batches), "{batches} batches");
    assert!(sweeps >= 4, "{sweeps} sweeps");
    let left = fleet.store.stats().await.unwrap();
    assert_eq!((left.queues[0].scheduled[2], left.queues[0].expired), (0, 4500));
}

#[tokio::test]
async fn nothing_is_cleared_while_nobody_leads() {
    let fleet = Fleet::new();
    let id = fleet.add("late", |task| task.expires_in(SECOND)).await;

    fleet.pass(Duration::from_secs(30)).await;

    assert_eq!(fleet.fetch(&id).await.unwrap().state, TaskState::Scheduled);
}
