//! Claiming due tasks.

use std::time::Duration;

use taskshed::domain::id::ClaimId;
use taskshed::domain::id::QueueName;
use taskshed::domain::lease::Fence;
use taskshed::domain::state::Outcome;
use taskshed::domain::state::TaskState;
use taskshed::domain::task::Priority;
use taskshed::store::Acked;
use taskshed::store::Action;
use taskshed::store::Claim;
use taskshed::store::ENDED_CLAIM_KEPT;
use taskshed::store::Gate;
use taskshed::store::Holder;
use taskshed::store::HolderKind;

use crate::fixture::SECOND;
use crate::fixture::almost;
use crate::fixture::claim_id;
use crate::fixture::ids;
use crate::fixture::start;
use crate::requests::claim;
use crate::requests::claim_of;
use crate::requests::queue;
use crate::requests::task;

#[tokio::test]
async fn a_claimed_task_runs_under_the_lease_of_its_claim() {
    let shed = super::shed().await;
    shed.add([task("a"), task("b")]).await;
    let wish = claim();

    let claimed = shed.claim(&wish).await;

    assert_eq!(ids(&claimed.tasks), ["a", "b"]);
    for task in &claimed.tasks {
        let lease = task.lease.as_ref().unwrap();
        assert_eq!(lease.claim_id, wish.id);
        assert_eq!(lease.node, wish.holder.node);
        assert_eq!(lease.expires_at, start().plus(wish.ttl));
        assert_eq!((task.state, task.attempt), (TaskState::Running, 1));
        assert_eq!(shed.task(task.id.as_str()).await, *task);
    }
    assert_eq!((claimed.more, claimed.next_run_at, claimed.isolate), (false, None, false));
    assert!(claimed.corrupt.is_empty());
}

/// Guards T8.
#[tokio::test]
async fn a_task_is_due_when_the_stores_clock_and_the_head_start_reach_it() {
    let shed = super::shed().await;
    shed.add([task("a").run_in(SECOND)]).await;
    let ahead = |ms| Claim { ahead: Duration::from_millis(ms), ..claim() };

    assert!(shed.claim(&ahead(0)).await.tasks.is_empty());
    shed.clock.advance(Duration::from_micros(949_999));
    let early = shed.claim(&ahead(50)).await;
    shed.clock.advance(Duration::from_micros(1));
    let in_time = shed.claim(&ahead(50)).await;

    assert!(early.tasks.is_empty());
    assert_eq!((early.next_run_at, early.more), (Some(start().plus(SECOND)), false));
    assert_eq!(ids(&in_time.tasks), ["a"]);
}

#[tokio::test]
async fn queues_are_served_in_the_order_given() {
    let shed = super::shed().await;
    shed.add([task("a"), task("b").queue("mail"), task("c").queue("other")]).await;
    let wish = Claim { queues: vec![queue("mail"), queue("default")], ..claim() };

    assert_eq!(shed.claim_ids(&wish).await, ["b", "a"]);
    assert_eq!(shed.state("c").await, TaskState::Scheduled);
}

#[tokio::test]
async fn priority_comes_before_run_at_and_run_at_before_id() {
    let shed = super::shed().await;
    let at = |id: &str, seconds: u32, priority| {
        task(id).run_at(start().minus(seconds * SECOND)).priority(priority)
    };
    shed.add([
        at("a", 1, Priority::Low),
        at("b", 1, Priority::Normal),
        at("c", 2, Priority::Normal),
        at("e", 3, Priority::Normal),
        at("d", 3, Priority::Normal),
        at("f", 1, Priority::High),
        at("g", 0, Priority::Critical),
    ])
    .await;

    let first = shed.claim(&Claim { limit: 4, ..claim() }).await;

    assert_eq!(ids(&first.tasks), ["g", "f", "d", "e"]);
    assert!(first.more);
    assert_eq!(first.next_run_at, Some(start().minus(2 * SECOND)));
    assert_eq!(shed.claim_ids(&claim()).await, ["c", "b", "a"]);
}

