//! What becomes of the leases of nodes that died, and of those that did not.

use std::time::Duration;

use taskshed::clock::Clock;
use taskshed::domain::id::ClaimId;
use taskshed::domain::lease::node_grace;
use taskshed::domain::lease::remote_grace;
use taskshed::domain::lease::renew_every;
use taskshed::domain::state::TaskState;
use taskshed::domain::task::Priority;
use taskshed::leader::SURVEY_EVERY;
use taskshed::leader::SWEEP_EVERY;
use taskshed::store::HolderKind;
use taskshed::store::Keep;
use taskshed::store::Leadership;
use taskshed::store::Queue;
use taskshed::store::Resign;

use super::faulty::Fault;
use super::fleet::Fleet;
use super::fleet::LEASE;
use super::fleet::Node;
use super::fleet::SECOND;

/// From the death of a node to the return of its tasks, at most: lease, grace, two sweeps.
fn bound() -> Duration {
    LEASE + node_grace(LEASE) + SWEEP_EVERY * 2
}

/// A fleet with a leader, and a worker that holds `count` tasks and renews its lease.
async fn fleet_with_worker(count: usize) -> (Fleet, Node, Node, ClaimId) {
    let mut fleet = Fleet::new();
    let leader = fleet.node("leader");
    fleet.elected().await;
    for index in 0..count {
        fleet.add(&format!("t{index}"), |task| task).await;
    }
    let worker = fleet.bare("worker");
    let (claim, taken) = fleet.claim(&worker, count).await;
    assert_eq!(taken, count);
    fleet.beat(&worker, vec![claim.clone()]);
    fleet.pass(SECOND * 3).await;
    (fleet, leader, worker, claim)
}

async fn states(fleet: &Fleet, count: usize) -> Vec<TaskState> {
    let mut states = Vec::new();
    for index in 0..count {
        let id = format!("t{index}").parse().unwrap();
        states.push(fleet.fetch(&id).await.unwrap().state);
    }
    states
}

/// Guards N2 and T1: the tasks of a dead node come back in time, and no attempt is charged.
#[tokio::test]
async fn tasks_of_a_dead_node_come_back_within_the_bound() {
    let (fleet, mut leader, worker, _) = fleet_with_worker(3).await;
    let id = "t1".parse().unwrap();

    worker.kill();
    let is_back = async || states(&fleet, 3).await == [TaskState::Scheduled; 3];
    let took = fleet.pass_until(bound(), is_back).await;

    assert!(took >= LEASE, "the lease had not ended: {took:?}");
    assert_eq!(leader.reclaimed(), [(3, true)]);
    let task = fleet.fetch(&id).await.unwrap();
    assert_eq!((task.attempt, task.crashes), (0, 1));
}

/// Guards N2: the leader may die with the node.
#[tokio::test]
async fn tasks_come_back_when_the_leader_died_too() {
    let (mut fleet, leader, worker, _) = fleet_with_worker(1).await;
    let _next = fleet.node("next");
    fleet.pass(SECOND).await;

    leader.kill();
    worker.kill();

    let is_back = async || states(&fleet, 1).await == [TaskState::Scheduled];
    fleet.pass_until(bound() + Duration::from_millis(500), is_back).await;
}

/// Guards T3: who renews keeps its tasks, however long they run.
#[tokio::test]
async fn a_lease_that_is_renewed_is_never_reclaimed() {
    let (fleet, mut leader, _worker, _) = fleet_with_worker(2).await;

    fleet.pass(SECOND * 120).await;

    assert_eq!(leader.reclaimed(), []);
    assert_eq!(states(&fleet, 2).await, [TaskState::Running; 2]);
}

/// Guards T3: a lease that has expired may still be renewed, up to the second look.
#[tokio::test]
async fn a_lease_that_is_renewed_between_two_looks_is_kept() {
    let (fleet, mut leader, worker, claim) = fleet_with_worker(1).await;
    worker.kill();
    fleet.pass(LEASE + node_grace(LEASE) - SWEEP_EVERY).await;

    let keep = Keep { beat: None, claims: vec![claim], ttl: LEASE };
    let kept = fleet.store.keep(&keep).await.unwrap();
    fleet.pass(LEASE - SECOND).await;

    assert_eq!(kept.lost, []);
    assert_eq!(leader.reclaimed(), []);
    assert_eq!(states(&fleet, 1).await, [TaskState::Running]);
}

