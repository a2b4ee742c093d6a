//! Tasks move from one store to another.

use std::collections::BTreeMap;

use taskshed::domain::arrival::Arrival;
use taskshed::domain::draft::Task;
use taskshed::domain::id::GroupId;
use taskshed::domain::id::RequestId;
use taskshed::domain::json::Json;
use taskshed::domain::state::Outcome;
use taskshed::domain::state::TaskState;
use taskshed::domain::task::Priority;
use taskshed::store::Acked;
use taskshed::store::Action;
use taskshed::store::Filter;
use taskshed::store::List;
use taskshed::store::Restore;
use taskshed::store::RestoreOutcome;
use taskshed::store::RestoreOutcome::Created;
use taskshed::store::RestoreOutcome::Kept;
use taskshed::store::TaskRecord;

use crate::fixture::SECOND;
use crate::fixture::Shed;
use crate::fixture::claim_id;
use crate::fixture::ids;
use crate::fixture::start;
use crate::requests::claim;
use crate::requests::id;
use crate::requests::of;
use crate::requests::roomy;
use crate::requests::task;
use crate::requests::unique;

/// What would be moved, by id.
async fn leaving(shed: &Shed) -> BTreeMap<String, Arrival> {
    let list = List { filter: Filter::default(), limit: 1000, cursor: None };
    let page = shed.store.list(&list).await.unwrap();
    assert_eq!(page.tasks.len(), page.unseen.len(), "one for one");
    let arrivals = page.tasks.into_iter().zip(page.unseen);
    arrivals.map(|(task, unseen)| (task.id.to_string(), Arrival::of(task, unseen))).collect()
}

fn restore(tasks: impl IntoIterator<Item = Arrival>) -> Restore {
    let request = RequestId::parse(&unique("r")).unwrap();
    Restore { request, tasks: tasks.into_iter().collect() }
}

async fn put(shed: &Shed, tasks: impl IntoIterator<Item = Arrival>) -> Vec<RestoreOutcome> {
    shed.store.restore(&restore(tasks)).await.unwrap().outcomes
}

/// All tasks of a store in a fresh one, a second later.
async fn moved(from: &Shed) -> Shed {
    let to = super::shed().await;
    to.clock.set_wall(from.now().await.plus(SECOND));
    let leaving = leaving(from).await;
    let count = leaving.len();
    assert_eq!(put(&to, leaving.into_values()).await, vec![Created; count]);
    to
}

