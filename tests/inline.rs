//! Tasks that run inside a test: the promises of `taskshed::testing`.

#![expect(clippy::unwrap_used, reason = "tests may")]

use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use taskshed::Context;
use taskshed::Task;
use taskshed::TaskError;
use taskshed::domain::id::TaskId;
use taskshed::domain::json::RESULT_BYTES_MAX;
use taskshed::domain::state::Outcome;
use taskshed::domain::state::TaskState;
use taskshed::domain::task::Priority;
use taskshed::domain::task::TaskRecord;
use taskshed::testing::Inline;
use taskshed::testing::RUNS_MAX;

const MINUTE: Duration = Duration::from_secs(60);

async fn noop(_ctx: Context, _args: Value) -> Result<(), TaskError> {
    Ok(())
}

fn task(id: &str) -> Task {
    Task::new("noop", &json!({})).unwrap().id(id)
}

async fn found(shed: &Inline, id: &str) -> Option<TaskRecord> {
    shed.scheduler().find(&TaskId::parse(id).unwrap()).await.unwrap()
}

#[tokio::test]
async fn tasks_run_in_the_order_in_which_a_node_would_claim_them() {
    let shed = Inline::new().handler("noop", noop).unwrap();
    let scheduler = shed.scheduler();
    scheduler.add(task("low").priority(Priority::Low)).await.unwrap();
    scheduler.add(task("late").run_in(MINUTE / 2)).await.unwrap();
    scheduler.add(task("early")).await.unwrap();
    scheduler.add(task("critical").priority(Priority::Critical)).await.unwrap();
    scheduler.add(task("tomorrow").run_in(MINUTE * 1440)).await.unwrap();

    shed.clock().advance(MINUTE);
    let ran = shed.run_due().await.unwrap();

    let order: Vec<_> = ran.iter().map(|ran| ran.task.id.as_str()).collect();
    assert_eq!(order, ["critical", "early", "late", "low"]);
    assert!(ran.iter().all(|ran| ran.outcome == Outcome::Completed(None)));
    assert!(found(&shed, "early").await.is_none());
    assert!(found(&shed, "tomorrow").await.is_some());
}

/// Guards T8: no run starts before its time.
#[tokio::test]
async fn advancing_runs_each_task_at_its_own_moment() {
    let shed = Inline::new().handler("noop", noop).unwrap();
    for seconds in [30, 10, 20] {
        let task = task(&format!("t{seconds}")).run_in(Duration::from_secs(seconds));
        shed.scheduler().add(task).await.unwrap();
    }

    let start = shed.scheduler().stats().await.unwrap().now;
    let ran = shed.advance(Duration::from_secs(25)).await.unwrap();

    let order: Vec<_> = ran.iter().map(|ran| ran.task.id.as_str()).collect();
    assert_eq!(order, ["t10", "t20"]);
    assert!(ran.iter().all(|ran| ran.task.lease.is_some()));
    let now = shed.scheduler().stats().await.unwrap().now;
    assert_eq!(now.since(start), Duration::from_secs(25));
    assert_eq!(shed.advance(Duration::from_secs(5)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_panic_is_a_failed_attempt_and_costs_nothing_else() {
    async fn fragile(_ctx: Context, args: Value) -> Result<(), TaskError> {
        assert!(args["good"].as_bool() == Some(true), "it is broken");
        Ok(())
    }
    let shed = Inline::new().handler("fragile", fragile).unwrap();
    let bad = Task::new("fragile", &json!({})).unwrap().id("bad").max_attempts(1);
    let good = Task::new("fragile", &json!({ "good": true })).unwrap().id("good");
    shed.scheduler().add(bad).await.unwrap();
    shed.scheduler().add(good).await.unwrap();

    let ran = shed.run_due().await.unwrap();

    assert_eq!(ran[0].outcome, Outcome::Failed("panicked: it is broken".into()));
    assert_eq!(ran[1].outcome, Outcome::Completed(None));
    let bad = found(&shed, "bad").await.unwrap();
    assert_eq!(bad.state, TaskState::Dead);
    assert_eq!(bad.errors[0].message, "panicked: it is broken");
}

#[tokio::test]
async fn a_task_without_a_handler_waits_for_one() {
    let shed = Inline::new().handler("noop", noop).unwrap();
    shed.scheduler().add(Task::new("other", &json!({})).unwrap().id("other")).await.unwrap();
    shed.scheduler().add(task("mine")).await.unwrap();

    let ran = shed.advance(MINUTE).await.unwrap();

    assert_eq!(ran.len(), 1);
    let other = found(&shed, "other").await.unwrap();
    assert_eq!(other.state, TaskState::Scheduled);
    assert!(other.parked);
}

#[tokio::test]
async fn arguments_that_do_not_fit_and_results_that_are_too_long_are_dead() {
    async fn long(_ctx: Context, length: Length) -> Result<String, TaskError> {
        Ok("x".repeat(length.length))
    }
    #[derive(serde::Deserialize)]
    struct Length {
        length: usize,
    }
    let shed = Inline::new().handler("long", long).unwrap();
    let add = async |args: Value| {
        shed.scheduler().add(Task::new("long", &args).unwrap()).await.unwrap();
        shed.run_due().await.unwrap().remove(0).outcome
    };

    let unfit = add(json!({ "width": 1 })).await;
    let large = add(json!({ "length": RESULT_BYTES_MAX })).await;
    let fits = add(json!({ "length": RESULT_BYTES_MAX - 2 })).await;

    let told = |outcome: &Outcome, text: &str| match outcome {
        Outcome::Dead(message) => message.contains(text),
        _ => false,
    };
    assert!(told(&unfit, "missing field `length`"), "{unfit:?}");
    assert!(told(&large, "65538 bytes"), "{large:?}");
    assert!(matches!(fits, Outcome::Completed(Some(_))));
}

#[tokio::test]
async fn a_task_that_is_always_due_does_not_run_for_ever() {
    async fn restless(_ctx: Context, _args: Value) -> Result<(), TaskError> {
        Err(TaskError::snooze(Duration::ZERO))
    }
    let shed = Inline::new().handler("restless", restless).unwrap();
    shed.scheduler().add(Task::new("restless", &json!({})).unwrap()).await.unwrap();

    assert_eq!(shed.run_due().await.unwrap().len(), RUNS_MAX);
}

#[tokio::test]
async fn what_expired_is_not_run() {
    let shed = Inline::new().handler("noop", noop).unwrap();
    shed.scheduler().add(task("t").run_in(MINUTE).expires_in(MINUTE * 2)).await.unwrap();

    shed.clock().advance(MINUTE * 3);
    let ran = shed.run_due().await.unwrap();

    assert!(ran.is_empty());
    assert_eq!(found(&shed, "t").await.unwrap().state, TaskState::Expired);
}

#[tokio::test]
async fn every_queue_is_served_and_ids_do_not_repeat() {
    let shed = Inline::new().handler("noop", noop).unwrap();
    for queue in ["a", "b", "default"] {
        shed.scheduler().add(Task::new("noop", &json!({})).unwrap().queue(queue)).await.unwrap();
    }

    let ran = shed.run_due().await.unwrap();

    let ids: std::collections::BTreeSet<_> = ran.iter().map(|ran| ran.task.id.clone()).collect();
    assert_eq!(ids.len(), 3);
}
