//! What users ask of tasks while they run, and how verdicts yield to it.

use taskshed::domain::draft::Task;
use taskshed::domain::state::Outcome;
use taskshed::domain::state::TaskState;
use taskshed::domain::time::Moment;
use taskshed::store::Acked;
use taskshed::store::Action;
use taskshed::store::AddOutcome;
use taskshed::store::Changed;
use taskshed::store::TaskRecord;

use crate::fixture::SECOND;
use crate::fixture::Shed;
use crate::fixture::claim_id;
use crate::fixture::start;
use crate::requests::claim;
use crate::requests::id;
use crate::requests::task;

fn affected() -> Changed {
    Changed { affected: 1, ..Changed::default() }
}

/// A run of `asked`, of which `action` is asked twice with the same answer.
async fn while_it_runs(shed: &Shed, asked: Task, action: Action) -> TaskRecord {
    let run = shed.running(asked).await;
    assert_eq!(shed.change(action.clone(), &["a"]).await, affected());
    assert_eq!(shed.change(action, &["a"]).await, affected(), "asked again");
    assert_eq!(shed.state("a").await, TaskState::Running);
    run
}

fn once() -> Task {
    task("a").retention(3600 * SECOND)
}

fn recurring() -> Task {
    once().every(100 * SECOND)
}

fn no() -> Outcome {
    Outcome::Failed("no".into())
}

#[tokio::test]
async fn completed_wins_over_cancel() {
    let shed = super::shed().await;
    let run = while_it_runs(&shed, once(), Action::Cancel).await;

    assert_eq!(shed.complete(&run).await, Acked::Done);

    assert_eq!(shed.state("a").await, TaskState::Completed);
}

/// Guards S1: of a recurring task only that run's outcome wins.
#[tokio::test]
async fn no_occurrence_follows_a_cancelled_recurring_task() {
    let shed = super::shed().await;
    let run = while_it_runs(&shed, recurring(), Action::Cancel).await;

    assert_eq!(shed.complete(&run).await, Acked::Done);

    assert_eq!(shed.state("a").await, TaskState::Cancelled);
    shed.clock.advance(1000 * SECOND);
    assert!(shed.claim(&claim()).await.tasks.is_empty());
}

#[tokio::test]
async fn any_other_outcome_yields_to_cancel() {
    let outcomes = [
        no(),
        Outcome::Dead("no".into()),
        Outcome::Snoozed(SECOND),
        Outcome::Released,
        Outcome::Cancelled,
    ];
    for outcome in outcomes {
        for asked in [once(), recurring()] {
            let shed = super::shed().await;
            let run = while_it_runs(&shed, asked, Action::Cancel).await;

            assert_eq!(shed.end(&run, outcome.clone()).await, Acked::Done);

            let ended = shed.task("a").await;
            assert_eq!(ended.state, TaskState::Cancelled, "{outcome:?}");
            assert_eq!(ended.finished_at, Some(start()), "{outcome:?}");
        }
    }
}

/// Guards T8.
#[tokio::test]
async fn a_retry_or_next_occurrence_of_a_paused_run_lands_paused() {
    for (asked, outcome) in [
        (once(), no()),
        (once(), Outcome::Released),
        (once(), Outcome::Snoozed(SECOND)),
        (recurring(), Outcome::Completed(None)),
        (recurring(), Outcome::Dead("no".into())),
    ] {
        let shed = super::shed().await;
        let run = while_it_runs(&shed, asked, Action::Pause).await;
        shed.clock.advance(SECOND);

        shed.end(&run, outcome.clone()).await;

        let landed = shed.task("a").await;
        assert_eq!(landed.state, TaskState::Scheduled, "{outcome:?}");
        assert_eq!(landed.paused_at, Some(start()), "{outcome:?}");
        shed.clock.advance(1000 * SECOND);
        assert!(shed.claim(&claim()).await.tasks.is_empty(), "{outcome:?}");
        shed.change(Action::Resume, &["a"]).await;
        assert_eq!(shed.claim_ids(&claim()).await, ["a"], "{outcome:?}");
    }
}

#[tokio::test]
async fn a_pause_lets_a_run_end() {
    let shed = super::shed().await;
    let run = while_it_runs(&shed, once(), Action::Pause).await;

    shed.complete(&run).await;

    let ended = shed.task("a").await;
    assert_eq!((ended.state, ended.paused_at), (TaskState::Completed, None));
}

#[tokio::test]
async fn a_resume_takes_an_asked_pause_back() {
    let shed = super::shed().await;
    let run = while_it_runs(&shed, once(), Action::Pause).await;
    assert_eq!(shed.change(Action::Resume, &["a"]).await, affected());

    shed.end(&run, Outcome::Released).await;

    assert_eq!(shed.task("a").await.paused_at, None);
    assert_eq!(shed.claim_ids(&claim()).await, ["a"]);
}

