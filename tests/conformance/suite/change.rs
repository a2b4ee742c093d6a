//! What users ask of tasks that do not run. Each row of the contract's table has its tests here and
//! in `running`.

use std::time::Duration;

use taskshed::domain::draft::Task;
use taskshed::domain::id::TaskId;
use taskshed::domain::state::Outcome;
use taskshed::domain::state::TaskState;
use taskshed::domain::time::Moment;
use taskshed::store::Action;
use taskshed::store::Change;
use taskshed::store::Changed;
use taskshed::store::Existing;
use taskshed::store::Filter;
use taskshed::store::Target;

use crate::fixture::SECOND;
use crate::fixture::Shed;
use crate::fixture::start;
use crate::requests::add;
use crate::requests::claim;
use crate::requests::id;
use crate::requests::planned;
use crate::requests::task;

fn all_of(count: u64) -> Changed {
    Changed { affected: count, ..Changed::default() }
}

fn skipped(id_text: &str, state: TaskState) -> Changed {
    Changed { skipped: vec![(id(id_text), state)], ..Changed::default() }
}

/// One task in each of the four ended states, under the name of its state.
async fn one_of_each_end(shed: &Shed) {
    let kept = |id: &str| task(id).retention(3600 * SECOND);
    shed.add([kept("completed"), kept("dead"), kept("cancelled")]).await;
    shed.add([kept("expired").run_in(SECOND).expires_in(SECOND)]).await;
    for run in shed.claim(&claim()).await.tasks {
        match run.id.as_str() {
            "completed" => shed.complete(&run).await,
            "dead" => shed.end(&run, Outcome::Dead("no".into())).await,
            _ => shed.end(&run, Outcome::Cancelled).await,
        };
    }
    shed.clock.advance(SECOND);
    assert!(shed.claim(&claim()).await.tasks.is_empty());
    for state in TaskState::ALL.into_iter().filter(|state| state.is_ended()) {
        assert_eq!(shed.state(state.as_str()).await, state);
    }
}

const ENDED: [&str; 4] = ["cancelled", "completed", "dead", "expired"];

/// Guards T8.
#[tokio::test]
async fn a_paused_task_leaves_its_lane_and_keeps_its_run_at() {
    let shed = super::shed().await;
    shed.add([task("a").run_in(SECOND)]).await;
    shed.clock.advance(SECOND);

    assert_eq!(shed.change(Action::Pause, &["a"]).await, all_of(1));
    shed.clock.advance(SECOND);
    assert_eq!(shed.change(Action::Pause, &["a"]).await, all_of(1));

    let paused = shed.task("a").await;
    assert_eq!(paused.run_at, start().plus(SECOND));
    assert_eq!(paused.paused_at, Some(start().plus(SECOND)), "since the first time");
    assert!(shed.claim(&claim()).await.tasks.is_empty());
    assert_eq!(shed.queue("default").await.held, 1);
}

#[tokio::test]
async fn a_resumed_task_is_back_with_its_old_run_at() {
    let shed = super::shed().await;
    shed.add([task("past").paused(), task("future").paused().run_in(9 * SECOND)]).await;
    shed.clock.advance(5 * SECOND);

    assert_eq!(shed.change(Action::Resume, &["past", "future"]).await, all_of(2));
    assert_eq!(shed.change(Action::Resume, &["past", "future"]).await, all_of(2));

    assert_eq!(shed.task("future").await.run_at, start().plus(9 * SECOND));
    assert_eq!(shed.task("past").await.run_at, start());
    assert_eq!(shed.claim_ids(&claim()).await, ["past"]);
}

/// Guards T8 and T7.
#[tokio::test]
async fn a_cancelled_task_ends_and_is_kept_for_a_day() {
    let shed = super::shed().await;
    shed.add([task("a").every(60 * SECOND), task("b").paused()]).await;

    assert_eq!(shed.change(Action::Cancel, &["a", "b"]).await, all_of(2));
    assert_eq!(shed.change(Action::Cancel, &["a"]).await, skipped("a", TaskState::Cancelled));

    let ended = shed.task("a").await;
    assert_eq!((ended.state, ended.finished_at), (TaskState::Cancelled, Some(start())));
    assert_eq!((ended.attempt, shed.task("b").await.paused_at), (0, None));
    assert!(shed.claim(&claim()).await.tasks.is_empty());
    shed.clock.advance(86_399 * SECOND);
    shed.maintain().await;
    assert!(shed.find("a").await.is_some());
    shed.clock.advance(SECOND);
    shed.maintain().await;
    assert!(shed.find("a").await.is_none() && shed.find("b").await.is_none());
}

