//! What users, crashes and time do to a task between its add and its end.

use std::sync::Arc;
use std::time::Duration;

use taskshed::domain::draft::Task;
use taskshed::domain::id::Callback;
use taskshed::domain::id::GroupId;
use taskshed::domain::id::RequestId;
use taskshed::domain::id::TaskId;
use taskshed::domain::state::Outcome;
use taskshed::domain::state::TaskState;
use taskshed::domain::time::Moment;
use taskshed::domain::time::Timestamp;
use taskshed::store::Acked;
use taskshed::store::Action;
use taskshed::store::Add;
use taskshed::store::AddOutcome;
use taskshed::store::Change;
use taskshed::store::Existing;
use taskshed::store::Fetch;
use taskshed::store::Filter;
use taskshed::store::Gate;
use taskshed::store::Keep;
use taskshed::store::List;
use taskshed::store::Queue;
use taskshed::store::StopReason;
use taskshed::store::SuspectRoom;
use taskshed::store::Target;
use taskshed::store::Tasks;

use super::shed::SECOND;
use super::shed::START;
use super::shed::Shed;
use super::shed::ack;
use super::shed::claim;
use super::shed::holder;
use super::shed::planned;
use super::shed::task;

/// Guards T3, T4 and T5: the run that was replaced stops, its ack changes nothing, and the new task
/// waits for it.
#[tokio::test]
async fn the_successor_of_a_running_task_waits_until_the_old_run_lets_go() {
    let shed = Shed::new().await;
    shed.add(vec![planned(task("a"))]).await.unwrap();
    let old = shed.claim(1).await.unwrap();

    let outcomes = shed.add(vec![planned(task("a"))]).await.unwrap();
    let none = shed.claim(1).await.unwrap();
    let keep = Keep {
        beat: None,
        claims: vec![old.tasks[0].lease.clone().unwrap().claim_id],
        ttl: 10 * SECOND,
    };
    let kept = shed.store.keep(&keep).await.unwrap();
    let late = shed.finish(&old, Outcome::Completed(None)).await.unwrap();
    let new = shed.claim(1).await.unwrap();

    assert_eq!(outcomes, [AddOutcome::Replaced]);
    assert!(none.tasks.is_empty());
    assert_eq!(none.next_run_at, None);
    assert_eq!(kept.stop[0].reason, StopReason::Superseded);
    assert_eq!(late, [Acked::Stale]);
    assert_eq!(new.tasks.len(), 1);
    let fence = |claimed: &taskshed::store::Claimed| claimed.tasks[0].lease.clone().unwrap().fence;
    assert!(fence(&new) > fence(&old));
    shed.finish(&new, Outcome::Completed(None)).await.unwrap();
    assert_eq!(shed.leftovers().await, Vec::<String>::new());
}

/// Guards T8 and T10: a removed task is gone at once, also while it runs, and its id can come again.
#[tokio::test]
async fn a_task_removed_while_it_runs_leaves_nothing_behind() {
    let shed = Shed::new().await;
    shed.add(vec![planned(task("a").group("g").unique_key("k"))]).await.unwrap();
    let old = shed.claim(1).await.unwrap();

    let removed = shed.change(Action::Remove, &["a", "unknown"]).await;
    assert_eq!(removed.affected, 1);
    assert_eq!(removed.missing, [TaskId::parse("unknown").unwrap()]);
    assert!(shed.task("a").await.is_none());
    let added = shed.add(vec![planned(task("b").unique_key("k"))]).await.unwrap();
    assert_eq!(added, [AddOutcome::Created]);

    assert_eq!(shed.finish(&old, Outcome::Completed(None)).await.unwrap(), [Acked::Stale]);
    shed.change(Action::Remove, &["b"]).await;
    assert_eq!(shed.leftovers().await, Vec::<String>::new());
}

