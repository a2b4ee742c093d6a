//! Every outcome against every kind of task.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::domain::id::Callback;
use crate::domain::id::TaskId;
use crate::domain::json::Kwargs;
use crate::domain::schedule::Interval;
use crate::domain::schedule::Schedule;
use crate::domain::task::Spec;

const SECOND: Duration = Duration::from_secs(1);

fn now() -> Timestamp {
    Timestamp::parse("2026-11-24T12:00:00Z").unwrap()
}

/// A running task in its first attempt, planned a second ago.
fn running() -> TaskRecord {
    let spec = Spec::new(Callback::parse("resize").unwrap(), Kwargs::empty());
    let planned_at = now().minus(SECOND);
    TaskRecord {
        id: TaskId::parse("t").unwrap(),
        spec: Arc::new(spec),
        state: TaskState::Running,
        created_at: planned_at,
        run_at: planned_at,
        planned_at,
        expires_at: None,
        paused_at: None,
        parked: false,
        attempt: 1,
        crashes: 0,
        errors: Vec::new(),
        finished_at: None,
        result: None,
        lease: None,
    }
}

fn recurring(every: Duration) -> TaskRecord {
    let mut task = running();
    Arc::make_mut(&mut task.spec).schedule = Schedule::Interval(Interval::new(every).unwrap());
    task
}

fn decided(task: &TaskRecord, outcome: Outcome) -> Verdict {
    let node = NodeName::parse("node-a").unwrap();
    decide(task, outcome, &Deciding { now: now(), jitter: Jitter::NONE, node: &node })
}

fn reclaimed(task: &TaskRecord, crashed: bool) -> Verdict {
    let node = NodeName::parse("node-a").unwrap();
    decide_reclaim(task, crashed, &Deciding { now: now(), jitter: Jitter::NONE, node: &node })
}

fn failed() -> Outcome {
    Outcome::Failed("boom".into())
}