/// Guards T7: only a retry revives, and it clears what would end the task again at once.
#[tokio::test]
async fn a_retry_revives_dead_cancelled_and_expired_tasks_due_now() {
    let shed = super::shed().await;
    one_of_each_end(&shed).await;

    let changed = shed.change(Action::Retry, &["cancelled", "completed", "dead", "expired"]).await;

    assert_eq!(changed.affected, 3);
    assert_eq!(changed.skipped, [(id("completed"), TaskState::Completed)]);
    for text in ["cancelled", "dead", "expired"] {
        let revived = shed.task(text).await;
        assert_eq!(revived.state, TaskState::Scheduled, "{text}");
        assert_eq!(revived.run_at, start().plus(SECOND), "{text}");
        assert_eq!((revived.attempt, revived.crashes, revived.expires_at), (0, 0, None), "{text}");
        assert_eq!(revived.finished_at, None, "{text}");
    }
    assert_eq!(shed.task("dead").await.errors.len(), 1, "what happened stays known");
    assert_eq!(shed.change(Action::Retry, &["dead"]).await, skipped("dead", TaskState::Scheduled));
    shed.clock.advance(3600 * SECOND);
    assert_eq!(shed.maintain().await.expired, 0);
    assert_eq!(shed.claim_ids(&claim()).await, ["cancelled", "dead", "expired"]);
}

/// Guards S2.
#[tokio::test]
async fn a_retry_skips_a_task_whose_unique_key_is_taken() {
    let shed = super::shed().await;
    let keyed = |id: &str| task(id).unique_key("k");
    shed.add([keyed("a")]).await;
    shed.change(Action::Cancel, &["a"]).await;
    shed.add([keyed("b")]).await;

    assert_eq!(shed.change(Action::Retry, &["a"]).await, skipped("a", TaskState::Cancelled));
    assert_eq!(shed.state("a").await, TaskState::Cancelled);
    shed.change(Action::Remove, &["b"]).await;
    assert_eq!(shed.change(Action::Retry, &["a"]).await, all_of(1));

    let again = shed.add([keyed("c")]).await;
    assert_eq!(again, [taskshed::store::AddOutcome::Duplicate(id("a"))]);
}

/// Guards S2: of two tasks of a group with one key, one retry at most succeeds.
#[tokio::test]
async fn a_retry_of_a_group_revives_one_task_per_unique_key() {
    let shed = super::shed().await;
    let keyed = |id: &str| task(id).unique_key("k").group("g");
    for text in ["a", "b"] {
        shed.add([keyed(text)]).await;
        shed.change(Action::Cancel, &[text]).await;
    }

    let changed = shed.change_group(Action::Retry, "g").await;

    assert_eq!((changed.affected, changed.skipped.len()), (1, 1));
}

#[tokio::test]
async fn a_rescheduled_task_has_a_new_run_at_and_planned_time() {
    let shed = super::shed().await;
    shed.add([task("a").run_in(SECOND), task("b").paused(), task("c").every(10 * SECOND)]).await;
    let later = start().plus(60 * SECOND);

    let changed = shed.change(Action::Reschedule(Moment::At(later)), &["a", "b", "c"]).await;

    assert_eq!(changed, all_of(3));
    for text in ["a", "b", "c"] {
        let moved = shed.task(text).await;
        assert_eq!((moved.run_at, moved.planned_at), (later, later), "{text}");
    }
    assert!(shed.task("b").await.paused_at.is_some(), "it stays paused");
    assert!(shed.claim(&claim()).await.tasks.is_empty());
    shed.clock.advance(60 * SECOND);
    let runs = shed.claim(&claim()).await.tasks;
    assert_eq!(crate::fixture::ids(&runs), ["a", "c"]);
    shed.complete(&runs[1]).await;
    assert_eq!(shed.task("c").await.run_at, later.plus(10 * SECOND), "the grid has moved");
}

#[tokio::test]
async fn a_length_counts_from_the_stores_now_and_each_id_can_have_its_moment() {
    let shed = super::shed().await;
    shed.add([task("a"), task("b")]).await;
    shed.clock.advance(5 * SECOND);

    shed.change(Action::Reschedule(Moment::In(3 * SECOND)), &["a"]).await;
    assert_eq!(shed.task("a").await.run_at, start().plus(8 * SECOND));
    let (first, second) = (start().plus(70 * SECOND), start().plus(80 * SECOND));
    let each = Action::RescheduleEach(vec![first, start(), second]);
    let changed = shed.change(each, &["b", "unknown", "a"]).await;

    assert_eq!((changed.affected, changed.missing), (2, vec![id("unknown")]));
    assert_eq!((shed.task("b").await.run_at, shed.task("a").await.run_at), (first, second));
}