/// Guards S1: the asked moment is the one next planned time.
#[tokio::test]
async fn a_rescheduled_recurring_run_is_followed_by_the_asked_moment() {
    for outcome in [Outcome::Completed(None), Outcome::Dead("no".into())] {
        let shed = super::shed().await;
        let moved = start().plus(7 * SECOND);
        let action = Action::Reschedule(Moment::At(moved));
        let run = while_it_runs(&shed, recurring(), action).await;

        shed.end(&run, outcome.clone()).await;

        let next = shed.task("a").await;
        assert_eq!((next.run_at, next.planned_at), (moved, moved), "{outcome:?}");
        shed.clock.advance(7 * SECOND);
        let run = shed.claim(&claim()).await.tasks.remove(0);
        shed.complete(&run).await;
        assert_eq!(shed.task("a").await.run_at, moved.plus(100 * SECOND), "the grid has moved");
    }
}

/// The asked moment waits while the present occurrence is retried, and counts only once.
#[tokio::test]
async fn a_reschedule_of_a_recurring_run_survives_its_retry() {
    let shed = super::shed().await;
    let moved = start().plus(70 * SECOND);
    let action = Action::Reschedule(Moment::At(moved));
    let run = while_it_runs(&shed, recurring(), action).await;

    shed.end(&run, no()).await;
    assert_eq!(shed.task("a").await.run_at, start().plus(5 * SECOND));
    shed.clock.advance(5 * SECOND);
    let run = shed.claim(&claim()).await.tasks.remove(0);
    shed.complete(&run).await;

    assert_eq!(shed.task("a").await.run_at, moved);
}

#[tokio::test]
async fn a_later_reschedule_of_the_waiting_retry_takes_the_place_of_an_earlier_one() {
    let shed = super::shed().await;
    let action = Action::Reschedule(Moment::In(70 * SECOND));
    let run = while_it_runs(&shed, recurring(), action).await;
    shed.end(&run, no()).await;

    shed.change(Action::Reschedule(Moment::At(start())), &["a"]).await;
    let run = shed.claim(&claim()).await.tasks.remove(0);
    shed.complete(&run).await;

    assert_eq!(shed.task("a").await.run_at, start().plus(100 * SECOND));
}

#[tokio::test]
async fn a_running_task_that_runs_once_is_not_rescheduled_and_none_is_retried() {
    let shed = super::shed().await;
    let run = shed.running(once()).await;
    let skipped = vec![(id("a"), TaskState::Running)];

    for action in [Action::Reschedule(Moment::In(SECOND)), Action::Retry] {
        let changed = shed.change(action, &["a"]).await;
        assert_eq!((changed.affected, changed.skipped), (0, skipped.clone()));
    }
    assert_eq!(shed.complete(&run).await, Acked::Done);
}

/// Guards T5 and T8.
#[tokio::test]
async fn a_removed_run_is_gone_and_its_ack_changes_nothing() {
    let shed = super::shed().await;
    let run = shed.running(once().group("g").unique_key("k")).await;

    assert_eq!(shed.change(Action::Remove, &["a"]).await, affected());
    assert!(shed.find("a").await.is_none());
    assert_eq!(shed.queue("default").await.running, 0);
    let freed = shed.add([task("b").unique_key("k")]).await;
    assert_eq!(freed, [AddOutcome::Created]);

    assert_eq!(shed.complete(&run).await, Acked::Stale);
    assert!(shed.find("a").await.is_none());
    assert_eq!(shed.keep(&[claim_id(&run)]).await.lost.len(), 1, "the lease ended with it");
}

/// Guards T5: an ack of the old run with another fence does not let the successor go.
#[tokio::test]
async fn only_the_old_run_itself_lets_its_successor_go() {
    let shed = super::shed().await;
    let run = shed.running(once()).await;
    shed.add([once()]).await;
    let mut wrong = crate::requests::completed(&run);
    wrong.fence.0 += 1;

    assert_eq!(shed.store.ack(&[wrong]).await.unwrap(), [Acked::Stale]);
    assert!(shed.claim(&claim()).await.tasks.is_empty());
    assert_eq!(shed.complete(&run).await, Acked::Stale);
    assert_eq!(shed.claim_ids(&claim()).await, ["a"]);
}

/// What was asked of one run does not touch a task that takes its place.
#[tokio::test]
async fn a_successor_inherits_nothing_that_was_asked() {
    let shed = super::shed().await;
    let run = while_it_runs(&shed, recurring(), Action::Pause).await;
    shed.change(Action::Cancel, &["a"]).await;
    shed.change(Action::Reschedule(Moment::In(5 * SECOND)), &["a"]).await;
    shed.add([recurring()]).await;
    shed.complete(&run).await;

    let second = shed.claim(&claim()).await.tasks.remove(0);
    shed.complete(&second).await;

    let next = shed.task("a").await;
    assert_eq!((next.state, next.paused_at), (TaskState::Scheduled, None));
    assert_eq!(next.run_at, start().plus(100 * SECOND));
}
