//! Handing outcomes back.

use std::time::Duration;

use taskshed::domain::id::ClaimId;
use taskshed::domain::json::Json;
use taskshed::domain::lease::Fence;
use taskshed::domain::state::Outcome;
use taskshed::domain::state::TaskState;
use taskshed::domain::time::Timestamp;
use taskshed::store::AckItem;
use taskshed::store::Acked;
use taskshed::store::Action;
use taskshed::store::Filter;

use crate::fixture::SECOND;
use crate::fixture::claim_id;
use crate::fixture::start;
use crate::requests::claim;
use crate::requests::completed;
use crate::requests::failed;
use crate::requests::task;

fn after(seconds: u32) -> Timestamp {
    start().plus(seconds * SECOND)
}

/// Guards T10: without retention nothing is left.
#[tokio::test]
async fn a_completed_task_is_kept_for_its_retention() {
    let shed = super::shed().await;
    let result = Json::parse(r#"{"n":1.10,"l":[]}"#).unwrap();
    shed.add([task("a").retention(60 * SECOND), task("b")]).await;
    for run in shed.claim(&claim()).await.tasks {
        shed.clock.advance(SECOND);
        let acked = shed.end(&run, Outcome::Completed(Some(result.clone()))).await;
        assert_eq!(acked, Acked::Done);
    }

    let kept = shed.task("a").await;
    assert_eq!((kept.state, kept.attempt), (TaskState::Completed, 1));
    assert_eq!((kept.finished_at, kept.result), (Some(after(1)), Some(result)));
    assert!(kept.lease.is_none());
    assert!(shed.find("b").await.is_none());
}

/// Guards T5 and T6.
#[tokio::test]
async fn a_repeated_ack_is_stale_and_changes_nothing() {
    let shed = super::shed().await;
    let run = shed.running(task("a").every(60 * SECOND)).await;
    assert_eq!(shed.complete(&run).await, Acked::Done);
    let after_first = shed.task("a").await;

    assert_eq!(shed.complete(&run).await, Acked::Stale);
    assert_eq!(shed.end(&run, Outcome::Failed("no".into())).await, Acked::Stale);

    assert_eq!(shed.task("a").await, after_first);
}

/// Guards T6: of two outcomes of one run in one call, the first counts.
#[tokio::test]
async fn a_second_outcome_in_the_same_call_is_stale() {
    let shed = super::shed().await;
    let run = shed.running(task("a").retention(60 * SECOND)).await;

    let acked = shed.store.ack(&[completed(&run), failed(&run)]).await.unwrap();

    assert_eq!(acked, [Acked::Done, Acked::Stale]);
    assert_eq!(shed.state("a").await, TaskState::Completed);
}

/// Guards T5.
#[tokio::test]
async fn an_ack_with_another_claim_or_fence_changes_nothing() {
    let shed = super::shed().await;
    let run = shed.running(task("a")).await;
    let other = shed.running(task("b")).await;
    let before = shed.task("a").await;
    let fence = run.lease.as_ref().unwrap().fence;
    let items = [
        AckItem { claim: ClaimId::parse("unknown").unwrap(), ..completed(&run) },
        AckItem { claim: claim_id(&other).clone(), ..completed(&run) },
        AckItem { fence: Fence(fence.0 - 1), ..completed(&run) },
        AckItem { fence: Fence(fence.0 + 1), ..failed(&run) },
        AckItem { task: crate::requests::id("unknown"), ..completed(&run) },
    ];

    assert_eq!(shed.store.ack(&items).await.unwrap(), [Acked::Stale; 5]);

    assert_eq!(shed.task("a").await, before);
    assert_eq!(shed.complete(&run).await, Acked::Done);
}

/// Guards T5: the task runs again elsewhere, and the late outcome of the lost run counts for nothing.
#[tokio::test]
async fn an_ack_under_a_lost_lease_changes_nothing() {
    let shed = super::shed().await;
    let first = shed.running(task("a").retention(60 * SECOND)).await;
    shed.clock.advance(13 * SECOND);
    assert_eq!(shed.reclaim(claim_id(&first)).await, 1);
    let second = shed.claim(&claim()).await.tasks.remove(0);

    assert_eq!(shed.complete(&first).await, Acked::Stale);

    assert_eq!(shed.task("a").await, second);
    assert!(second.lease.as_ref().unwrap().fence > first.lease.as_ref().unwrap().fence);
    assert_eq!(shed.complete(&second).await, Acked::Done);
}

#[tokio::test]
async fn a_failed_run_is_charged_and_retried_by_backoff() {
    let shed = super::shed().await;
    let run = shed.running(task("a").max_attempts(3)).await;

    shed.end(&run, Outcome::Failed("first".into())).await;

    let waiting = shed.task("a").await;
    assert_eq!((waiting.state, waiting.attempt), (TaskState::Scheduled, 1));
    assert_eq!((waiting.run_at, waiting.planned_at), (after(5), start()));
    assert_eq!(waiting.errors[0].message, "first");
    assert!(shed.claim(&claim()).await.tasks.is_empty());
    shed.clock.advance(5 * SECOND);
    assert_eq!(shed.claim(&claim()).await.tasks[0].attempt, 2);
}

/// Guards T7.
#[tokio::test]
async fn charged_attempts_end_at_their_limit_and_the_end_is_final() {
    let shed = super::shed().await;
    shed.add([task("a").max_attempts(3)]).await;
    let mut attempts = Vec::new();
    for _ in 0..3 {
        let run = shed.claim(&claim()).await.tasks.remove(0);
        attempts.push(run.attempt);
        shed.end(&run, Outcome::Failed("no".into())).await;
        shed.clock.advance(3600 * SECOND);
    }

    let dead = shed.task("a").await;
    assert_eq!(attempts, [1, 2, 3]);
    assert_eq!((dead.state, dead.attempt, dead.errors.len()), (TaskState::Dead, 3, 3));
    assert!(shed.claim(&claim()).await.tasks.is_empty());
}

#[tokio::test]
async fn released_and_snoozed_runs_are_not_charged() {
    let shed = super::shed().await;
    shed.add([task("released"), task("snoozed")]).await;
    let runs = shed.claim(&claim()).await.tasks;

    shed.end(&runs[0], Outcome::Released).await;
    shed.end(&runs[1], Outcome::Snoozed(9 * SECOND)).await;

    let (released, snoozed) = (shed.task("released").await, shed.task("snoozed").await);
    assert_eq!((released.attempt, released.run_at), (0, start()));
    assert_eq!((snoozed.attempt, snoozed.run_at, snoozed.planned_at), (0, after(9), start()));
    assert_eq!(shed.claim_ids(&claim()).await, ["released"]);
}

/// Guards S1.
#[tokio::test]
async fn the_next_occurrence_is_on_the_grid_and_the_only_one() {
    let shed = super::shed().await;
    let run = shed.running(task("a").every(10 * SECOND)).await;
    shed.clock.advance(25 * SECOND);

    shed.end(&run, Outcome::Completed(Some(Json::parse("7").unwrap()))).await;

    let next = shed.task("a").await;
    assert_eq!((next.run_at, next.planned_at), (after(30), after(30)));
    assert_eq!((next.state, next.attempt), (TaskState::Scheduled, 0));
    assert_eq!(next.result, Some(Json::parse("7").unwrap()));
    assert_eq!(shed.list(Filter::default(), 10).await.len(), 1);
}

/// Guards S1: each missed planned time runs, in order, once.
#[tokio::test]
async fn a_task_that_catches_up_runs_every_planned_time() {
    let shed = super::shed().await;
    shed.add([task("a").every(10 * SECOND).catch_up()]).await;
    shed.clock.advance(Duration::from_secs(25));
    let mut planned = Vec::new();
    while let Some(run) = shed.claim(&claim()).await.tasks.pop() {
        planned.push(run.planned_at);
        shed.complete(&run).await;
    }

    assert_eq!(planned, [start(), after(10), after(20)]);
    assert_eq!(shed.task("a").await.run_at, after(30));
}

#[tokio::test]
async fn the_result_of_the_last_completed_run_stays_through_failures() {
    let shed = super::shed().await;
    let run = shed.running(task("a").every(10 * SECOND)).await;
    shed.end(&run, Outcome::Completed(Some(Json::parse("1").unwrap()))).await;
    shed.clock.advance(10 * SECOND);
    let run = shed.claim(&claim()).await.tasks.remove(0);
    assert_eq!(run.result, Some(Json::parse("1").unwrap()));

    shed.end(&run, Outcome::Failed("no".into())).await;

    assert_eq!(shed.task("a").await.result, Some(Json::parse("1").unwrap()));
}

#[tokio::test]
async fn one_call_takes_outcomes_of_many_kinds_in_order() {
    let shed = super::shed().await;
    shed.add([
        task("completed"),
        task("failed"),
        task("grouped").group("g"),
        task("kept").retention(SECOND),
        task("removed"),
    ])
    .await;
    let runs = shed.claim(&claim()).await.tasks;
    shed.change(Action::Remove, &["removed"]).await;
    let items: Vec<_> = runs
        .iter()
        .map(|run| if run.id.as_str() == "failed" { failed(run) } else { completed(run) })
        .collect();

    let acked = shed.store.ack(&items).await.unwrap();

    assert_eq!(acked, [Acked::Done, Acked::Done, Acked::Done, Acked::Done, Acked::Stale]);
    let left = shed.list(Filter::default(), 10).await;
    assert_eq!(crate::fixture::sorted_ids(&left), ["failed", "kept"]);
    assert!(shed.store.ack(&[]).await.unwrap().is_empty());
}
