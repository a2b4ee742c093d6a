//! The scheduler as a program uses it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use taskshed::domain::draft::RunType;
use taskshed::domain::draft::Task;
use taskshed::domain::id::GroupId;
use taskshed::domain::id::TaskId;
use taskshed::domain::json::Kwargs;
use taskshed::domain::retry::Backoff;
use taskshed::domain::state::TaskState;
use taskshed::domain::time::Moment;
use taskshed::domain::time::Timestamp;
use taskshed::scheduler::Error;
use taskshed::scheduler::Outcome;
use taskshed::scheduler::Selection;
use taskshed::store::Existing;
use taskshed::store::Filter;
use taskshed::store::List;

use super::Shed;

fn task() -> Task {
    Task::new("noop", &json!({})).unwrap()
}

fn id(text: &str) -> TaskId {
    TaskId::parse(text).unwrap()
}

/// Index and field of each fault.
fn faults(error: &Error) -> Vec<(Option<usize>, &str)> {
    match error {
        Error::Invalid { errors } => {
            errors.iter().map(|error| (error.index, error.fault.field.as_str())).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_setter_that_is_given_something_wrong_names_its_field() {
    let shed = Shed::new().await;
    let at = Timestamp::parse("2027-02-01T00:00:00Z").unwrap();
    let second = Duration::from_secs(1);
    let large = Kwargs::parse(&format!("{{\"x\":\"{}\"}}", "y".repeat(1 << 20))).unwrap();
    let labels = BTreeMap::from([("x".to_owned(), "y".repeat(16 << 10))]);

    for (field, wrong) in [
        ("task_id", task().id("")),
        ("task_id", task().id("a\nb")),
        ("task_id", task().id(&"x".repeat(256))),
        ("kwargs", Task::of("noop".parse().unwrap(), large)),
        ("run_in", task().run_at(at).run_in(second)),
        ("run_type", task().run_type(RunType::Recurring)),
        ("run_type", task().run_type(RunType::Once).every(second)),
        ("interval", task().every(Duration::ZERO)),
        ("interval", task().every(Duration::from_micros(999))),
        ("interval", task().every(Duration::MAX)),
        ("cron", task().cron("@daily").every(second)),
        ("cron", task().cron("")),
        ("cron", task().cron("61 * * * *")),
        ("cron", task().cron("0 0 30 2 *")),
        ("cron", task().cron("0 0 1 1 *").run_at(Timestamp::MAX)),
        ("timezone", task().timezone("Europe/Rome")),
        ("timezone", task().cron("@daily").timezone("Europe/Atlantis")),
        ("group_id", task().group("")),
        ("queue", task().queue("a b")),
        ("queue", task().queue(&"x".repeat(65))),
        ("max_attempts", task().max_attempts(0)),
        ("max_attempts", task().max_attempts(1001)),
        ("backoff", task().backoff(Backoff { factor: f64::NAN, ..Backoff::default() })),
        ("backoff", task().backoff(Backoff { jitter: 2.0, ..Backoff::default() })),
        ("backoff", task().backoff(Backoff { cap: Duration::ZERO, ..Backoff::default() })),
        ("timeout", task().timeout(Duration::ZERO)),
        ("expires_in", task().expires_at(at).expires_in(second)),
        ("unique_key", task().unique_key("\u{0}")),
        ("metadata", task().metadata_all(labels)),
        ("paused_at", task().paused_at(at)),
    ] {
        let refused = shed.scheduler.add_all([task(), wrong], Existing::Replace).await.unwrap_err();
        assert_eq!(faults(&refused), [(Some(1), field)], "{refused}");
        assert!(!refused.is_transient());
    }
    assert!(Task::new("", &json!({})).is_err());
    assert!(Task::new("noop", &json!([])).is_err());
    assert_eq!(shed.count().await, 0, "nothing of any batch was stored");
}

#[tokio::test]
async fn a_batch_stays_within_its_bounds() {
    let shed = Shed::new().await;
    let add = |tasks: Vec<Task>| shed.scheduler.add_all(tasks, Existing::Replace);
    let mebibyte = || {
        let text = format!("{{\"x\":\"{}\"}}", "y".repeat((1 << 20) - 20));
        Task::of("noop".parse().unwrap(), Kwargs::parse(&text).unwrap())
    };

    let none = add(Vec::new()).await.unwrap_err();
    assert_eq!(faults(&none), [(None, "tasks")]);
    let many = add((0..1001).map(|_| task()).collect()).await.unwrap_err();
    assert_eq!(faults(&many), [(None, "tasks")]);
    let large = add((0..9).map(|_| mebibyte()).collect()).await.unwrap_err();
    assert_eq!(faults(&large), [(None, "tasks")]);
    let twice = [task().id("a"), task(), task().id("a"), task().id("a")];
    let twice = add(twice.into()).await.unwrap_err();
    assert_eq!(faults(&twice), [(Some(2), "task_id"), (Some(3), "task_id")]);
    assert_eq!(shed.count().await, 0);

    assert_eq!(add((0..7).map(|_| mebibyte()).collect()).await.unwrap().len(), 7);
    let small = shed.scheduler.clone().kwargs_bytes_max(10);
    let refused = small.add(Task::new("noop", &json!({ "longer": 1 })).unwrap()).await;
    assert_eq!(faults(&refused.unwrap_err()), [(Some(0), "kwargs")]);
}

#[tokio::test]
async fn adding_replaces_or_keeps() {
    let shed = Shed::new().await;
    let first = shed.scheduler.add(task().id("t").queue("a")).await.unwrap();
    let kept = shed.scheduler.add_all([task().id("t").queue("b")], Existing::Keep).await.unwrap();
    assert_eq!(shed.scheduler.find(&id("t")).await.unwrap().unwrap().spec.queue.as_str(), "a");
    let replaced = shed.scheduler.add(task().id("t").queue("c")).await.unwrap();
    assert_eq!(shed.scheduler.find(&id("t")).await.unwrap().unwrap().spec.queue.as_str(), "c");

    let outcomes = [first.outcome, kept[0].outcome, replaced.outcome];
    assert_eq!(outcomes, [Outcome::Created, Outcome::Kept, Outcome::Replaced]);
}

/// Guards S2: at most one live task has a unique key.
#[tokio::test]
async fn a_taken_unique_key_answers_with_its_holder() {
    let shed = Shed::new().await;
    let first = shed.scheduler.add(task().unique_key("k")).await.unwrap();

    let second = shed.scheduler.add(task().unique_key("k")).await.unwrap();
    let named = shed.scheduler.add(task().unique_key("k").id("mine")).await.unwrap();

    for added in [second, named] {
        assert_eq!(added.outcome, Outcome::Duplicate);
        assert_eq!(added.task_id, first.task_id);
    }
    assert_eq!(shed.count().await, 1);
}

#[tokio::test]
async fn tasks_are_found_by_id_by_group_and_by_page() {
    let shed = Shed::new().await;
    let group = GroupId::parse("g").unwrap();
    for part in 0..3 {
        let tasks = (0..500).map(|index| task().id(&format!("{part}-{index}")).group("g"));
        shed.scheduler.add_all(tasks, Existing::Replace).await.unwrap();
    }
    shed.scheduler.add(task().id("other")).await.unwrap();

    assert_eq!(shed.scheduler.fetch_group(&group).await.unwrap().len(), 1500);
    let found = shed.scheduler.fetch(&[id("none"), id("other")]).await.unwrap();
    assert!(found[0].is_none());
    assert_eq!(found[1].as_ref().unwrap().id, id("other"));
    let list = List { filter: Filter::default(), limit: 0, cursor: None };
    assert_eq!(faults(&shed.scheduler.list(&list).await.unwrap_err()), [(None, "limit")]);
    assert_eq!(faults(&shed.scheduler.fetch(&[]).await.unwrap_err()), [(None, "task_id")]);
}

#[tokio::test]
async fn tasks_are_changed_by_id_by_group_and_by_filter() {
    let shed = Shed::new().await;
    let (scheduler, group) = (&shed.scheduler, GroupId::parse("g").unwrap());
    for name in ["a", "b", "c"] {
        scheduler.add(task().id(name).group("g")).await.unwrap();
    }
    let may = Timestamp::parse("2027-05-01T00:00:00Z").unwrap();
    let state =
        |name: &'static str| async move { scheduler.find(&id(name)).await.unwrap().unwrap().state };

    assert_eq!(scheduler.pause(&group).await.unwrap().affected, 3);
    assert_eq!(scheduler.resume(id("a")).await.unwrap().affected, 1);
    assert_eq!(scheduler.resume(vec![id("b"), id("c")]).await.unwrap().affected, 2);
    scheduler.reschedule(&group, Moment::At(may)).await.unwrap();
    assert_eq!(scheduler.next_wakeup().await.unwrap(), Some(may));
    scheduler.reschedule_each([(id("a"), may.plus(Duration::from_secs(1)))]).await.unwrap();
    assert_eq!(scheduler.cancel(&id("a")).await.unwrap().affected, 1);
    assert_eq!(state("a").await, TaskState::Cancelled);
    let cancelled = Filter { state: Some(TaskState::Cancelled), ..Filter::default() };
    assert_eq!(scheduler.retry(cancelled).await.unwrap().affected, 1);
    assert_eq!(state("a").await, TaskState::Scheduled);
    assert_eq!(scheduler.remove(Selection::Ids(vec![id("b")])).await.unwrap().affected, 1);
    assert_eq!(scheduler.remove_all().await.unwrap().affected, 2);
    assert_eq!(shed.count().await, 0);
}

#[tokio::test]
async fn a_filter_that_names_nothing_is_refused() {
    let shed = Shed::new().await;
    shed.scheduler.add(task()).await.unwrap();

    let refused = shed.scheduler.remove(Filter::default()).await.unwrap_err();

    assert_eq!(faults(&refused), [(None, "filter")]);
    assert_eq!(shed.count().await, 1);
}

#[tokio::test]
async fn a_message_spells_out_the_first_faults() {
    let shed = Shed::new().await;

    let wrong = (0..7).map(|_| task().queue("a b"));
    let refused = shed.scheduler.add_all(wrong, Existing::Replace).await.unwrap_err().to_string();

    assert!(refused.starts_with("invalid request: [0] queue: contains ' '"), "{refused}");
    assert!(refused.ends_with("; and 2 more"), "{refused}");
}