/// Guards T3: a reclaim ends the lease that was seen, not one that was renewed since.
#[tokio::test]
async fn a_lease_that_is_renewed_while_its_tasks_are_read_is_kept() {
    let (fleet, mut leader, worker, claim) = fleet_with_worker(1).await;
    worker.kill();

    leader.store.hang("reclaim", true);
    let is_asked = async || leader.store.calls("reclaim") == 1;
    fleet.pass_until(bound(), is_asked).await;
    let keep = Keep { beat: None, claims: vec![claim], ttl: LEASE };
    assert_eq!(fleet.store.keep(&keep).await.unwrap().lost, []);
    leader.store.hang("reclaim", false);
    fleet.pass(LEASE - SECOND).await;

    assert_eq!(leader.reclaimed(), []);
    assert_eq!(states(&fleet, 1).await, [TaskState::Running]);
}

/// Guards T3: when the store was stopped, every lease looks expired and no node is to blame.
#[tokio::test]
async fn a_store_that_was_frozen_for_three_leases_costs_no_lease() {
    let (fleet, mut leader, _worker, _) = fleet_with_worker(2).await;

    fleet.store.freeze(true);
    fleet.pass(LEASE * 3).await;
    fleet.store.freeze(false);
    fleet.pass(LEASE * 3).await;

    assert_eq!(leader.reclaimed(), []);
    assert_eq!(states(&fleet, 2).await, [TaskState::Running; 2]);
}

/// Guards T3: the same, when calls fail instead of hanging.
#[tokio::test]
async fn a_store_that_was_away_for_three_leases_costs_no_lease() {
    let (fleet, mut leader, _worker, _) = fleet_with_worker(2).await;

    fleet.store.cut(true);
    fleet.pass(LEASE * 3).await;
    fleet.store.cut(false);
    fleet.pass(LEASE * 3).await;

    assert_eq!(leader.reclaimed(), []);
    assert_eq!(states(&fleet, 2).await, [TaskState::Running; 2]);
}

/// Guards T3: looks are writes, so a store that refuses the renewals refuses the looks.
#[tokio::test]
async fn a_store_that_refuses_writes_for_three_leases_costs_no_lease() {
    let (fleet, mut leader, _worker, _) = fleet_with_worker(2).await;

    for method in ["keep", "leases", "reclaim", "maintain"] {
        fleet.store.plan(method, Fault::Request, usize::MAX);
    }
    fleet.pass(LEASE * 3).await;
    assert_eq!(leader.reclaimed(), []);
    for method in ["keep", "leases", "reclaim", "maintain"] {
        fleet.store.heal(method);
    }
    fleet.pass(LEASE * 3).await;

    assert_eq!(leader.reclaimed(), []);
    assert_eq!(states(&fleet, 2).await, [TaskState::Running; 2]);
}

/// Guards T3: one failed call between two looks makes the first one worthless.
#[tokio::test]
async fn looks_start_anew_after_a_call_that_failed() {
    let (fleet, leader, worker, _) = fleet_with_worker(1).await;
    worker.kill();
    let end = fleet.fetch(&"t0".parse().unwrap()).await.unwrap().lease.unwrap().expires_at;
    fleet.pass(end.since(fleet.clock.wall()) + SWEEP_EVERY).await;

    let calls = leader.store.calls("maintain");
    leader.store.plan("maintain", Fault::Request, 1);
    let has_failed = async || leader.store.calls("maintain") > calls;
    fleet.pass_until(node_grace(LEASE), has_failed).await;
    let failed_at = fleet.clock.steady();
    let is_back = async || states(&fleet, 1).await == [TaskState::Scheduled];
    fleet.pass_until(bound(), is_back).await;

    assert!(fleet.clock.steady() - failed_at >= node_grace(LEASE));
}

/// Guards T3: the looks of a leader are its own; the next one looks twice, too.
#[tokio::test]
async fn a_new_leader_looks_twice() {
    let (mut fleet, _old, worker, _) = fleet_with_worker(1).await;
    let _next = fleet.node("next");
    worker.kill();
    fleet.pass(LEASE + SECOND).await;

    fleet.store.resign(&Resign { process: None }).await.unwrap();
    let is_led = async || fleet.leader().await.is_some_and(|leader| leader.node.as_str() == "next");
    fleet.pass_until(SECOND * 2, is_led).await;
    let since = fleet.clock.steady();
    let is_back = async || states(&fleet, 1).await == [TaskState::Scheduled];
    fleet.pass_until(bound(), is_back).await;

    assert!(fleet.clock.steady() - since >= node_grace(LEASE));
}

