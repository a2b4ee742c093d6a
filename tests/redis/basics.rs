//! The path of a task from add to ack, and what is left of it in the server.

use std::time::Duration;

use taskshed::domain::id::TaskId;
use taskshed::domain::json::Json;
use taskshed::domain::lease::Fence;
use taskshed::domain::state::Outcome;
use taskshed::domain::state::TaskState;
use taskshed::store::AckItem;
use taskshed::store::Acked;
use taskshed::store::AddOutcome;
use taskshed::store::Queue;
use taskshed::store::Store;
use taskshed::store::Tasks;

use super::shed::SECOND;
use super::shed::Shed;
use super::shed::ack;
use super::shed::claim;
use super::shed::planned;
use super::shed::task;

#[tokio::test]
async fn a_task_is_added_claimed_and_completed() {
    let shed = Shed::new().await;
    shed.store.prepare().await.unwrap();

    let added =
        shed.add(vec![planned(task("a")), planned(task("b").run_in(SECOND))]).await.unwrap();
    let claimed = shed.claim(10).await.unwrap();
    let acked = shed.finish(&claimed, Outcome::Completed(None)).await.unwrap();
    let again = shed.finish(&claimed, Outcome::Completed(None)).await.unwrap();

    assert_eq!(added, [AddOutcome::Created, AddOutcome::Created]);
    assert_eq!(claimed.tasks.len(), 1);
    assert_eq!(claimed.tasks[0].state, TaskState::Running);
    assert_eq!(claimed.tasks[0].attempt, 1);
    assert!(!claimed.more);
    assert_eq!(claimed.next_run_at, Some(claimed.now.plus(SECOND)));
    assert_eq!(acked, [Acked::Done]);
    assert_eq!(again, [Acked::Stale]);
    assert!(shed.task("a").await.is_none());
    assert_eq!(shed.task("b").await.unwrap().state, TaskState::Scheduled);
}

/// Guards T5: claim, fence and task must fit, or nothing changes.
#[tokio::test]
async fn an_outcome_with_another_fence_or_claim_is_stale() {
    let shed = Shed::new().await;
    shed.add(["a", "b"].map(|id| planned(task(id))).into()).await.unwrap();
    let first = shed.claim(1).await.unwrap();
    let second = shed.claim(1).await.unwrap();

    for outcome in [Outcome::Completed(None), Outcome::Failed("no".into())] {
        let right = ack(&first.tasks[0], outcome, first.now);
        let other = second.tasks[0].lease.clone().unwrap().claim_id;
        let wrong = [
            AckItem { fence: Fence(right.fence.0 + 1), ..right.clone() },
            AckItem { fence: Fence(right.fence.0 - 1), ..right.clone() },
            AckItem { claim: other, ..right.clone() },
            AckItem { task: TaskId::parse("c").unwrap(), ..right.clone() },
        ];
        assert_eq!(shed.store.ack(&wrong).await.unwrap(), [Acked::Stale; 4]);
    }
    assert_eq!(shed.task("a").await.unwrap(), first.tasks[0]);

    let twice = [
        ack(&first.tasks[0], Outcome::Completed(None), first.now),
        ack(&first.tasks[0], Outcome::Released, first.now),
    ];
    let acked = shed.store.ack(&twice).await.unwrap();
    assert_eq!(acked, [Acked::Done, Acked::Stale]);
}

#[tokio::test]
async fn a_claim_that_has_ended_takes_nothing_more() {
    let shed = Shed::new().await;
    let mandate = shed.lead().await;
    shed.add(["a", "b"].map(|id| planned(task(id))).into()).await.unwrap();
    let wish = claim(1);
    let claimed = shed.store.claim(&wish).await.unwrap();
    shed.finish(&claimed, Outcome::Completed(None)).await.unwrap();

    shed.clock.advance(59 * SECOND);
    shed.maintain(&mandate).await;
    assert!(shed.store.claim(&wish).await.unwrap().tasks.is_empty());
    shed.clock.advance(2 * SECOND);
    shed.maintain(&mandate).await;
    assert_eq!(shed.store.claim(&wish).await.unwrap().tasks.len(), 1);
}

/// Guards T10: whatever indexes a task was in, nothing of it is left when it is gone.
#[tokio::test]
async fn a_drained_store_holds_no_leftover_key() {
    let shed = Shed::new().await;
    shed.store.prepare().await.unwrap();
    let tasks = vec![
        planned(task("plain")),
        planned(task("grouped").group("g")),
        planned(task("keyed").unique_key("k").expires_in(60 * SECOND)),
        planned(task("kept").retention(5 * SECOND)),
        planned(task("failing").max_attempts(2)),
        planned(task("elsewhere").queue("mail")),
    ];
    shed.add(tasks).await.unwrap();

    let first = shed.claim(10).await.unwrap();
    let (failing, others): (Vec<_>, Vec<_>) =
        first.tasks.iter().partition(|task| task.id.as_str() == "failing");
    let mut items: Vec<_> =
        others.iter().map(|task| ack(task, Outcome::Completed(None), first.now)).collect();
    items.push(ack(failing[0], Outcome::Failed("no".into()), first.now));
    let acked = shed.store.ack(&items).await.unwrap();
    assert_eq!(acked, [Acked::Done; 5]);

    shed.clock.advance(10 * SECOND);
    let mut wish = claim(10);
    wish.queues = vec!["default".parse().unwrap(), "mail".parse().unwrap()];
    let second = shed.store.claim(&wish).await.unwrap();
    assert_eq!(second.tasks.len(), 2);
    shed.finish(&second, Outcome::Completed(None)).await.unwrap();

    assert_eq!(shed.task("kept").await.unwrap().state, TaskState::Completed);
    let mandate = shed.lead().await;
    shed.maintain(&mandate).await;
    let left = shed.leftovers().await;
    assert!(left.is_empty(), "{left:?}");
    let nothing = shed.store.stats().await.unwrap();
    assert_eq!(nothing.queues.len(), 2);
    assert_eq!(nothing.next_run_at, None);
}

#[tokio::test]
async fn a_result_and_errors_come_back_as_they_were() {
    let shed = Shed::new().await;
    shed.add(vec![planned(task("a").retention(60 * SECOND))]).await.unwrap();

    let claimed = shed.claim(1).await.unwrap();
    shed.finish(&claimed, Outcome::Failed("tab\there \u{1F980}".into())).await.unwrap();
    shed.clock.advance(Duration::from_secs(60));
    let claimed = shed.claim(1).await.unwrap();
    let result = Json::parse(r#"{"l":[],"n":12345678901234567890.10}"#).unwrap();
    shed.finish(&claimed, Outcome::Completed(Some(result.clone()))).await.unwrap();

    let ended = shed.task("a").await.unwrap();
    assert_eq!(ended.state, TaskState::Completed);
    assert_eq!(ended.result, Some(result));
    assert_eq!(ended.attempt, 2);
    assert_eq!(ended.errors[0].message, "tab\there \u{1F980}");
}