/// Guards S2.
#[tokio::test]
async fn a_unique_key_has_one_live_task_and_is_free_when_that_ends() {
    let shed = Shed::new().await;
    let both = vec![planned(task("a").unique_key("k")), planned(task("b").unique_key("k"))];
    let duplicate = AddOutcome::Duplicate(TaskId::parse("a").unwrap());
    assert_eq!(shed.add(both).await.unwrap(), [AddOutcome::Created, duplicate.clone()]);

    let claimed = shed.claim(2).await.unwrap();
    let third = shed.add(vec![planned(task("c").unique_key("k"))]).await.unwrap();
    assert_eq!(third, [duplicate]);
    shed.finish(&claimed, Outcome::Dead("no".into())).await.unwrap();
    let fourth = shed.add(vec![planned(task("d").unique_key("k"))]).await.unwrap();
    assert_eq!(fourth, [AddOutcome::Created]);

    let retried = shed.change(Action::Retry, &["a"]).await;
    assert_eq!(retried.skipped, [(TaskId::parse("a").unwrap(), TaskState::Dead)]);
    shed.change(Action::Remove, &["d"]).await;
    assert_eq!(shed.change(Action::Retry, &["a"]).await.affected, 1);
    let retried = shed.task("a").await.unwrap();
    assert_eq!((retried.state, retried.attempt), (TaskState::Scheduled, 0));
}

#[tokio::test]
async fn a_repeated_add_finds_its_own_work() {
    let shed = Shed::new().await;
    shed.add(vec![planned(task("b"))]).await.unwrap();
    let add = Add {
        request: RequestId::parse("the-same").unwrap(),
        tasks: vec![planned(task("a")), planned(task("b")), planned(task("c"))],
        existing: Existing::Replace,
    };

    let first = shed.store.add(&add).await.unwrap();
    let running = shed.claim(1).await.unwrap();
    let second = shed.store.add(&add).await.unwrap();

    assert_eq!(running.tasks[0].id.as_str(), "a");
    assert_eq!(first.outcomes, [AddOutcome::Created, AddOutcome::Replaced, AddOutcome::Created]);
    assert_eq!(second.outcomes, first.outcomes);
    assert_eq!(shed.finish(&running, Outcome::Completed(None)).await.unwrap(), [Acked::Done]);

    let keep = Add { existing: Existing::Keep, request: RequestId::parse("k").unwrap(), ..add };
    let kept = shed.store.add(&keep).await.unwrap();
    assert_eq!(kept.outcomes, [AddOutcome::Created, AddOutcome::Kept, AddOutcome::Kept]);
}

/// Guards T8.
#[tokio::test]
async fn a_paused_task_keeps_its_moment_and_is_not_claimed() {
    let shed = Shed::new().await;
    shed.add(vec![planned(task("a").run_in(SECOND)), planned(task("b").paused())]).await.unwrap();
    assert_eq!(shed.change(Action::Pause, &["a", "b"]).await.affected, 2);
    shed.clock.advance(2 * SECOND);

    assert!(shed.claim(5).await.unwrap().tasks.is_empty());
    let paused = shed.task("a").await.unwrap();
    assert_eq!(paused.run_at, Timestamp::from_us(START).plus(SECOND));
    assert_eq!(paused.paused_at, Some(Timestamp::from_us(START)));
    assert_eq!(shed.store.stats().await.unwrap().queues[0].held, 2);

    assert_eq!(shed.change(Action::Resume, &["a", "b"]).await.affected, 2);
    assert_eq!(shed.claim(5).await.unwrap().tasks.len(), 2);
    assert_eq!(shed.store.stats().await.unwrap().queues[0].held, 0);
}