/// Guards T3: a clock that jumped ahead makes leases look expired.
#[tokio::test]
async fn a_clock_that_jumped_ahead_costs_no_lease() {
    let (fleet, mut leader, _worker, _) = fleet_with_worker(2).await;

    fleet.clock.set_wall(fleet.clock.wall().plus(SECOND * 3600));
    fleet.pass(LEASE * 3).await;

    assert_eq!(leader.reclaimed(), []);
    assert_eq!(states(&fleet, 2).await, [TaskState::Running; 2]);
}

/// Guards T9: a clock that jumped ahead takes nothing from a holder that is cut off before it has
/// given up by itself, and keeps nothing for longer than the bound.
#[tokio::test]
async fn a_clock_that_jumped_ahead_does_not_end_a_lease_that_is_still_trusted() {
    let (fleet, mut leader, worker, _) = fleet_with_worker(1).await;

    worker.kill();
    fleet.clock.set_wall(fleet.clock.wall().plus(SECOND * 3600));
    let is_back = async || states(&fleet, 1).await == [TaskState::Scheduled];
    let took = fleet.pass_until(bound(), is_back).await;

    assert!(took >= LEASE - renew_every(LEASE), "its node may have trusted it: {took:?}");
    assert_eq!(leader.reclaimed(), [(1, true)]);
}

/// Guards T3 and N2: a clock that was set back neither costs a lease, nor keeps that of a dead node.
#[tokio::test]
async fn a_clock_that_was_set_back_neither_costs_nor_keeps_a_lease() {
    let (mut fleet, mut leader, dead, _) = fleet_with_worker(1).await;
    fleet.add("lives", |task| task).await;
    let alive = fleet.bare("alive");
    let (claim, _) = fleet.claim(&alive, 1).await;
    fleet.beat(&alive, vec![claim]);
    dead.kill();
    fleet.pass(SECOND).await;

    fleet.clock.set_wall(fleet.clock.wall().minus(SECOND * 3600));
    let is_back = async || states(&fleet, 1).await == [TaskState::Scheduled];
    let took = fleet.pass_until(bound() + SURVEY_EVERY * 2, is_back).await;
    fleet.pass(LEASE * 3).await;

    assert!(took >= LEASE);
    assert_eq!(leader.reclaimed(), [(1, true)]);
    let lives = fleet.fetch(&"lives".parse().unwrap()).await.unwrap();
    assert_eq!(lives.state, TaskState::Running);
}

/// Guards T7: a claim whose reply was lost comes back, and blames nobody.
#[tokio::test]
async fn a_claim_whose_reply_was_lost_comes_back_without_a_crash() {
    let mut fleet = Fleet::new();
    let mut leader = fleet.node("leader");
    fleet.elected().await;
    let id = fleet.add("t0", |task| task).await;
    let worker = fleet.holder("worker", Vec::new());

    fleet.claim(&worker, 1).await;
    let is_back = async || states(&fleet, 1).await == [TaskState::Scheduled];
    fleet.pass_until(bound(), is_back).await;

    assert_eq!(leader.reclaimed(), [(1, false)]);
    assert!(leader.shows("taskshed_tasks_reclaimed_total{cause=\"unclaimed\"} 1"));
    assert_eq!(fleet.fetch(&id).await.unwrap().crashes, 0);
}

#[tokio::test]
async fn a_remote_worker_is_given_half_a_lease_of_grace_and_its_silence_counts_as_a_crash() {
    let mut fleet = Fleet::new();
    let mut leader = fleet.node("leader");
    fleet.elected().await;
    fleet.add("t0", |task| task).await;
    let worker = fleet.bare("worker");

    fleet.claim_as(&worker, HolderKind::Remote, 1).await;
    let is_back = async || states(&fleet, 1).await == [TaskState::Scheduled];
    let longest = LEASE + remote_grace(LEASE) + SWEEP_EVERY * 2;
    let took = fleet.pass_until(longest, is_back).await;

    assert!(took >= LEASE + remote_grace(LEASE), "{took:?}");
    assert_eq!(leader.reclaimed(), [(1, true)]);
}

