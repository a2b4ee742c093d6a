//! What holds in every database.

use std::time::Duration;

use taskshed::TaskError;
use taskshed::domain::id::TaskId;
use taskshed::domain::state::TaskState;
use taskshed::events::Event;
use taskshed::handlers::CompleteError;
use taskshed::scheduler::Error;
use taskshed::scheduler::Outcome;
use taskshed::store;
use taskshed::store::Existing;
use taskshed::store::connect;

use super::add_all_in;
use super::add_in;
use super::commit;
use super::complete_in;
use super::complete_in_with;
use super::effect;
use super::place;
use super::rollback;
use crate::shop::Shop;
use crate::shop::task;
use crate::shop::until;

const HOUR: Duration = Duration::from_secs(3600);

fn id(text: &str) -> TaskId {
    TaskId::parse(text).unwrap()
}

fn is_lost(completed: &Result<(), CompleteError>) -> bool {
    matches!(completed, Err(CompleteError::LeaseLost))
}

/// Guards T2: what was rolled back was never added.
#[tokio::test]
async fn a_task_whose_transaction_is_rolled_back_is_not_there() {
    let mut place = place().await;
    let mut tx = place.begin().await;
    effect(&mut tx, "order-1").await;

    let added = add_in(&place.shop.scheduler, &mut tx, task("a").unique_key("k")).await.unwrap();
    assert_eq!((added.task_id, added.outcome), (id("a"), Outcome::Created));
    assert_eq!(place.shop.find("a").await, None, "nobody sees it before the commit");
    rollback(tx).await;

    assert_eq!(place.shop.find("a").await, None);
    assert!(place.effects().await.is_empty());
    let run = place.shop.running(task("b").unique_key("k")).await;
    assert_eq!(run.ctx.task().id, id("b"), "neither the task nor its key is taken");
}

/// Guards T1: what was committed is there, with what was written beside it, and runs.
#[tokio::test]
async fn a_task_whose_transaction_is_committed_runs() {
    let mut place = place().await;
    place.shop.open();
    let mut tx = place.begin().await;
    effect(&mut tx, "order-1").await;

    add_in(&place.shop.scheduler, &mut tx, task("a")).await.unwrap();
    commit(tx).await;

    let run = place.shop.run().await;
    assert_eq!(run.ctx.task().id, id("a"));
    assert_eq!(place.effects().await, ["order-1"]);
    run.end(Ok(()));
    place.shop.ended().await;
    assert_eq!(place.shop.state("a").await, Some(TaskState::Completed));
    let queues = place.shop.scheduler.stats().await.unwrap().queues;
    assert_eq!(queues[0].queue.as_str(), "default");
}

/// Guards S2: an add in a transaction meets what is there as any other does.
#[tokio::test]
async fn what_is_there_is_replaced_kept_or_named() {
    let place = place().await;
    let scheduler = &place.shop.scheduler;
    scheduler.add(task("old").unique_key("k")).await.unwrap();
    scheduler.add(task("other").priority(taskshed::domain::task::Priority::Low)).await.unwrap();
    let mut tx = place.begin().await;

    let duplicate = add_in(scheduler, &mut tx, task("new").unique_key("k")).await.unwrap();
    let kept = [task("fresh"), task("other")];
    let kept = add_all_in(scheduler, &mut tx, kept, Existing::Keep).await.unwrap();
    let replaced = add_in(scheduler, &mut tx, task("other").retention(2 * HOUR)).await.unwrap();
    let again = add_in(scheduler, &mut tx, task("fresh").group("g")).await.unwrap();
    commit(tx).await;

    assert_eq!((duplicate.task_id, duplicate.outcome), (id("old"), Outcome::Duplicate));
    assert_eq!(kept[0].outcome, Outcome::Created);
    assert_eq!(kept[1].outcome, Outcome::Kept);
    assert_eq!((replaced.outcome, again.outcome), (Outcome::Replaced, Outcome::Replaced));
    assert_eq!(place.shop.find("new").await, None);
    assert_eq!(place.shop.find("other").await.unwrap().spec.retention, 2 * HOUR);
    assert!(place.shop.find("fresh").await.unwrap().spec.group_id.is_some());
}