#[tokio::test]
async fn a_verdict_yields_to_what_was_asked_while_it_ran() {
    let shed = Shed::new().await;
    let every = |id: &str| planned(task(id).every(100 * SECOND));
    let tasks = vec![
        planned(task("cancelled")),
        planned(task("completed").retention(SECOND)),
        every("every-cancelled"),
        every("every-moved"),
        planned(task("paused")),
    ];
    shed.add(tasks).await.unwrap();
    let claimed = shed.claim(5).await.unwrap();
    let moved = Timestamp::from_us(START).plus(7 * SECOND);

    assert_eq!(
        shed.change(Action::Cancel, &["cancelled", "completed", "every-cancelled"]).await.affected,
        3
    );
    shed.change(Action::Pause, &["paused"]).await;
    let once = shed.change(Action::Reschedule(Moment::At(moved)), &["paused", "every-moved"]).await;
    assert_eq!(once.affected, 1);
    assert_eq!(once.skipped.len(), 1);
    let items: Vec<_> = claimed
        .tasks
        .iter()
        .map(|task| {
            let outcome = match task.id.as_str() {
                "cancelled" | "paused" => Outcome::Failed("no".into()),
                _ => Outcome::Completed(None),
            };
            ack(task, outcome, claimed.now)
        })
        .collect();
    assert_eq!(shed.store.ack(&items).await.unwrap(), [Acked::Done; 5]);

    for (id, state) in [
        ("cancelled", TaskState::Cancelled),
        ("completed", TaskState::Completed),
        ("every-cancelled", TaskState::Cancelled),
        ("every-moved", TaskState::Scheduled),
        ("paused", TaskState::Scheduled),
    ] {
        assert_eq!(shed.task(id).await.unwrap().state, state, "{id}");
    }
    let task = shed.task("every-moved").await.unwrap();
    assert_eq!((task.run_at, task.planned_at), (moved, moved));
    assert!(shed.task("paused").await.unwrap().paused_at.is_some());
    assert!(!shed.leftovers().await.contains(&"asked".to_owned()));
}

/// The moment that was asked for waits while the present occurrence is retried.
#[tokio::test]
async fn a_reschedule_of_a_running_recurring_task_survives_its_retry() {
    let shed = Shed::new().await;
    shed.add(vec![planned(task("a").every(10_000 * SECOND))]).await.unwrap();
    let claimed = shed.claim(1).await.unwrap();
    let moved = Timestamp::from_us(START).plus(700 * SECOND);
    shed.change(Action::Reschedule(Moment::At(moved)), &["a"]).await;

    shed.finish(&claimed, Outcome::Failed("no".into())).await.unwrap();
    assert_ne!(shed.task("a").await.unwrap().run_at, moved);
    shed.clock.advance(60 * SECOND);
    let claimed = shed.claim(1).await.unwrap();
    shed.finish(&claimed, Outcome::Completed(None)).await.unwrap();

    assert_eq!(shed.task("a").await.unwrap().run_at, moved);
    assert!(!shed.leftovers().await.contains(&"asked".to_owned()));
}

#[tokio::test]
async fn tasks_of_other_callbacks_are_parked_for_who_has_them() {
    let shed = Shed::new().await;
    let other = Task::new("resize", "{}".parse::<serde_json::Value>().as_ref().unwrap()).unwrap();
    shed.add(vec![planned(other.id("0x")), planned(task("a"))]).await.unwrap();

    let first = shed.claim(1).await.unwrap();
    assert!(first.tasks.is_empty(), "the parked task counts against the limit");
    assert!(first.more);
    assert_eq!(shed.claim(5).await.unwrap().tasks[0].id.as_str(), "a");
    let parked = shed.task("0x").await.unwrap();
    assert!(parked.parked);
    assert_eq!(shed.store.stats().await.unwrap().queues[0].parked, 1);

    let mut wish = claim(5);
    wish.callbacks = Some(Arc::from([Callback::parse("resize").unwrap()]));
    let claimed = shed.store.claim(&wish).await.unwrap();
    assert_eq!(claimed.tasks[0].id.as_str(), "0x");
    shed.finish(&claimed, Outcome::Completed(None)).await.unwrap();
    assert!(!shed.leftovers().await.iter().any(|key| key == "special" || key.starts_with("sp:")));
}