/// Guards N4 and T7: five deaths in a row end a task, and the waits between them grow.
#[tokio::test]
async fn a_task_that_kills_its_nodes_waits_longer_each_time_and_ends_dead() {
    let mut fleet = Fleet::new();
    let leader = fleet.node("leader");
    fleet.elected().await;
    let id = fleet.add("t0", |task| task).await;
    let mut waits = Vec::new();

    for death in 1..=5 {
        let due_at = fleet.fetch(&id).await.unwrap().run_at;
        fleet.pass(due_at.since(fleet.clock.wall())).await;
        let node = fleet.bare(&format!("n{death}"));
        let (_, taken) = fleet.claim(&node, 1).await;
        assert_eq!(taken, 1, "before death {death}");
        let is_let_go = async || states(&fleet, 1).await != [TaskState::Running];
        fleet.pass_until(bound(), is_let_go).await;
        let task = fleet.fetch(&id).await.unwrap();
        assert_eq!((task.crashes, task.attempt), (death, 0));
        waits.push(task.run_at.since(fleet.clock.wall()));
    }

    let task = fleet.fetch(&id).await.unwrap();
    assert_eq!(task.state, TaskState::Dead);
    assert_eq!(task.errors[0].message, "its node died 5 times while it ran");
    assert_eq!(task.errors[0].node.as_str(), "n5");
    assert!(leader.shows("taskshed_tasks_reclaimed_total{cause=\"crash\"} 5"));
    assert!(leader.shows("taskshed_tasks_dead_total{callback=\"\",cause=\"crashes\"} 1"));
    assert!(leader.shows("taskshed_tasks_dead_total{callback=\"\",cause=\"failures\"} 0"));
    let ms: Vec<_> = waits.iter().map(Duration::as_millis).collect();
    let is_near = |wait: u128, ms: u128| (ms * 7 / 10..=ms * 12 / 10).contains(&wait);
    assert!(
        ms[0] == 0 && is_near(ms[1], 500) && is_near(ms[2], 1000) && is_near(ms[3], 2000),
        "{ms:?}"
    );
}

/// Guards N2: more leases than one look shows.
#[tokio::test]
async fn a_node_that_held_more_leases_than_a_page_gives_all_of_them_back() {
    let mut fleet = Fleet::new();
    let mut leader = fleet.node("leader");
    fleet.elected().await;
    for index in 0..1200 {
        fleet.add(&format!("t{index}"), |task| task.priority(Priority::High)).await;
    }
    let worker = fleet.bare("worker");
    for _ in 0..1200 {
        fleet.claim(&worker, 1).await;
    }

    fleet.pass(bound() + node_grace(LEASE) + SWEEP_EVERY * 2).await;

    let count: u64 = leader.reclaimed().iter().map(|(count, _)| count).sum();
    assert_eq!(count, 1200);
}

/// Guards N2: leases that end at the same time do not wait for each other.
#[tokio::test]
async fn the_leases_of_a_dead_node_are_reclaimed_side_by_side() {
    let mut fleet = Fleet::new();
    let mut leader = fleet.node("leader");
    fleet.elected().await;
    let worker = fleet.bare("worker");
    for index in 0..8 {
        fleet.add(&format!("t{index}"), |task| task).await;
        fleet.claim(&worker, 1).await;
    }
    leader.store.hang("reclaim", true);
    let calls = leader.store.calls("reclaim");

    fleet.pass(bound()).await;
    assert_eq!(leader.store.calls("reclaim") - calls, 8);

    leader.store.hang("reclaim", false);
    fleet.pass(SECOND).await;
    assert_eq!(leader.reclaimed(), [(1, true); 8]);
}

/// A look costs a call: without leases one a second, and otherwise when one can have ended.
#[tokio::test]
async fn nobody_looks_while_no_lease_can_have_ended() {
    let (fleet, leader, worker, _) = fleet_with_worker(1).await;
    let looks = async |length| {
        let before = leader.store.calls("leases");
        fleet.pass(length).await;
        leader.store.calls("leases") - before
    };

    let held = looks(SECOND * 10).await;
    worker.kill();
    fleet.pass(bound() + SECOND).await;
    let idle = looks(SECOND * 10).await;

    assert!((9..=11).contains(&held) && (9..=11).contains(&idle), "{held} and {idle}");
    assert_eq!(states(&fleet, 1).await, [TaskState::Scheduled]);
}