/// Guards T8: a paused queue gives nothing, and nothing of it shows.
#[tokio::test]
async fn nothing_is_claimed_from_a_paused_queue() {
    let shed = super::shed().await;
    shed.add([task("a"), task("b").queue("mail")]).await;
    shed.store.set_queue(&queue("default"), Gate::Paused).await.unwrap();
    let both = || Claim { queues: vec![queue("default"), queue("mail")], ..claim() };

    let paused = shed.claim(&both()).await;
    assert_eq!(ids(&paused.tasks), ["b"]);
    assert_eq!((paused.next_run_at, paused.more), (None, false));
    assert!(shed.queue("default").await.paused);
    shed.store.set_queue(&queue("default"), Gate::Paused).await.unwrap();
    shed.store.set_queue(&queue("default"), Gate::Open).await.unwrap();
    assert_eq!(shed.claim_ids(&both()).await, ["a"]);
    assert!(!shed.queue("default").await.paused);
}

/// Guards T3.
#[tokio::test]
async fn a_leased_task_is_not_claimed_again_even_when_its_lease_is_over() {
    let shed = super::shed().await;
    shed.running(task("a")).await;

    assert!(shed.claim(&claim_of("node-b")).await.tasks.is_empty());
    shed.clock.advance(3600 * SECOND);
    assert!(shed.claim(&claim_of("node-b")).await.tasks.is_empty());
}

/// Guards T4: also when the clock steps back.
#[tokio::test]
async fn fences_of_a_task_only_grow() {
    let shed = super::shed().await;
    let mut last = Fence(0);
    shed.add([task("a").run_at(start().minus(600 * SECOND))]).await;

    for step in [0, 1, 0, 300, 2] {
        shed.clock.set_wall(start().minus(step * SECOND));
        let now = shed.now().await;
        let task = shed.claim(&claim()).await.tasks.remove(0);
        let fence = task.lease.as_ref().unwrap().fence;
        assert!(fence > last, "{fence:?} after {last:?}");
        assert!(fence.0 >= now.as_us().unsigned_abs());
        last = fence;
        shed.end(&task, Outcome::Released).await;
    }
}

#[tokio::test]
async fn a_repeated_claim_answers_the_tasks_that_it_still_holds() {
    let shed = super::shed().await;
    shed.add([task("a"), task("b").priority(Priority::High), task("c")]).await;
    let wish = Claim { limit: 2, ..claim() };
    let first = shed.claim(&wish).await;

    let second = shed.claim(&wish).await;
    shed.complete(&first.tasks[0]).await;
    let third = shed.claim(&wish).await;

    assert_eq!(ids(&first.tasks), ["b", "a"]);
    assert_eq!(second, first);
    assert_eq!(third.tasks, first.tasks[1..]);
    assert_eq!(shed.state("c").await, TaskState::Scheduled);
}

/// Guards T5: a repeat that arrives late takes nothing.
#[tokio::test]
async fn the_id_of_a_claim_that_has_ended_is_remembered_and_answers_empty() {
    let shed = super::shed().await;
    let task_a = shed.running(task("a")).await;
    shed.complete(&task_a).await;
    shed.add([task("b")]).await;
    let late = Claim { id: claim_id(&task_a).clone(), ..claim() };

    shed.clock.advance(almost(ENDED_CLAIM_KEPT));
    shed.maintain().await;
    let answer = shed.claim(&late).await;

    assert!(answer.tasks.is_empty());
    assert_eq!(shed.state("b").await, TaskState::Scheduled);
}

#[tokio::test]
async fn a_claim_that_found_nothing_may_be_sent_again() {
    let shed = super::shed().await;
    let wish = claim();
    assert!(shed.claim(&wish).await.tasks.is_empty());
    shed.add([task("a")]).await;

    assert_eq!(shed.claim_ids(&wish).await, ["a"]);
}