/// Guards N4 and T7: suspects stand apart, wait for room, and the last of them runs alone.
#[tokio::test]
async fn a_task_whose_node_dies_again_and_again_runs_apart() {
    let shed = Shed::new().await;
    let mandate = shed.lead().await;
    shed.add(vec![planned(task("bad"))]).await.unwrap();
    let mut wish = claim(5);
    for crashes in 1..=5 {
        shed.clock.advance(60 * SECOND);
        wish = claim(5);
        if crashes > 2 {
            assert!(shed.claim(5).await.unwrap().tasks.is_empty(), "no room: {crashes}");
        }
        wish.suspects = SuspectRoom { two: 1, three: 1, idle: true };
        let claimed = shed.store.claim(&wish).await.unwrap();
        assert_eq!(claimed.tasks.len(), 1, "{crashes}");
        assert_eq!(claimed.tasks[0].crashes, crashes - 1);
        shed.clock.advance(20 * SECOND);
        assert_eq!(shed.reclaim(&mandate, &wish.id).await, 1);
    }

    let dead = shed.task("bad").await.unwrap();
    assert_eq!((dead.state, dead.crashes, dead.attempt), (TaskState::Dead, 5, 0));
    assert!(dead.errors[0].message.contains("5 times"));
    let stale = shed.store.claim(&wish).await.unwrap();
    assert!(stale.tasks.is_empty(), "the claim has ended");
}

#[tokio::test]
async fn one_busy_process_at_a_time_becomes_idle_for_a_suspect() {
    let shed = Shed::new().await;
    let mandate = shed.lead().await;
    shed.add(vec![planned(task("bad"))]).await.unwrap();
    for _ in 0..4 {
        shed.clock.advance(60 * SECOND);
        let mut wish = claim(1);
        wish.suspects = SuspectRoom { two: 1, three: 1, idle: true };
        assert_eq!(shed.store.claim(&wish).await.unwrap().tasks.len(), 1);
        shed.clock.advance(20 * SECOND);
        shed.reclaim(&mandate, &wish.id).await;
    }
    shed.clock.advance(60 * SECOND);
    shed.add(vec![planned(task("good")), planned(task("fine"))]).await.unwrap();

    let first = shed.claim(1).await.unwrap();
    let mut other = claim(1);
    other.holder = holder("node-b");
    let second = shed.store.claim(&other).await.unwrap();
    shed.clock.advance(31 * SECOND);
    let lapsed = shed.claim(1).await.unwrap();

    assert!(first.isolate && first.tasks.is_empty());
    assert!(!second.isolate);
    assert_eq!(second.tasks[0].id.as_str(), "fine");
    assert!(!lapsed.isolate);
    assert_eq!(lapsed.tasks[0].id.as_str(), "good");
    let mut idle = claim(5);
    idle.suspects.idle = true;
    let alone = shed.store.claim(&idle).await.unwrap();
    assert_eq!(alone.tasks[0].id.as_str(), "bad");
}

/// Guards T8: a task that was not started in time never runs, and one that was started never expires.
#[tokio::test]
async fn a_task_expires_only_if_it_was_never_started() {
    let shed = Shed::new().await;
    let mandate = shed.lead().await;
    let expiring = |id: &str| planned(task(id).expires_in(5 * SECOND).max_attempts(3));
    shed.add(vec![expiring("started"), expiring("late"), expiring("later")]).await.unwrap();
    let claimed = shed.claim(1).await.unwrap();
    assert_eq!(claimed.tasks[0].id.as_str(), "late");
    shed.finish(&claimed, Outcome::Failed("no".into())).await.unwrap();

    shed.clock.advance(60 * SECOND);
    let claimed = shed.claim(1).await.unwrap();
    assert!(claimed.tasks.is_empty());
    assert_eq!(shed.maintain(&mandate).await.expired, 1);
    for id in ["started", "later"] {
        assert_eq!(shed.task(id).await.unwrap().state, TaskState::Expired, "{id}");
    }
    let claimed = shed.claim(5).await.unwrap();
    assert_eq!(claimed.tasks[0].id.as_str(), "late");

    assert_eq!(shed.change(Action::Retry, &["later"]).await.affected, 1);
    assert_eq!(shed.task("later").await.unwrap().expires_at, None);
    assert_eq!(shed.claim(5).await.unwrap().tasks.len(), 1);
}