#[tokio::test]
async fn every_field_of_a_waiting_task_is_kept() {
    let from = super::shed().await;
    let every = task("every")
        .every(60 * SECOND)
        .group("g")
        .unique_key("k")
        .queue("mail")
        .priority(Priority::High)
        .metadata("trace", "ü\u{1F980}")
        .expires_in(90 * SECOND);
    let odd = Task::new("noop", &Json::parse(r#"{"f":1.50,"n":-0.0,"l":[],"o":{}}"#).unwrap());
    from.add([every, odd.unwrap().id("odd"), task("paused").paused()]).await;
    from.clock.advance(10 * SECOND);

    let to = moved(&from).await;

    for name in ["every", "odd", "paused"] {
        assert_eq!(to.task(name).await, from.task(name).await, "{name}");
    }
    assert_eq!(to.task("odd").await.spec.kwargs.as_str(), r#"{"f":1.50,"n":-0.0,"l":[],"o":{}}"#);
    assert_eq!(to.queue("mail").await, from.queue("mail").await);
    assert_eq!(to.queue("default").await, from.queue("default").await);
    let group = Filter { group: Some(GroupId::parse("g").unwrap()), ..Filter::default() };
    assert_eq!(to.list(group, 10).await.len(), 1);
    assert_eq!(to.claim_ids(&claim()).await, ["odd"], "of the default queue, and not paused");
}

#[tokio::test]
async fn attempts_errors_crashes_and_results_are_kept() {
    let from = super::shed().await;
    from.add([task("suspect")]).await;
    from.crash(2).await;
    from.add([task("failed"), task("recurring").every(60 * SECOND)]).await;
    for run in from.claim(&claim()).await.tasks {
        let outcome = match run.id.as_str() {
            "failed" => Outcome::Failed("no".into()),
            _ => Outcome::Completed(Some(Json::parse("[1.0]").unwrap())),
        };
        assert_eq!(from.end(&run, outcome).await, Acked::Done);
    }

    let to = moved(&from).await;

    for name in ["suspect", "failed", "recurring"] {
        assert_eq!(to.task(name).await, from.task(name).await, "{name}");
    }
    assert_eq!(to.task("failed").await.errors.len(), 1);
    assert!(to.claim(&claim()).await.tasks.is_empty(), "a suspect needs room");
    assert_eq!(to.claim_ids(&roomy()).await, ["suspect"]);
    to.clock.advance(60 * SECOND);
    let again = to.claim(&claim()).await.tasks;
    assert_eq!(again.iter().map(|task| task.attempt).collect::<Vec<_>>(), [2, 1]);
}

/// Its run is lost to the other store; nothing is charged for it.
#[tokio::test]
async fn a_running_task_arrives_as_due() {
    let from = super::shed().await;
    let run = from.running(task("a").unique_key("k")).await;

    let to = moved(&from).await;

    let arrived = to.task("a").await;
    assert_eq!((arrived.state, arrived.attempt), (TaskState::Scheduled, 0));
    assert_eq!((arrived.run_at, arrived.planned_at), (run.run_at, run.planned_at));
    let again = to.claim(&claim()).await.tasks.remove(0);
    assert_eq!(again.attempt, 1);
    assert!(again.lease.unwrap().fence > run.lease.unwrap().fence);
}

/// Guards T8: what was acknowledged on the one store holds on the other.
#[tokio::test]
async fn what_was_asked_of_a_running_task_is_done_where_it_arrives() {
    let from = super::shed().await;
    let every = |name: &str| task(name).every(60 * SECOND);
    from.add([every("cancel"), every("pause"), every("reschedule")]).await;
    from.claim(&claim()).await;
    let at = start().plus(100 * SECOND);
    from.change(Action::Cancel, &["cancel"]).await;
    from.change(Action::Pause, &["pause"]).await;
    from.change(Action::RescheduleEach(vec![at]), &["reschedule"]).await;

    let to = moved(&from).await;

    let cancelled = to.task("cancel").await;
    assert_eq!(
        (cancelled.state, cancelled.finished_at),
        (TaskState::Cancelled, Some(to.now().await))
    );
    assert_eq!(to.task("pause").await.paused_at, Some(start()));
    let run = to.claim(&claim()).await.tasks.remove(0);
    assert_eq!(run.id.as_str(), "reschedule");
    to.complete(&run).await;
    assert_eq!(to.task("reschedule").await.planned_at, at);
}

/// A planned time that was asked for outlasts a retry, and a move.
#[tokio::test]
async fn a_planned_time_that_waits_for_the_next_occurrence_is_kept() {
    let from = super::shed().await;
    let run = from.running(task("a").every(600 * SECOND)).await;
    let at = start().plus(100 * SECOND);
    from.change(Action::RescheduleEach(vec![at]), &["a"]).await;
    from.end(&run, Outcome::Failed("no".into())).await;

    let to = moved(&from).await;
    to.clock.advance(30 * SECOND);

    let retry = to.claim(&claim()).await.tasks.remove(0);
    assert_eq!(retry.attempt, 2);
    to.complete(&retry).await;
    assert_eq!(to.task("a").await.planned_at, at);
}

/// Guards T7: only what was never claimed expires.
#[tokio::test]
async fn a_task_expires_only_if_it_was_never_claimed() {
    let from = super::shed().await;
    from.add([task("snoozed").expires_in(60 * SECOND)]).await;
    let snoozed = from.claim(&claim()).await.tasks.remove(0);
    from.end(&snoozed, Outcome::Snoozed(5 * SECOND)).await;
    from.add([task("running").expires_in(60 * SECOND)]).await;
    from.claim(&claim()).await;
    from.add([task("fresh").expires_in(60 * SECOND)]).await;

    let to = moved(&from).await;
    to.clock.advance(61 * SECOND);
    let expired = to.maintain().await.expired;

    assert_eq!(expired, 1);
    assert_eq!(to.state("fresh").await, TaskState::Expired);
    let mut claimed = to.claim_ids(&claim()).await;
    claimed.sort();
    assert_eq!(claimed, ["running", "snoozed"]);
}

#[tokio::test]
async fn an_ended_task_is_kept_for_what_is_left_of_its_time() {
    let from = super::shed().await;
    let kept = |name: &str| task(name).retention(60 * SECOND);
    from.add([kept("completed"), task("dead"), kept("cancelled").run_in(SECOND)]).await;
    for run in from.claim(&claim()).await.tasks {
        let outcome = match run.id.as_str() {
            "dead" => Outcome::Dead("no".into()),
            _ => Outcome::Completed(Some(Json::parse(r#"{"a":[]}"#).unwrap())),
        };
        from.end(&run, outcome).await;
    }
    from.change(Action::Cancel, &["cancelled"]).await;
    from.clock.advance(40 * SECOND);

    let to = moved(&from).await;

    for name in ["completed", "dead", "cancelled"] {
        assert_eq!(to.task(name).await, from.task(name).await, "{name}");
    }
    assert_eq!(to.queue("default").await, from.queue("default").await);
    assert_eq!(to.maintain().await.pruned, 0);
    to.clock.advance(19 * SECOND);
    assert_eq!(to.maintain().await.pruned, 1);
    assert!(to.find("completed").await.is_none());
    assert_eq!(to.change(Action::Retry, &["dead", "cancelled"]).await.affected, 2);
    assert_eq!(to.claim(&claim()).await.tasks.len(), 2);
}

#[tokio::test]
async fn what_is_there_is_kept_as_it_is() {
    let from = super::shed().await;
    from.add([task("a").group("from"), task("b")]).await;
    let leaving = leaving(&from).await;
    let to = super::shed().await;
    to.add([task("a").group("to")]).await;

    let all = || leaving.values().cloned();
    assert_eq!(put(&to, all()).await, [Kept, Created]);
    assert_eq!(put(&to, all()).await, [Kept, Kept], "a second move changes nothing");

    assert_eq!(to.task("a").await.spec.group_id.clone().unwrap().as_str(), "to");
    assert_eq!(to.queue("default").await.scheduled[2], 2);
}

#[tokio::test]
async fn a_repeated_restore_answers_the_same_and_changes_nothing() {
    let from = super::shed().await;
    from.add([task("a"), task("b").retention(60 * SECOND)]).await;
    let to = super::shed().await;
    let asked = restore(leaving(&from).await.into_values());

    let first = to.store.restore(&asked).await.unwrap();
    to.change(Action::Pause, &["a"]).await;
    let run = to.claim(&claim()).await.tasks.remove(0);
    let second = to.store.restore(&asked).await.unwrap();
    to.complete(&run).await;
    let third = to.store.restore(&asked).await.unwrap();

    assert_eq!(first.outcomes, [Created, Created]);
    assert_eq!((second.outcomes, third.outcomes), (first.outcomes.clone(), first.outcomes));
    assert!(to.task("a").await.paused_at.is_some());
    assert_eq!(to.state("b").await, TaskState::Completed);
}

/// Guards S2: the holder may be there, or have come earlier in the batch; ended tasks hold nothing.
#[tokio::test]
async fn a_key_that_a_live_task_holds_is_not_taken() {
    let keyed = |name: &str| task(name).unique_key("k");
    let from = super::shed().await;
    from.add([keyed("ended")]).await;
    from.change(Action::Cancel, &["ended"]).await;
    from.add([keyed("live")]).await;
    let leaving = leaving(&from).await;
    let (ended, live) = (leaving["ended"].clone(), leaving["live"].clone());
    let mut second = live.clone();
    second.task.id = id("second");

    let to = super::shed().await;
    to.add([keyed("holder")]).await;
    let holder = || RestoreOutcome::Duplicate(id("holder"));
    assert_eq!(
        put(&to, [ended, live.clone(), second.clone()]).await,
        [Created, holder(), holder()]
    );
    assert!(to.find("live").await.is_none() && to.find("second").await.is_none());

    to.change(Action::Remove, &["holder"]).await;
    assert_eq!(put(&to, [live, second]).await, [Created, RestoreOutcome::Duplicate(id("live"))]);
    assert_eq!(to.change(Action::Retry, &["ended"]).await.affected, 0, "its key is taken");
}

/// Guards T3: a run of the id that has not let go here is waited for.
#[tokio::test]
async fn a_task_waits_for_a_run_of_its_id_to_let_go() {
    let from = super::shed().await;
    from.add([task("a")]).await;
    let to = super::shed().await;
    let old = to.running(task("a")).await;
    to.change(Action::Remove, &["a"]).await;

    assert_eq!(put(&to, leaving(&from).await.into_values()).await, [Created]);
    assert!(to.claim(&claim()).await.tasks.is_empty());
    assert_eq!(to.complete(&old).await, Acked::Stale);

    assert_eq!(to.claim_ids(&claim()).await, ["a"]);
}

/// Guards T4: the fence goes on, also when the other store's clock is behind.
#[tokio::test]
async fn the_last_fence_is_kept() {
    let from = super::shed().await;
    let snoozed = from.running(task("snoozed")).await;
    from.end(&snoozed, Outcome::Snoozed(60 * SECOND)).await;
    let running = from.running(task("running")).await;
    let leaving = leaving(&from).await;

    let to = super::shed().await;
    let earlier = start().minus(3600 * SECOND);
    to.clock.set_wall(earlier);
    put(&to, leaving.into_values()).await;
    to.change(Action::RescheduleEach(vec![earlier; 2]), &["running", "snoozed"]).await;
    let again = to.claim(&claim()).await.tasks;

    assert_eq!(ids(&again), ["running", "snoozed"]);
    let fence = |task: &TaskRecord| task.lease.clone().unwrap().fence;
    assert!(fence(&again[0]) > fence(&running) && fence(&again[1]) > fence(&snoozed));
}

/// A parked task is for the claims of the other store to park again.
#[tokio::test]
async fn a_parked_task_arrives_in_its_lane() {
    let from = super::shed().await;
    from.add([of("other", "a")]).await;
    from.claim(&claim()).await;
    assert!(from.task("a").await.parked);

    let to = moved(&from).await;

    assert!(!to.task("a").await.parked);
    assert_eq!(to.queue("default").await.scheduled[2], 1);
    to.claim(&claim()).await;
    assert!(to.task("a").await.parked);
}

/// Guards T10: nothing is left of a run that was left behind.
#[tokio::test]
async fn a_thousand_tasks_are_moved_at_once_and_run() {
    let from = super::shed().await;
    let mut asked = crate::requests::add([]);
    asked.tasks = (0..1000).map(|n| crate::requests::planned(task(&format!("t{n:03}")))).collect();
    from.store.add(&asked).await.unwrap();
    from.claim(&claim()).await;

    let to = moved(&from).await;

    let limit = taskshed::store::Claim { limit: 1000, ..claim() };
    let runs = to.claim(&limit).await.tasks;
    assert_eq!(runs.len(), 1000);
    assert_eq!(to.keep(&[claim_id(&runs[0])]).await.lost, []);
    for run in &runs {
        assert_eq!(to.complete(run).await, Acked::Done);
    }
    assert_eq!(to.list(Filter::default(), 1000).await, []);
    assert_eq!(to.queue("default").await.running, 0);
}

/// Hints reach who waits for the tasks that arrive.
#[tokio::test]
async fn a_restore_gives_hints() {
    let from = super::shed().await;
    from.add([task("a")]).await;
    let leaving = leaving(&from).await;
    let to = super::shed().await;
    let waiting = taskshed::store::Claim { wait: true, ..claim() };
    let Some(mut hints) = to.store.hints(&waiting.holder.process).await.unwrap() else { return };
    to.claim(&waiting).await;

    put(&to, leaving.into_values()).await;

    let heard = tokio::time::timeout(5 * SECOND, hints.next()).await;
    heard.expect("a hint comes").unwrap();
}