/// Guards T3: a task that replaces a running one waits until that has let go, also if the running one
/// was removed before.
#[tokio::test]
async fn a_new_task_waits_for_the_run_that_it_replaces() {
    let mut place = place().await;
    for (name, is_removed) in [("a", false), ("b", true)] {
        let old = place.shop.running(task(name)).await;
        if is_removed {
            place.shop.scheduler.remove(&[id(name)][..]).await.unwrap();
        }
        let mut tx = place.begin().await;
        let added = add_in(&place.shop.scheduler, &mut tx, task(name)).await.unwrap();
        commit(tx).await;

        let outcome = if is_removed { Outcome::Created } else { Outcome::Replaced };
        assert_eq!(added.outcome, outcome);
        assert_eq!(place.shop.state(name).await, Some(TaskState::Scheduled));
        let held = place.shop.scheduler.stats().await.unwrap().queues[0].held;
        assert_eq!(held, 1, "{name} stands in no lane");

        old.end(Ok(()));
        let new = place.shop.run().await;
        assert_eq!(new.ctx.task().id, id(name));
        new.end(Ok(()));
    }
}

/// A step that fails undoes its own part alone.
#[tokio::test]
async fn a_step_that_fails_leaves_the_rest_of_the_transaction() {
    let place = place().await;
    place.refuse("bad").await;
    let scheduler = &place.shop.scheduler;
    let mut tx = place.begin().await;
    effect(&mut tx, "order-1").await;

    let tasks = [task("good").unique_key("k"), task("bad")];
    let failed = add_all_in(scheduler, &mut tx, tasks, Existing::Replace).await;
    assert!(matches!(failed, Err(Error::Store(_))), "{failed:?}");
    let invalid = add_in(scheduler, &mut tx, task("x").max_attempts(0)).await;
    assert!(matches!(invalid, Err(Error::Invalid { .. })), "{invalid:?}");
    let after = add_in(scheduler, &mut tx, task("after").unique_key("k")).await.unwrap();
    commit(tx).await;

    assert_eq!(after.outcome, Outcome::Created, "the key is free");
    assert_eq!(place.effects().await, ["order-1"]);
    assert_eq!(place.shop.find("good").await, None);
    assert_eq!(place.shop.state("after").await, Some(TaskState::Scheduled));
}