#[tokio::test]
async fn a_group_changes_as_a_whole_however_large_it_is() {
    let shed = Shed::new().await;
    let grouped = |n: u32| planned(task(&format!("t{n}")).group("g").run_in(SECOND));
    for part in 0..3 {
        let tasks = (part * 1000..(part + 1) * 1000).map(grouped).collect();
        shed.add(tasks).await.unwrap();
    }
    let target = Target::Group(GroupId::parse("g").unwrap());

    for action in [Action::Pause, Action::Resume, Action::Cancel] {
        let change = Change { target: target.clone(), action };
        assert_eq!(shed.store.change(&change).await.unwrap().affected, 3000);
    }
    let stats = shed.store.stats().await.unwrap();
    assert_eq!((stats.queues[0].cancelled, stats.queues[0].held), (3000, 0));
    let change = Change { target, action: Action::Remove };
    assert_eq!(shed.store.change(&change).await.unwrap().affected, 3000);
    assert_eq!(shed.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn every_page_together_hold_every_task_that_matches() {
    let shed = Shed::new().await;
    let numbered = |n: u32| {
        let queue = if n.is_multiple_of(2) { "even" } else { "odd" };
        planned(task(&format!("t{n}")).queue(queue).group(if n < 600 { "low" } else { "high" }))
    };
    shed.add((0..1000).map(numbered).collect()).await.unwrap();
    shed.add((1000..2000).map(numbered).collect()).await.unwrap();
    let mut wish = claim(700);
    wish.queues = vec!["even".parse().unwrap()];
    shed.store.claim(&wish).await.unwrap();

    for (filter, count) in [
        (Filter::default(), 2000),
        (Filter { queue: "odd".parse().ok(), ..Filter::default() }, 1000),
        (Filter { group: "low".parse().ok(), ..Filter::default() }, 600),
        (Filter { state: Some(TaskState::Running), ..Filter::default() }, 700),
        (Filter { state: Some(TaskState::Scheduled), ..Filter::default() }, 1300),
        (Filter { state: Some(TaskState::Dead), ..Filter::default() }, 0),
        (Filter { callback: "other".parse().ok(), ..Filter::default() }, 0),
    ] {
        let mut found = std::collections::HashSet::new();
        let mut cursor = None;
        loop {
            let list = List { filter: filter.clone(), limit: 100, cursor };
            let page = shed.store.list(&list).await.unwrap();
            assert!(page.tasks.len() <= 200, "{}", page.tasks.len());
            found.extend(page.tasks.into_iter().map(|task| task.id));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found.len(), count, "{filter:?}");
    }
}

/// Guards T8: nothing is taken from a paused queue.
#[tokio::test]
async fn a_paused_queue_gives_nothing_until_it_is_opened() {
    let shed = Shed::new().await;
    shed.add(vec![planned(task("a"))]).await.unwrap();
    let queue = "default".parse().unwrap();
    shed.store.set_queue(&queue, Gate::Paused).await.unwrap();

    let none = shed.claim(1).await.unwrap();
    assert!(none.tasks.is_empty() && !none.more && none.next_run_at.is_none());
    assert!(shed.store.stats().await.unwrap().queues[0].paused);
    shed.store.set_queue(&queue, Gate::Open).await.unwrap();
    assert_eq!(shed.claim(1).await.unwrap().tasks.len(), 1);
}

#[tokio::test]
async fn a_watched_task_stays_until_its_result_was_seen() {
    let shed = Shed::new().await;
    let mandate = shed.lead().await;
    shed.add(vec![planned(task("a")), planned(task("b"))]).await.unwrap();
    let fetch = Fetch { ids: vec![TaskId::parse("a").unwrap()], watch: Some(30 * SECOND) };
    shed.store.fetch(&fetch).await.unwrap();

    let claimed = shed.claim(2).await.unwrap();
    let result = taskshed::domain::json::Json::of(&42).unwrap();
    let acked = shed.finish(&claimed, Outcome::Completed(Some(result.clone()))).await.unwrap();

    assert_eq!(acked, [Acked::Done, Acked::Done]);
    let seen = shed.task("a").await.unwrap();
    assert_eq!((seen.state, seen.attempt), (TaskState::Completed, 1));
    assert_eq!(seen.result, Some(result));
    assert!(shed.task("b").await.is_none());
    shed.clock.advance(Duration::from_secs(61));
    assert_eq!(shed.maintain(&mandate).await.pruned, 1);
    assert_eq!(shed.leftovers().await, Vec::<String>::new());
}
