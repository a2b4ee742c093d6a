//! Adding tasks.

use taskshed::domain::state::Outcome;
use taskshed::domain::state::TaskState;
use taskshed::store::Acked;
use taskshed::store::Action;
use taskshed::store::Add;
use taskshed::store::AddOutcome;
use taskshed::store::AddOutcome::Created;
use taskshed::store::AddOutcome::Kept;
use taskshed::store::AddOutcome::Replaced;
use taskshed::store::Existing;
use taskshed::store::Filter;

use crate::fixture::SECOND;
use crate::fixture::claim_id;
use crate::fixture::start;
use crate::requests::add;
use crate::requests::claim;
use crate::requests::id;
use crate::requests::of;
use crate::requests::planned;
use crate::requests::task;

fn duplicate(holder: &str) -> AddOutcome {
    AddOutcome::Duplicate(id(holder))
}

/// Guards T1.
#[tokio::test]
async fn an_added_task_is_scheduled_as_it_was_asked_for() {
    let shed = super::shed().await;
    let asked = task("a").run_in(5 * SECOND).group("g").expires_in(9 * SECOND).unique_key("k");

    let added = shed.store.add(&add([asked])).await.unwrap();

    assert_eq!((added.now, added.outcomes), (start(), vec![Created]));
    let kept = shed.task("a").await;
    assert_eq!(kept.state, TaskState::Scheduled);
    assert_eq!((kept.created_at, kept.run_at), (start(), start().plus(5 * SECOND)));
    assert_eq!(kept.planned_at, kept.run_at);
    assert_eq!(kept.expires_at, Some(start().plus(9 * SECOND)));
    assert_eq!((kept.attempt, kept.crashes, kept.parked), (0, 0, false));
    assert_eq!((kept.paused_at, kept.finished_at, kept.result, kept.lease), Default::default());
    assert_eq!(kept.spec.kwargs.as_str(), r#"{"n":1}"#);
    assert_eq!(kept.spec.unique_key.as_ref().unwrap().as_str(), "k");
}

#[tokio::test]
async fn a_task_can_be_added_paused_since_any_moment() {
    let shed = super::shed().await;
    let earlier = start().minus(60 * SECOND);
    shed.add([task("a").paused(), task("b").paused().paused_at(earlier)]).await;

    assert_eq!(shed.task("a").await.paused_at, Some(start()));
    assert_eq!(shed.task("b").await.paused_at, Some(earlier));
    assert!(shed.claim(&claim()).await.tasks.is_empty());
}

#[tokio::test]
async fn an_id_that_exists_is_replaced_or_kept_as_asked() {
    let shed = super::shed().await;
    shed.add([task("a").group("old").run_in(SECOND)]).await;

    let keep = Add { existing: Existing::Keep, ..add([task("a").group("new"), task("b")]) };
    let kept = shed.store.add(&keep).await.unwrap().outcomes;
    let group_of = shed.task("a").await.spec.group_id.clone();
    let replaced = shed.add([task("a").group("new")]).await;

    assert_eq!(kept, [Kept, Created]);
    assert_eq!(group_of.unwrap().as_str(), "old");
    assert_eq!(replaced, [Replaced]);
    assert_eq!(shed.task("a").await.spec.group_id.clone().unwrap().as_str(), "new");
    let old = Filter { group: Some("old".parse().unwrap()), ..Filter::default() };
    assert!(shed.list(old, 10).await.is_empty(), "it left its old group");
}

/// Guards T4: attempts and errors are forgotten, the fence is not.
#[tokio::test]
async fn a_replacement_starts_anew_and_goes_on_from_the_last_fence() {
    let shed = super::shed().await;
    let first = shed.running(task("a")).await;
    shed.end(&first, Outcome::Failed("no".into())).await;
    shed.change(Action::Pause, &["a"]).await;
    shed.clock.set_wall(start().minus(60 * SECOND));

    shed.add([task("a").run_at(start().minus(90 * SECOND))]).await;
    let fresh = shed.task("a").await;
    let second = shed.claim(&claim()).await.tasks.remove(0);

    assert_eq!((fresh.attempt, fresh.errors.len(), fresh.paused_at), (0, 0, None));
    assert!(second.lease.unwrap().fence > first.lease.unwrap().fence);
}

#[tokio::test]
async fn an_ended_task_is_replaced_too() {
    let shed = super::shed().await;
    let old = shed.running(task("a")).await;
    shed.end(&old, Outcome::Dead("no".into())).await;

    assert_eq!(shed.add([task("a")]).await, [Replaced]);

    assert_eq!(shed.state("a").await, TaskState::Scheduled);
    assert_eq!(shed.queue("default").await.dead, 0);
    assert_eq!(shed.claim_ids(&claim()).await, ["a"]);
}

/// Guards T3 and T5.
#[tokio::test]
async fn the_successor_of_a_running_task_waits_until_that_lets_go() {
    let shed = super::shed().await;
    let old = shed.running(task("a")).await;

    assert_eq!(shed.add([task("a").retention(60 * SECOND)]).await, [Replaced]);
    assert_eq!(shed.state("a").await, TaskState::Scheduled);
    assert!(shed.claim(&claim()).await.tasks.is_empty());
    let late = shed.complete(&old).await;
    let new = shed.claim(&claim()).await.tasks.remove(0);

    assert_eq!(late, Acked::Stale);
    assert_eq!(new.spec.retention, 60 * SECOND);
    assert!(new.lease.as_ref().unwrap().fence > old.lease.as_ref().unwrap().fence);
    assert_eq!(shed.complete(&old).await, Acked::Stale);
    assert_eq!(shed.complete(&new).await, Acked::Done);
}

/// Guards T3: nothing is left of the task itself, but its run goes on.
#[tokio::test]
async fn a_task_that_was_removed_while_it_ran_waits_for_that_run_when_it_comes_again() {
    let shed = super::shed().await;
    let old = shed.running(task("a")).await;
    shed.change(Action::Remove, &["a"]).await;

    assert_eq!(shed.add([task("a")]).await, [Created]);
    assert!(shed.claim(&claim()).await.tasks.is_empty());
    assert_eq!(shed.complete(&old).await, Acked::Stale);

    assert_eq!(shed.claim_ids(&claim()).await, ["a"]);
}

/// Guards T3 where tasks are added together, which a store may do in another way.
#[tokio::test]
async fn a_task_that_was_removed_while_it_ran_waits_for_that_run_when_it_comes_with_others() {
    let shed = super::shed().await;
    let old = shed.running(task("a")).await;
    shed.change(Action::Remove, &["a"]).await;

    assert_eq!(shed.add([task("b"), task("a")]).await, [Created, Created]);
    assert_eq!(shed.claim_ids(&claim()).await, ["b"]);
    assert_eq!(shed.complete(&old).await, Acked::Stale);

    assert_eq!(shed.claim_ids(&claim()).await, ["a"]);
}

/// Guards T3: the run that is told to stop is the first one, however often its task is replaced.
#[tokio::test]
async fn a_successor_that_is_replaced_or_removed_leaves_the_old_run_in_place() {
    let shed = super::shed().await;
    let old = shed.running(task("a")).await;
    shed.add([task("a")]).await;
    shed.change(Action::Remove, &["a"]).await;
    assert_eq!(shed.add([task("a")]).await, [Created]);
    assert_eq!(shed.add([task("a").group("last")]).await, [Replaced]);

    assert!(shed.claim(&claim()).await.tasks.is_empty());
    shed.clock.advance(11 * SECOND);
    shed.reclaim(claim_id(&old)).await;

    let new = shed.claim(&claim()).await.tasks.remove(0);
    assert_eq!(new.spec.group_id.as_ref().unwrap().as_str(), "last");
    assert_eq!((new.attempt, new.crashes), (1, 0));
}

/// Guards S2.
#[tokio::test]
async fn a_unique_key_has_at_most_one_live_task() {
    let shed = super::shed().await;
    let keyed = |id: &str| task(id).unique_key("k");

    assert_eq!(shed.add([keyed("a"), keyed("b")]).await, [Created, duplicate("a")]);
    let running = shed.claim(&claim()).await.tasks.remove(0);
    assert_eq!(shed.add([keyed("c")]).await, [duplicate("a")]);
    shed.end(&running, Outcome::Failed("no".into())).await;
    assert_eq!(shed.add([keyed("d")]).await, [duplicate("a")]);
    assert_eq!(shed.add([keyed("a")]).await, [Replaced]);
    shed.change(Action::Cancel, &["a"]).await;
    assert_eq!(shed.add([keyed("e")]).await, [Created]);

    for gone in ["b", "c", "d"] {
        assert!(shed.find(gone).await.is_none(), "{gone}");
    }
}

/// Guards S2: keys that earlier tasks of a batch free and take are seen by later ones.
#[tokio::test]
async fn the_tasks_of_a_batch_are_taken_in_order() {
    let shed = super::shed().await;
    shed.add([task("a").unique_key("k")]).await;

    let outcomes = shed
        .add([task("b").unique_key("k"), task("a"), task("c").unique_key("k"), task("d")])
        .await;

    assert_eq!(outcomes, [duplicate("a"), Replaced, Created, Created]);
    assert_eq!(shed.add([task("e").unique_key("k")]).await, [duplicate("c")]);
}

/// Guards S2: the task that was to be replaced stays as it is.
#[tokio::test]
async fn a_chosen_id_whose_key_another_task_holds_changes_nothing() {
    let shed = super::shed().await;
    shed.add([task("holder").unique_key("k"), task("a").unique_key("other")]).await;
    let before = shed.task("a").await;

    assert_eq!(shed.add([task("a").unique_key("k")]).await, [duplicate("holder")]);

    assert_eq!(shed.task("a").await, before);
    assert_eq!(shed.add([task("x").unique_key("other")]).await, [duplicate("a")]);
}

#[tokio::test]
async fn a_repeated_add_answers_the_same_and_adds_nothing() {
    let shed = super::shed().await;
    shed.add([task("b").unique_key("k")]).await;
    let asked = add([task("a"), task("b"), task("c").unique_key("taken"), task("d")]);
    let first = shed.store.add(&asked).await.unwrap();
    shed.change(Action::Pause, &["d"]).await;
    let running = shed.claim(&claim()).await.tasks;

    let second = shed.store.add(&asked).await.unwrap();

    assert_eq!(first.outcomes, [Created, Replaced, Created, Created]);
    assert_eq!(second.outcomes, first.outcomes);
    assert!(shed.task("d").await.paused_at.is_some());
    for task in &running {
        assert_eq!(shed.complete(task).await, Acked::Done, "{}", task.id);
    }
    assert_eq!(running.len(), 3);
}

/// Only a task that has ended *and* gone in between is added again.
#[tokio::test]
async fn a_repeated_add_finds_an_ended_task_while_it_is_kept() {
    let shed = super::shed().await;
    let asked = add([task("kept").retention(60 * SECOND), task("gone")]);
    shed.store.add(&asked).await.unwrap();
    for task in shed.claim(&claim()).await.tasks {
        shed.complete(&task).await;
    }

    assert_eq!(shed.store.add(&asked).await.unwrap().outcomes, [Created, Created]);

    assert_eq!(shed.state("kept").await, TaskState::Completed);
    assert_eq!(shed.state("gone").await, TaskState::Scheduled);
}

#[tokio::test]
async fn a_thousand_tasks_are_added_and_claimed_at_once() {
    let shed = super::shed().await;
    let mut asked = add([]);
    asked.tasks = (0..1000).map(|n| crate::requests::planned(task(&format!("t{n:03}")))).collect();

    assert_eq!(shed.store.add(&asked).await.unwrap().outcomes, vec![Created; 1000]);
    let claimed = shed.claim(&taskshed::store::Claim { limit: 1000, ..claim() }).await.tasks;
    let items: Vec<_> = claimed.iter().map(crate::requests::completed).collect();

    assert_eq!(items.len(), 1000);
    assert_eq!(shed.store.ack(&items).await.unwrap(), vec![Acked::Done; 1000]);
    assert_eq!(shed.list(Filter::default(), 1000).await, []);
}

/// What a store takes together it still keeps and answers one by one: tasks that are all new, and
/// tasks of which one takes another's place.
#[tokio::test]
async fn tasks_that_differ_are_kept_and_answered_each_as_it_is() {
    let shed = super::shed().await;
    let (at, late) = (start().plus(99 * SECOND), start().plus(200 * SECOND));
    let differ = |n: u32| {
        let callback = if n.is_multiple_of(2) { "resize" } else { "mail" };
        let mut made = of(callback, &format!("t{n}")).queue(&format!("q{}", n % 3));
        made = made.run_at(if n < 18 { at.plus(n * SECOND) } else { at });
        if n.is_multiple_of(4) {
            made = made.group("g");
        }
        if n.is_multiple_of(5) { made.expires_at(late) } else { made }
    };

    assert_eq!(
        shed.store.add(&add((0..12).map(differ))).await.unwrap().outcomes,
        vec![Created; 12]
    );
    let mixed = (12..24).map(differ).chain([differ(7)]).chain((24..30).map(differ));
    let outcomes = shed.store.add(&add(mixed)).await.unwrap().outcomes;

    let replaced: Vec<_> = (0..19).filter(|at| outcomes[*at] == Replaced).collect();
    assert_eq!((outcomes.len(), replaced), (19, vec![12]));
    for n in 0..30 {
        let (kept, asked) = (shed.task(&format!("t{n}")).await, planned(differ(n)));
        assert_eq!(kept.spec, asked.spec, "t{n}");
        assert_eq!(kept.run_at, asked.run_at.resolve(start()), "t{n}");
        assert_eq!(kept.expires_at, n.is_multiple_of(5).then_some(late), "t{n}");
        assert_eq!((kept.state, kept.created_at), (TaskState::Scheduled, start()), "t{n}");
    }
    assert_eq!(shed.queue("q0").await.scheduled, [0, 0, 10, 0]);
    assert_eq!(shed.change_group(Action::Pause, "g").await.affected, 8);
}
