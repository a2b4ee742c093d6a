//! Each field wrong in each way, and right.

use serde_json::json;

use super::*;

fn task() -> Task {
    Task::new("resize", &json!({"path": "a.png"})).unwrap()
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// The fields that `task` is refused for.
fn refused(task: Task) -> Vec<String> {
    let faults = task.check(KWARGS_BYTES_MAX).expect_err("it has faults");
    faults.into_iter().map(|fault| fault.field).collect()
}

#[test]
fn a_task_without_more_is_due_at_once_in_the_default_queue() {
    let draft = task().check(KWARGS_BYTES_MAX).unwrap();
    let fresh = TaskId::parse("fresh").unwrap();

    assert!(!draft.needs_now());
    let task = draft.plan(fresh.clone(), Timestamp::EPOCH).unwrap();

    assert_eq!((&task.id, task.id_chosen), (&fresh, false));
    assert_eq!(task.run_at, Moment::In(Duration::ZERO));
    assert_eq!(task.spec.queue.as_str(), "default");
    assert_eq!(task.spec.max_attempts, 20);
    assert!(task.spec.coalesce);
}

#[test]
fn every_field_outside_its_range_is_named() {
    let shrinking = Backoff { factor: 0.5, ..Backoff::default() };
    for (task, field) in [
        (task().id(""), "task_id"),
        (task().id("a\tb"), "task_id"),
        (task().group(&"g".repeat(256)), "group_id"),
        (task().queue("no spaces"), "queue"),
        (task().unique_key(""), "unique_key"),
        (task().every(Duration::ZERO), "interval"),
        (task().cron("* * *"), "cron"),
        (task().cron("@daily").timezone("Mars/Base"), "timezone"),
        (task().timezone("UTC"), "timezone"),
        (task().max_attempts(0), "max_attempts"),
        (task().max_attempts(1001), "max_attempts"),
        (task().backoff(shrinking), "backoff"),
        (task().timeout(Duration::ZERO), "timeout"),
        (task().paused_at(Timestamp::EPOCH), "paused_at"),
        (task().metadata("k", &"v".repeat(METADATA_BYTES_MAX)), "metadata"),
        (task().run_type(RunType::Recurring), "run_type"),
        (task().run_type(RunType::Once).cron("@daily"), "run_type"),
        (task().every(Duration::from_secs(1)).cron("@daily"), "cron"),
        (task().run_in(Duration::ZERO).run_at(Timestamp::EPOCH), "run_in"),
        (task().expires_in(Duration::ZERO).expires_at(Timestamp::EPOCH), "expires_in"),
    ] {
        assert_eq!(refused(task), [field]);
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let faults = refused(task().id("").queue("").max_attempts(0).cron("x"));

    assert_eq!(faults, ["task_id", "queue", "max_attempts", "cron"]);
}

#[test]
fn arguments_that_are_too_long_or_no_object_are_refused() {
    let long = Task::new("resize", &json!({"text": "x".repeat(100)})).unwrap();

    let faults = long.check(64).expect_err("112 bytes are too many");

    assert_eq!(faults[0].field, "kwargs");
    assert!(faults[0].message.contains("at most 64"), "{}", faults[0].message);
    assert_eq!(Task::new("resize", &[1]).unwrap_err().0.field, "kwargs");
    assert_eq!(Task::new("", &json!({})).unwrap_err().0.field, "callback");
}

#[test]
fn a_cron_task_gets_its_first_match_as_planned_time() {
    let fresh = TaskId::parse("fresh").unwrap();
    let draft = task().cron("0 9 * * *").timezone("Europe/Rome").check(KWARGS_BYTES_MAX).unwrap();

    assert!(draft.needs_now());
    let task = draft.plan(fresh, at("2026-11-24T12:00:00Z")).unwrap();

    assert_eq!(task.run_at, Moment::At(at("2026-11-25T08:00:00Z")));
}

#[test]
fn a_cron_task_with_a_moment_needs_no_other_now() {
    let moment = at("2026-12-01T08:00:00Z");
    let draft = task().cron("0 8 * * *").run_at(moment).check(KWARGS_BYTES_MAX).unwrap();

    assert!(!draft.needs_now());
    let planned = draft.plan(TaskId::parse("fresh").unwrap(), Timestamp::EPOCH).unwrap();

    assert_eq!(planned.run_at, Moment::At(moment));
}