/// A repeat without queues is a look at what a claim holds, also when a queue is paused.
#[tokio::test]
async fn a_repeat_that_names_no_queue_shows_what_is_held_and_takes_nothing() {
    let shed = super::shed().await;
    shed.add([task("a"), task("b")]).await;
    shed.store.set_queue(&QueueName::parse("closed").unwrap(), Gate::Paused).await.unwrap();
    let first = shed.claim(&Claim { limit: 1, ..claim() }).await;
    let held = claim_id(&first.tasks[0]).clone();
    let kind = HolderKind::Remote;
    let look = |id: ClaimId| {
        let wish = claim();
        let holder = Holder { kind, ..wish.holder };
        Claim { id, holder, queues: Vec::new(), callbacks: Some([].into()), ..wish }
    };

    let known = shed.claim(&look(held)).await;
    let unknown = shed.claim(&look(claim().id)).await;

    assert_eq!(known.tasks, first.tasks);
    assert!(unknown.tasks.is_empty());
    assert_eq!(shed.state("b").await, TaskState::Scheduled);
}

#[tokio::test]
async fn a_repeated_claim_does_not_prolong_its_lease() {
    let shed = super::shed().await;
    shed.add([task("a")]).await;
    let wish = claim();
    let first = shed.claim(&wish).await;
    shed.clock.advance(5 * SECOND);

    assert_eq!(shed.claim(&wish).await.tasks, first.tasks);
}

/// Guards T8: what the reply promised holds for every later claim.
#[tokio::test]
async fn no_claim_takes_a_task_that_was_paused_cancelled_or_removed() {
    let shed = super::shed().await;
    shed.add([task("a"), task("b"), task("c"), task("d").run_in(SECOND)]).await;
    shed.change(Action::Pause, &["a"]).await;
    shed.change(Action::Cancel, &["b"]).await;
    shed.change(Action::Remove, &["c"]).await;

    let claimed = shed.claim(&claim()).await;

    assert!(claimed.tasks.is_empty());
    assert_eq!(claimed.next_run_at, Some(start().plus(SECOND)));
}

/// Guards T8: a task is not run after its expiry, although no leader has tidied up.
#[tokio::test]
async fn a_task_that_is_met_after_its_expiry_ends_as_expired_and_counts() {
    let shed = super::shed().await;
    shed.add([task("a").expires_in(SECOND), task("b")]).await;
    shed.clock.advance(SECOND);

    let first = shed.claim(&Claim { limit: 1, ..claim() }).await;
    let second = shed.claim(&Claim { limit: 1, ..claim() }).await;

    assert!(first.tasks.is_empty() && first.more);
    assert_eq!(ids(&second.tasks), ["b"]);
    let late = shed.task("a").await;
    assert_eq!((late.state, late.finished_at), (TaskState::Expired, Some(start().plus(SECOND))));
    assert_eq!((late.attempt, shed.queue("default").await.expired), (0, 1));
}

#[tokio::test]
async fn a_task_that_was_claimed_once_does_not_expire() {
    let shed = super::shed().await;
    let first = shed.running(task("a").expires_in(5 * SECOND)).await;
    shed.end(&first, Outcome::Released).await;
    shed.clock.advance(60 * SECOND);

    assert_eq!(shed.maintain().await.expired, 0);
    assert_eq!(shed.claim_ids(&claim()).await, ["a"]);
}

#[tokio::test]
async fn claims_of_many_tasks_end_with_their_last_one() {
    let shed = super::shed().await;
    shed.add([task("a"), task("b")]).await;
    let claimed = shed.claim(&claim()).await.tasks;
    let id: ClaimId = claim_id(&claimed[0]).clone();

    assert_eq!(shed.complete(&claimed[1]).await, Acked::Done);
    assert!(shed.keep(&[&id]).await.lost.is_empty());
    assert_eq!(shed.complete(&claimed[0]).await, Acked::Done);
    assert_eq!(shed.keep(&[&id]).await.lost, [id]);
}