#[test]
fn a_completed_task_ends_with_its_result_and_one_attempt() {
    let result = Json::parse("[1]").unwrap();

    let verdict = decided(&running(), Outcome::Completed(Some(result.clone())));

    let Verdict::End { state, attempt, result: kept, .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!((state, attempt, kept), (TaskState::Completed, 1, Some(result)));
}

#[test]
fn a_failure_is_charged_and_waits_by_the_backoff() {
    let mut task = running();
    task.attempt = 3;

    let Verdict::Again { why, run_at, planned_at, attempt, errors, .. } = decided(&task, failed())
    else {
        panic!("it has attempts left")
    };

    assert_eq!((why, attempt, planned_at), (Again::Retry, 3, task.planned_at));
    assert_eq!(run_at, Moment::In(SECOND * 20));
    assert_eq!((errors[0].message.as_str(), errors[0].attempt), ("boom", 3));
}

/// Guards T7: charged attempts never pass `max_attempts`.
#[test]
fn the_last_attempt_that_fails_leaves_a_dead_task() {
    let mut task = running();
    task.attempt = task.spec.max_attempts;

    let verdict = decided(&task, Outcome::TimedOut(SECOND));

    let Verdict::End { state, attempt, errors, .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!((state, attempt), (TaskState::Dead, task.spec.max_attempts));
    assert_eq!(errors[0].message, "timed out after 1s");
}

#[test]
fn snooze_and_release_are_not_charged_and_keep_the_crashes() {
    let mut task = running();
    task.attempt = 3;
    task.crashes = 2;

    for outcome in [Outcome::Snoozed(SECOND), Outcome::Released] {
        let Verdict::Again { attempt, crashes, planned_at, .. } = decided(&task, outcome) else {
            panic!("neither ends a task")
        };
        assert_eq!((attempt, crashes, planned_at), (2, 2, task.planned_at));
    }
}

#[test]
fn a_released_task_returns_to_the_moment_it_was_due() {
    let task = running();

    let Verdict::Again { run_at, .. } = decided(&task, Outcome::Released) else {
        panic!("a release does not end a task")
    };

    assert_eq!(run_at, Moment::At(task.run_at));
}

#[test]
fn dead_cancelled_and_expired_end_at_once() {
    for (outcome, wanted, charged) in [
        (Outcome::Dead("no".into()), TaskState::Dead, 1),
        (Outcome::Cancelled, TaskState::Cancelled, 0),
        (Outcome::Expired, TaskState::Expired, 0),
    ] {
        let verdict = decided(&running(), outcome);
        let Verdict::End { state, attempt, .. } = verdict else { panic!("{verdict:?}") };
        assert_eq!((state, attempt), (wanted, charged));
    }
}

/// Guards S1: an occurrence is followed by the first planned time after now.
#[test]
fn a_recurring_task_goes_on_after_success_death_and_exhaustion() {
    let mut task = recurring(SECOND * 10);
    task.attempt = task.spec.max_attempts;

    for outcome in [Outcome::Completed(None), Outcome::Dead("no".into()), failed()] {
        let Verdict::Again { why, planned_at, attempt, .. } = decided(&task, outcome) else {
            panic!("an occurrence ends only itself")
        };
        assert_eq!((why, attempt), (Again::Next, 0));
        assert_eq!(planned_at, task.planned_at.plus(SECOND * 10));
    }
}

#[test]
fn neither_retry_nor_snooze_passes_the_next_planned_time() {
    let soon = recurring(SECOND * 3);
    let late = recurring(SECOND * 3600);

    for outcome in [failed(), Outcome::Snoozed(SECOND * 5)] {
        let Verdict::Again { why, run_at, .. } = decided(&soon, outcome.clone()) else {
            panic!("it recurs")
        };
        assert_eq!((why, run_at), (Again::Next, Moment::At(soon.planned_at.plus(SECOND * 3))));

        let Verdict::Again { why, run_at, .. } = decided(&late, outcome) else {
            panic!("it recurs")
        };
        assert_ne!(why, Again::Next);
        assert_eq!(run_at, Moment::In(SECOND * 5));
    }
}

#[test]
fn a_failure_that_the_next_occurrence_replaces_stays_in_the_errors() {
    let Verdict::Again { errors, result, .. } = decided(&recurring(SECOND), failed()) else {
        panic!("it recurs")
    };

    assert_eq!((errors.len(), result), (1, None));
}

#[test]
fn only_the_last_five_errors_stay_and_long_ones_keep_their_end() {
    let mut task = running();
    for attempt in 1..=7 {
        task.attempt = attempt;
        let message = format!("{}ä{attempt}", "x".repeat(ERROR_BYTES_MAX - 1));
        let Verdict::Again { errors, .. } = decided(&task, Outcome::Failed(message)) else {
            panic!("it has attempts left")
        };
        task.errors = errors;
    }

    let attempts: Vec<u32> = task.errors.iter().map(|error| error.attempt).collect();
    assert_eq!(attempts, [3, 4, 5, 6, 7]);
    for error in &task.errors {
        assert!(error.message.len() <= ERROR_BYTES_MAX);
        assert!(error.message.ends_with(&format!("ä{}", error.attempt)));
    }
}

/// Guards T7 and N4: crashes are counted apart from attempts, and end a task only at their limit.
#[test]
fn five_crashes_in_a_row_leave_a_dead_task_and_no_attempt_is_charged() {
    let mut task = recurring(SECOND);
    for crashes in 1..CRASHES_MAX {
        let Verdict::Again { crashes: counted, attempt, planned_at, .. } = reclaimed(&task, true)
        else {
            panic!("{crashes} crashes are not the limit")
        };
        assert_eq!((counted, attempt, planned_at), (crashes, 0, task.planned_at));
        task.crashes = counted;
    }

    let verdict = reclaimed(&task, true);

    let Verdict::End { state, attempt, errors, .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!((state, attempt), (TaskState::Dead, 0));
    assert_eq!(errors[0].message, "its node died 5 times while it ran");
}

#[test]
fn a_lost_reply_is_not_a_crash_and_a_run_that_ends_clears_them() {
    let mut task = running();
    task.crashes = 4;

    let Verdict::Again { crashes, .. } = reclaimed(&task, false) else {
        panic!("a lost reply ends nothing")
    };
    assert_eq!(crashes, 4);
    let Verdict::Again { crashes, .. } = decided(&task, failed()) else {
        panic!("it has attempts left")
    };
    assert_eq!(crashes, 0);
}

proptest! {
    /// Guards S1: no verdict plans a moment twice, or one that is not after the run's own.
    #[test]
    fn the_next_occurrence_is_never_the_present_one(
        every_ms in 1_u64..100_000,
        late_ms in 0_u64..1_000_000,
        coalesce: bool,
        clock_back: bool,
    ) {
        let mut task = recurring(Duration::from_millis(every_ms));
        Arc::make_mut(&mut task.spec).coalesce = coalesce;
        let late = Duration::from_millis(late_ms);
        let at = if clock_back { now().minus(late) } else { now().plus(late) };
        let node = NodeName::parse("node-a").unwrap();
        let deciding = Deciding { now: at, jitter: Jitter::NONE, node: &node };

        let verdict = decide(&task, Outcome::Completed(None), &deciding);

        let Verdict::Again { planned_at, .. } = verdict else { panic!("it recurs") };
        prop_assert!(planned_at > task.planned_at);
        prop_assert!(!coalesce || planned_at > at);
    }
}
