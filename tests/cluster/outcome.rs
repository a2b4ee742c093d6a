//! What becomes of a task, by how its run ended.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use taskshed::TaskError;
use taskshed::clock::Clock;
use taskshed::domain::draft::Task;
use taskshed::domain::json::RESULT_BYTES_MAX;
use taskshed::domain::state::TaskState;
use taskshed::events::Event;
use taskshed::handlers::Context;

use crate::faulty::Fault;
use crate::shed::Answer;
use crate::shed::Live;
use crate::shed::MS;
use crate::shed::Shed;
use crate::shed::deaf;
use crate::shed::fine;
use crate::shed::obedient;
use crate::shed::task;
use crate::shed::tick;

#[tokio::test]
async fn arguments_come_in_and_the_result_is_kept() {
    #[derive(Deserialize)]
    struct Add {
        a: i64,
        b: i64,
    }
    let mut shed = Shed::new();
    let sum = async |_: Context, add: Add| Ok(json!({ "sum": add.a + add.b }));
    let live = Live::start(shed.node("a").handler("sum", sum));
    let two = Task::new("sum", &json!({ "a": 1, "b": 2 })).unwrap();

    let id = shed.add(two.retention(Duration::from_secs(60))).await;

    assert_eq!(shed.ended(&id).await, (TaskState::Completed, None));
    let kept = shed.find(&id).await;
    assert_eq!(kept.result.unwrap().as_str(), r#"{"sum":3}"#);
    assert_eq!((kept.attempt, kept.lease), (1, None));
    assert!(live.drain().await.is_clean());
}

#[tokio::test]
async fn arguments_of_another_shape_make_the_task_dead_at_once() {
    let mut shed = Shed::new();
    let wants = async |_: Context, _: Vec<u8>| Ok(());
    let _live = Live::start(shed.node("a").handler("wants", wants));

    let id = shed.add_due("wants").await;

    let (state, error) = shed.ended(&id).await;
    assert_eq!(state, TaskState::Dead);
    assert!(error.unwrap().starts_with("kwargs do not fit the handler"));
}

#[tokio::test]
async fn a_panic_is_a_failed_attempt_and_harms_nothing_else() {
    let mut shed = Shed::new();
    let panics = async |_: Context, _: Value| -> Answer { panic!("no more {}", "milk") };
    let builder = shed.node("a").concurrency(1).handler("panics", panics).handler("fine", fine);
    let live = Live::start(builder);

    let id = shed.add_due("panics").await;

    let told = (TaskState::Scheduled, Some("panicked: no more milk".into()));
    assert_eq!(shed.ended(&id).await, told);
    assert_eq!(shed.find(&id).await.attempt, 1);
    let other = shed.add_due("fine").await;
    assert_eq!(shed.ended(&other).await.0, TaskState::Completed);
    assert!(live.drain().await.is_clean());
}

#[tokio::test]
async fn a_panic_outside_the_future_is_caught_as_well() {
    struct Drops;
    impl Drop for Drops {
        fn drop(&mut self) {
            panic!("in a drop");
        }
    }
    fn early(_: Context, _: Value) -> std::future::Ready<Answer> {
        panic!("before the future")
    }
    let late = async |_: Context, _: Value| -> Answer {
        let _drops = Drops;
        std::future::pending().await
    };
    let mut shed = Shed::new();
    let builder = shed.node("a").concurrency(1).handler("early", early).handler("late", late);
    let live = Live::start(builder);

    let id = shed.add_due("early").await;
    assert_eq!(shed.ended(&id).await.1.unwrap(), "panicked: before the future");
    let id = shed.add(task("late").max_attempts(1)).await;
    shed.started(&id).await;
    live.handle.stop_now();

    assert_eq!(shed.ended(&id).await.0, TaskState::Scheduled);
    assert!(live.left().await.is_clean());
}

/// Guards T7.
#[tokio::test]
async fn a_failing_task_waits_longer_each_time_and_is_dead_after_its_last_attempt() {
    let (mut shed, clock) = Shed::manual();
    let fails = async |context: Context, _: Value| -> Answer {
        Err(TaskError::retry(format!("attempt {}", context.attempt())))
    };
    let _live = Live::start(shed.node("a").handler("fails", fails));

    let id = shed.add(task("fails").max_attempts(3)).await;

    let mut waits = Vec::new();
    for attempt in 1..=2 {
        let told = (TaskState::Scheduled, Some(format!("attempt {attempt}")));
        assert_eq!(shed.ended(&id).await, told);
        let wait = shed.find(&id).await.run_at.since(clock.wall());
        waits.push(wait.as_secs_f64());
        clock.advance(wait);
    }
    assert_eq!(shed.ended(&id).await, (TaskState::Dead, Some("attempt 3".into())));
    assert!((4.0..=6.0).contains(&waits[0]), "{waits:?}");
    assert!((8.0..=12.0).contains(&waits[1]), "{waits:?}");
    let dead = shed.find(&id).await;
    let messages: Vec<_> = dead.errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(messages, ["attempt 1", "attempt 2", "attempt 3"]);
    assert_eq!((dead.state, dead.attempt), (TaskState::Dead, 3));
}

#[tokio::test]
async fn a_handler_can_give_up_at_once() {
    let mut shed = Shed::new();
    let gives_up = async |_: Context, _: Value| -> Answer { Err(TaskError::dead("hopeless")) };
    let _live = Live::start(shed.node("a").handler("x", gives_up));

    let id = shed.add_due("x").await;

    assert_eq!(shed.ended(&id).await, (TaskState::Dead, Some("hopeless".into())));
}

#[tokio::test]
async fn a_snooze_charges_no_attempt() {
    let (mut shed, clock) = Shed::manual();
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    let snoozes = move |context: Context, _: Value| {
        let is_first = count.fetch_add(1, SeqCst) == 0;
        async move {
            assert_eq!(context.attempt(), 1);
            if is_first { Err(TaskError::snooze(Duration::from_secs(60))) } else { Ok(()) }
        }
    };
    let _live = Live::start(shed.node("a").handler("x", snoozes));

    let id = shed.add(task("x").max_attempts(1)).await;

    assert_eq!(shed.ended(&id).await, (TaskState::Scheduled, None));
    let snoozed = shed.find(&id).await;
    assert_eq!(snoozed.attempt, 0);
    assert_eq!(snoozed.run_at.since(clock.wall()), Duration::from_secs(60));
    clock.advance(Duration::from_secs(60));
    assert_eq!(shed.ended(&id).await, (TaskState::Completed, None));
    assert_eq!(runs.load(SeqCst), 2);
}

#[tokio::test]
async fn a_result_that_is_too_long_makes_the_task_dead() {
    let mut shed = Shed::new();
    let long = async |_: Context, _: Value| Ok("x".repeat(RESULT_BYTES_MAX));
    let _live = Live::start(shed.node("a").handler("long", long));

    let id = shed.add_due("long").await;

    let (state, error) = shed.ended(&id).await;
    assert_eq!(state, TaskState::Dead);
    assert_eq!(error.unwrap(), "the result has 65538 bytes, at most 65536 are kept");
}

#[tokio::test]
async fn a_run_beyond_its_timeout_fails() {
    let (mut shed, clock) = Shed::manual();
    let _live = Live::start(shed.node("a").handler("x", obedient));
    let id = shed.add(task("x").timeout(Duration::from_millis(700))).await;
    shed.started(&id).await;

    let _ticking = tick(clock);

    let told = (TaskState::Scheduled, Some("timed out after 700ms".into()));
    assert_eq!(shed.ended(&id).await, told);
    assert_eq!(shed.find(&id).await.attempt, 1);
}

#[tokio::test]
async fn a_handler_that_ignores_its_timeout_is_aborted_after_a_grace() {
    let mut shed = Shed::new();
    let _live = Live::start(shed.node("a").handler("x", deaf));
    let id = shed.add(task("x").timeout(MS * 100)).await;
    shed.started(&id).await;
    let started = crate::shed::steady();

    let told = (TaskState::Scheduled, Some("timed out after 100ms".into()));
    assert_eq!(shed.ended(&id).await, told);
    let took = crate::shed::steady().saturating_sub(started);
    assert!((MS * 6000..MS * 7500).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_handler_that_completes_after_its_timeout_has_completed() {
    let mut shed = Shed::new();
    let finishes = async |context: Context, _: Value| -> Answer {
        context.stopped().await;
        Ok(Value::Null)
    };
    let _live = Live::start(shed.node("a").handler("x", finishes));

    let id = shed.add(task("x").timeout(MS * 50)).await;

    assert_eq!(shed.ended(&id).await, (TaskState::Completed, None));
}

/// Guards T8: what expired before it was claimed is never run.
#[tokio::test]
async fn a_task_that_was_not_started_in_time_is_never_run() {
    let (mut shed, clock) = Shed::manual();
    let id = shed.add(task("late").expires_in(Duration::from_secs(5))).await;
    clock.advance(Duration::from_secs(5));
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    let counts = move |_: Context, _: Value| {
        count.fetch_add(1, SeqCst);
        std::future::ready(Ok(()))
    };

    let live = Live::start(shed.node("a").handler("late", counts).handler("x", fine));
    let other = shed.add_due("x").await;
    shed.ended(&other).await;

    assert_eq!(shed.find(&id).await.state, TaskState::Expired);
    assert!(live.drain().await.is_clean());
    assert_eq!(runs.load(SeqCst), 0);
}

/// Guards T5, T6: an ack whose reply was lost is repeated, and its outcome counts once.
#[tokio::test]
async fn a_lost_reply_to_an_ack_changes_nothing() {
    let mut shed = Shed::new();
    shed.store.plan("ack", Fault::Reply, 3);
    let live = Live::start(shed.node("a").handler("x", fine));

    let id = shed.add(task("x").retention(Duration::from_secs(60))).await;

    shed.hear(|event| matches!(event, Event::Stale { .. }).then_some(())).await;
    let kept = shed.find(&id).await;
    assert_eq!((kept.state, kept.attempt), (TaskState::Completed, 1));
    assert_eq!(shed.store.calls("ack"), 4);
    assert!(live.drain().await.is_clean());
}

#[tokio::test]
async fn an_ack_that_did_not_arrive_is_repeated_until_it_does() {
    let mut shed = Shed::new();
    shed.store.plan("ack", Fault::Request, 5);
    let live = Live::start(shed.node("a").handler("x", fine));

    let id = shed.add_due("x").await;

    assert_eq!(shed.ended(&id).await, (TaskState::Completed, None));
    assert_eq!(shed.store.calls("ack"), 6);
    assert!(live.drain().await.is_clean());
}