/// Guards T8 and T10.
#[tokio::test]
async fn a_removed_task_is_gone_whether_it_waited_or_had_ended() {
    let shed = super::shed().await;
    one_of_each_end(&shed).await;
    let asked = |id: &str| task(id).group("g").unique_key(id).run_in(SECOND);
    shed.add([asked("waits"), asked("paused").paused()]).await;
    let all = ["waits", "paused", "cancelled", "completed", "dead", "expired"];

    assert_eq!(shed.change(Action::Remove, &all).await, all_of(6));

    assert!(shed.list(Filter::default(), 10).await.is_empty());
    let again = shed.change(Action::Remove, &["waits"]).await;
    assert_eq!(again.missing, [id("waits")]);
    let depth = shed.queue("default").await;
    let ended = [depth.completed, depth.dead, depth.cancelled, depth.expired];
    assert_eq!((depth.held, depth.scheduled, ended), (0, [0; 4], [0; 4]));
    assert_eq!(shed.change_group(Action::Pause, "g").await, Changed::default());
}

#[tokio::test]
async fn ended_tasks_are_skipped_by_all_but_retry_and_remove() {
    let shed = super::shed().await;
    one_of_each_end(&shed).await;
    let before = shed.list(Filter::default(), 10).await.len();

    let later = Action::Reschedule(Moment::In(SECOND));
    for action in [Action::Pause, Action::Resume, Action::Cancel, later] {
        let changed = shed.change(action.clone(), &ENDED).await;

        assert_eq!(changed.affected, 0, "{action:?}");
        let states: Vec<&str> = changed.skipped.iter().map(|(_, state)| state.as_str()).collect();
        assert_eq!(states, ENDED, "{action:?}");
    }
    assert_eq!(shed.list(Filter::default(), 10).await.len(), before);
}

#[tokio::test]
async fn ids_that_do_not_exist_are_named_and_an_id_given_twice_counts_once() {
    let shed = super::shed().await;
    shed.add([task("a")]).await;

    let changed = shed.change(Action::Pause, &["a", "x", "a", "x", "y"]).await;

    assert_eq!(changed.affected, 1);
    assert_eq!(changed.missing, [id("x"), id("y")]);
}

#[tokio::test]
async fn a_group_without_tasks_affects_none() {
    let shed = super::shed().await;

    assert_eq!(shed.change_group(Action::Cancel, "nobody").await, Changed::default());
}

/// All of a group changes in one step, however many tasks it has.
#[tokio::test]
async fn a_group_of_thousands_changes_as_a_whole() {
    let shed = super::shed().await;
    for part in 0..3 {
        let grouped = |n: usize| planned(task(&format!("{part}-{n}")).group("g"));
        let mut asked = add([]);
        asked.tasks = (0..1000).map(grouped).collect();
        shed.store.add(&asked).await.unwrap();
    }

    assert_eq!(shed.change_group(Action::Pause, "g").await, all_of(3000));
    assert!(shed.claim(&claim()).await.tasks.is_empty());
    assert_eq!(shed.queue("default").await.held, 3000);
    assert_eq!(shed.change_group(Action::Resume, "g").await, all_of(3000));
    assert_eq!(shed.change_group(Action::Cancel, "g").await, all_of(3000));
    assert_eq!(shed.queue("default").await.cancelled, 3000);
    assert_eq!(shed.change_group(Action::Remove, "g").await, all_of(3000));
    assert!(shed.list(Filter::default(), 1000).await.is_empty());
}

#[tokio::test]
async fn a_thousand_ids_change_in_one_call() {
    let shed = super::shed().await;
    let mut asked = add([]);
    asked.existing = Existing::Keep;
    asked.tasks = (0..500).map(|n| planned(task(&format!("t{n}")))).collect();
    shed.store.add(&asked).await.unwrap();
    let ids: Vec<TaskId> = (0..1000).map(|n| id(&format!("t{n}"))).collect();

    let change = Change { target: Target::Ids(ids), action: Action::Remove };
    let changed = shed.store.change(&change).await.unwrap();

    assert_eq!((changed.affected, changed.missing.len()), (500, 500));
}

/// Guards T3: a successor that waits for an old run is changed like any task, and goes on waiting.
#[tokio::test]
async fn changes_of_a_successor_do_not_let_it_run_beside_the_old_run() {
    let shed = super::shed().await;
    let old = shed.running(task("a")).await;
    let successor: Task = task("a").every(60 * SECOND);
    shed.add([successor]).await;

    let now = Action::Reschedule(Moment::In(Duration::ZERO));
    for action in [Action::Pause, Action::Resume, now, Action::Cancel, Action::Retry] {
        assert_eq!(shed.change(action.clone(), &["a"]).await, all_of(1), "{action:?}");
        assert!(shed.claim(&claim()).await.tasks.is_empty(), "{action:?}");
    }
    assert_eq!(shed.queue("default").await.held, 1);
    shed.complete(&old).await;

    assert_eq!(shed.claim_ids(&claim()).await, ["a"]);
}