/// Guards T6 and T10: effect, outcome and result are there by one commit, and the lease ends.
#[tokio::test]
async fn an_effect_and_its_outcome_are_committed_together() {
    let mut place = place().await;
    let run = place.shop.running(task("a")).await;
    let mut tx = place.begin().await;
    effect(&mut tx, "mailed").await;

    complete_in_with(&run.ctx, &mut tx, "sent").await.unwrap();
    assert_eq!(place.shop.state("a").await, Some(TaskState::Running), "before the commit");
    commit(tx).await;

    assert_eq!(place.shop.state("a").await, Some(TaskState::Completed), "before it returns");
    run.end(Ok(()));
    let told = place.shop.ended().await;
    let is_completed =
        matches!(&told, Event::Ended { state: TaskState::Completed, error: None, .. });
    assert!(is_completed, "{told:?}");
    let done = place.shop.find("a").await.unwrap();
    assert_eq!((done.attempt, done.errors.len()), (1, 0));
    assert_eq!(done.result.unwrap().as_str(), r#""sent""#);
    assert_eq!(place.effects().await, ["mailed"]);
    assert_eq!(place.shop.lease_count().await, 0);
}

/// Guards T6: a handler whose transaction was rolled back has not completed, whatever it returns.
#[tokio::test]
async fn a_completion_that_is_rolled_back_is_a_failed_attempt() {
    let mut place = place().await;
    let run = place.shop.running(task("a")).await;
    let mut tx = place.begin().await;
    effect(&mut tx, "mailed").await;
    complete_in(&run.ctx, &mut tx).await.unwrap();
    rollback(tx).await;
    assert_eq!(place.shop.state("a").await, Some(TaskState::Running));

    run.end(Ok(()));
    let again = place.shop.run().await;
    let mut tx = place.begin().await;
    complete_in(&again.ctx, &mut tx).await.unwrap();
    rollback(tx).await;
    again.end(Err(TaskError::dead("the commit was refused")));
    place.shop.ended().await;
    place.shop.ended().await;

    let task = place.shop.find("a").await.unwrap();
    let told: Vec<&str> = task.errors.iter().map(|error| error.message.as_str()).collect();
    let rolled_back = "the transaction in which the run completed was rolled back";
    assert_eq!(told, [rolled_back, "the commit was refused"]);
    assert_eq!((task.state, task.attempt), (TaskState::Dead, 2));
    assert!(place.effects().await.is_empty());
    assert_eq!(place.shop.lease_count().await, 0);
}

/// Guards T5: a run that lost its lease cannot complete, and nothing of it stays.
#[tokio::test]
async fn a_lost_lease_makes_a_completion_fail() {
    let mut place = place().await;
    let lost = place.shop.running(task("a")).await;
    assert_eq!(place.shop.reclaim(&lost).await, 1);

    let mut tx = place.begin().await;
    effect(&mut tx, "of the lost run").await;
    let completed = complete_in(&lost.ctx, &mut tx).await;
    assert!(is_lost(&completed), "{completed:?}");
    rollback(tx).await;
    assert!(place.effects().await.is_empty());
    lost.end(Err(TaskError::retry("lost")));
    let told = place.shop.ended().await;
    assert!(matches!(told, Event::Stale { .. }), "{told:?}");

    let run = place.shop.run().await;
    let mut tx = place.begin().await;
    effect(&mut tx, "of the next run").await;
    complete_in(&run.ctx, &mut tx).await.unwrap();
    commit(tx).await;
    run.end(Ok(()));
    place.shop.ended().await;
    assert_eq!(place.effects().await, ["of the next run"]);
    assert_eq!(place.shop.state("a").await, Some(TaskState::Completed));
}

/// Guards T5 and T6: a claim that holds another run of the same task is not mixed up with the lost
/// one, and a run completes once.
#[tokio::test]
async fn a_run_completes_once_and_for_its_own_claim_alone() {
    let mut place = place().await;
    let lost = place.shop.running(task("a")).await;
    place.shop.reclaim(&lost).await;
    let run = place.shop.run().await;

    let mut tx = place.begin().await;
    let of_lost = complete_in(&lost.ctx, &mut tx).await;
    complete_in(&run.ctx, &mut tx).await.unwrap();
    let twice = complete_in(&run.ctx, &mut tx).await;
    rollback(tx).await;

    assert!(is_lost(&of_lost) && is_lost(&twice), "{of_lost:?} {twice:?}");
    let mut tx = place.begin().await;
    complete_in(&run.ctx, &mut tx).await.unwrap();
    commit(tx).await;
    let mut tx = place.begin().await;
    let after = complete_in(&run.ctx, &mut tx).await;
    rollback(tx).await;
    assert!(is_lost(&after), "{after:?}");
}

/// Guards T5: the run of a task that was replaced or removed meanwhile cannot complete.
#[tokio::test]
async fn a_superseded_run_cannot_complete() {
    let mut place = place().await;
    let replaced = place.shop.running(task("a")).await;
    place.shop.scheduler.add(task("a")).await.unwrap();
    place.shop.scheduler.add(task("b")).await.unwrap();
    let removed = place.shop.run().await;
    place.shop.scheduler.remove(&[id("b")][..]).await.unwrap();

    for run in [replaced, removed] {
        let mut tx = place.begin().await;
        let completed = complete_in(&run.ctx, &mut tx).await;
        commit(tx).await;
        assert!(is_lost(&completed), "{completed:?}");
        run.end(Ok(()));
    }

    let next = place.shop.run().await;
    assert_eq!(next.ctx.task().id, id("a"), "the successor runs when the old run has let go");
}

/// Guards S1: the next planned time of a recurring task is there by the same commit.
#[tokio::test]
async fn a_recurring_task_has_its_next_planned_time_by_the_commit() {
    let mut place = place().await;
    let run = place.shop.running(task("a").every(HOUR).group("g")).await;
    let planned_at = run.ctx.task().planned_at;

    let mut tx = place.begin().await;
    complete_in(&run.ctx, &mut tx).await.unwrap();
    rollback(tx).await;
    assert_eq!(place.shop.find("a").await.unwrap().planned_at, planned_at);
    let mut tx = place.begin().await;
    complete_in_with(&run.ctx, &mut tx, "one").await.unwrap();
    commit(tx).await;

    let task = place.shop.find("a").await.unwrap();
    assert_eq!((task.state, task.attempt), (TaskState::Scheduled, 0));
    assert_eq!(task.planned_at, planned_at.plus(HOUR));
    assert_eq!(task.result.unwrap().as_str(), r#""one""#);
    run.end(Ok(()));
    let told = place.shop.ended().await;
    let goes_on = matches!(&told, Event::Ended { state: TaskState::Scheduled, error: None, .. });
    assert!(goes_on, "{told:?}");
    assert_eq!(place.shop.find("a").await.unwrap().planned_at, planned_at.plus(HOUR));
}

/// Completed wins over a cancel that came while it ran, and an unique key is free afterwards.
#[tokio::test]
async fn a_completion_yields_to_what_was_asked_as_any_other_does() {
    let mut place = place().await;
    let run = place.shop.running(task("a").unique_key("k")).await;
    place.shop.scheduler.cancel(&[id("a")][..]).await.unwrap();

    let mut tx = place.begin().await;
    complete_in(&run.ctx, &mut tx).await.unwrap();
    let next = add_in(&place.shop.scheduler, &mut tx, task("b").unique_key("k")).await.unwrap();
    commit(tx).await;
    run.end(Ok(()));
    place.shop.ended().await;

    assert_eq!(place.shop.state("a").await, Some(TaskState::Completed));
    assert_eq!(next.outcome, Outcome::Created);
    assert_eq!(place.shop.run().await.ctx.task().id, id("b"));
}

/// A result that cannot be kept is refused before anything is written.
#[tokio::test]
async fn a_result_that_is_too_long_completes_nothing() {
    let mut place = place().await;
    let run = place.shop.running(task("a")).await;
    let mut tx = place.begin().await;

    let refused = complete_in_with(&run.ctx, &mut tx, &"x".repeat(70_000)).await;
    commit(tx).await;

    let refused = refused.unwrap_err();
    assert!(matches!(refused, CompleteError::Result { .. }), "{refused}");
    assert_eq!(refused.to_string(), "the result has 70002 bytes, at most 65536 are kept");
    assert_eq!(place.shop.state("a").await, Some(TaskState::Running));
}

/// A store elsewhere says where its tasks are, and what to do instead.
#[tokio::test]
async fn a_store_elsewhere_is_refused_with_a_remedy() {
    let place = place().await;
    let memory = Shop::new(connect::open("memory:", store::Options::default()).unwrap());
    let mut tx = place.begin().await;
    effect(&mut tx, "order-1").await;

    let refused = add_in(&memory.scheduler, &mut tx, task("a")).await.unwrap_err();
    commit(tx).await;

    let text = refused.to_string();
    assert!(matches!(refused, Error::Store(store::Error::Foreign { .. })), "{text}");
    assert!(text.contains("tasks are kept in memory; keep tasks in the database of"), "{text}");
    assert_eq!(place.effects().await, ["order-1"]);
}

/// Many tasks at once, more than fit into one statement.
#[tokio::test]
async fn a_large_batch_is_added_as_a_whole() {
    let place = place().await;
    let filler = "x".repeat(600_000);
    let large = |n: usize| {
        let args = serde_json::json!({ "filler": filler });
        taskshed::Task::new("mail", &args).unwrap().id(&format!("t{n}"))
    };
    let mut tx = place.begin().await;

    let tasks = [0, 1, 2, 3, 4, 5, 6].map(large);
    let added = add_all_in(&place.shop.scheduler, &mut tx, tasks, Existing::Replace).await.unwrap();
    commit(tx).await;

    assert_eq!(added.len(), 7);
    let shop = &place.shop;
    until("all are there", async || {
        let ids: Vec<_> = added.iter().map(|added| added.task_id.clone()).collect();
        shop.scheduler.fetch(&ids).await.unwrap().iter().all(Option::is_some)
    })
    .await;
}
