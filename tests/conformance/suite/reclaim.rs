//! Looks at leases, and the end of those whose holder is gone.

use taskshed::domain::id::ProcessId;
use taskshed::domain::state::Outcome;
use taskshed::domain::state::TaskState;
use taskshed::store::Acked;
use taskshed::store::Action;
use taskshed::store::Beat;
use taskshed::store::Claim;
use taskshed::store::HolderKind;
use taskshed::store::Keep;
use taskshed::store::Led;
use taskshed::store::Reclaim;
use taskshed::store::Scope;

use crate::fixture::SECOND;
use crate::fixture::Shed;
use crate::fixture::claim_id;
use crate::fixture::ids;
use crate::fixture::sorted_ids;
use crate::fixture::start;
use crate::requests::beat;
use crate::requests::claim;
use crate::requests::claim_of;
use crate::requests::roomy;
use crate::requests::task;

/// Whether the only expired lease seems to be that of a dead holder.
async fn crashed(shed: &Shed) -> bool {
    let views = shed.look(Scope::Expired).await;
    assert_eq!(views.len(), 1);
    views[0].crashed
}

#[tokio::test]
async fn a_look_shows_expired_leases_with_the_earliest_end_first() {
    let shed = super::shed().await;
    shed.add([task("a"), task("b"), task("c")]).await;
    let wish = |seconds: u32| Claim { limit: 1, ttl: seconds * SECOND, ..claim() };
    let (late, early, alive) = (wish(8), wish(5), wish(60));
    for wish in [&late, &early, &alive] {
        shed.claim(wish).await;
    }
    assert!(shed.look(Scope::Expired).await.is_empty());
    shed.clock.advance(8 * SECOND);

    let views = shed.look(Scope::Expired).await;

    let claims: Vec<_> = views.iter().map(|view| &view.claim).collect();
    assert_eq!(claims, [&early.id, &late.id]);
    let view = &views[0];
    assert_eq!((view.ttl, view.grace, view.kind), (5 * SECOND, 2 * SECOND, HolderKind::Node));
    assert_eq!((&view.node, &view.process), (&early.holder.node, &early.holder.process));
    assert_eq!(view.expires_at, start().plus(5 * SECOND));
    assert!(view.tasks.is_empty());
    let skipped = shed.look(Scope::All { skip: 1 }).await;
    let claims: Vec<_> = skipped.iter().map(|view| &view.claim).collect();
    assert_eq!(claims, [&late.id, &alive.id]);
}

#[tokio::test]
async fn a_look_at_claims_shows_what_they_hold() {
    let shed = super::shed().await;
    shed.add([task("a"), task("b"), task("c"), task("d")]).await;
    let wish = claim();
    let runs = shed.claim(&wish).await.tasks;
    shed.complete(&runs[0]).await;
    shed.change(Action::Remove, &["b"]).await;
    shed.add([task("c")]).await;

    let views = shed.look(Scope::Claims(vec![claim().id, wish.id.clone()])).await;

    assert_eq!(views.len(), 1, "an unknown claim has no lease");
    assert_eq!(ids(&views[0].tasks), ["d"], "without runs that were replaced or removed");
    assert_eq!(views[0].tasks[0], runs[3]);
}

/// A lease carries the length it was last prolonged by, and the grace it was claimed with.
#[tokio::test]
async fn a_look_shows_the_length_of_the_last_renewal() {
    let shed = super::shed().await;
    let run = shed.running(task("a")).await;
    let claims = vec![claim_id(&run).clone()];
    shed.store.keep(&Keep { beat: None, claims, ttl: 3 * SECOND }).await.unwrap();

    let view = shed.look(Scope::All { skip: 0 }).await.remove(0);

    assert_eq!((view.ttl, view.grace), (3 * SECOND, 2 * SECOND));
    assert_eq!(view.expires_at, start().plus(3 * SECOND));
}

#[tokio::test]
async fn reclaimed_tasks_go_back_uncharged() {
    let shed = super::shed().await;
    shed.add([task("a"), task("b")]).await;
    let wish = claim();
    shed.claim(&wish).await;
    shed.clock.advance(13 * SECOND);

    assert_eq!(shed.reclaim(&wish.id).await, 2);

    let back = shed.task("a").await;
    assert_eq!((back.state, back.attempt, back.crashes), (TaskState::Scheduled, 0, 1));
    assert_eq!((back.run_at, back.planned_at, back.lease), (start(), start(), None));
    assert_eq!(shed.keep(&[&wish.id]).await.lost, std::slice::from_ref(&wish.id));
    let again = shed.claim(&claim_of("node-b")).await.tasks;
    assert_eq!(sorted_ids(&again), ["a", "b"]);
    assert!(shed.claim(&wish).await.tasks.is_empty(), "the claim has ended");
}

/// Guards T5 and T3: prolonged between the two looks, it is alive.
#[tokio::test]
async fn a_lease_with_another_end_is_left_alone() {
    let shed = super::shed().await;
    let run = shed.running(task("a")).await;
    shed.clock.advance(11 * SECOND);
    let seen = shed.look(Scope::Claims(vec![claim_id(&run).clone()])).await.remove(0);
    let reclaim = shed.reclaim_of(&seen).await;
    shed.keep(&[claim_id(&run)]).await;

    assert_eq!(shed.store.reclaim(&reclaim).await.unwrap(), Led::Done(0));

    assert_eq!(shed.state("a").await, TaskState::Running);
    assert_eq!(shed.complete(&run).await, Acked::Done);
}

#[tokio::test]
async fn a_repeated_reclaim_takes_nothing() {
    let shed = super::shed().await;
    let run = shed.running(task("a")).await;
    shed.clock.advance(11 * SECOND);
    let seen = shed.look(Scope::Claims(vec![claim_id(&run).clone()])).await.remove(0);
    let reclaim = shed.reclaim_of(&seen).await;
    assert_eq!(shed.store.reclaim(&reclaim).await.unwrap(), Led::Done(1));
    let other = shed.claim(&claim_of("node-b")).await.tasks.remove(0);

    assert_eq!(shed.store.reclaim(&reclaim).await.unwrap(), Led::Done(0));

    assert_eq!(shed.task("a").await, other);
}

/// Guards T1: they are looked at again.
#[tokio::test]
async fn tasks_that_no_verdict_names_stay_with_the_lease() {
    let shed = super::shed().await;
    shed.add([task("a"), task("b")]).await;
    let wish = claim();
    shed.claim(&wish).await;
    shed.clock.advance(11 * SECOND);
    let seen = shed.look(Scope::Claims(vec![wish.id.clone()])).await.remove(0);
    let mut reclaim = shed.reclaim_of(&seen).await;
    reclaim.items.retain(|item| item.task.as_str() == "a");

    assert_eq!(shed.store.reclaim(&reclaim).await.unwrap(), Led::Done(1));

    assert_eq!(shed.state("b").await, TaskState::Running);
    let left = shed.look(Scope::Claims(vec![wish.id.clone()])).await.remove(0);
    assert_eq!(ids(&left.tasks), ["b"]);
    assert_eq!(shed.reclaim(&wish.id).await, 1);
}

/// Guards T5: a task that the claim does not hold any more keeps its own course.
#[tokio::test]
async fn a_verdict_for_a_task_that_left_the_claim_changes_nothing() {
    let shed = super::shed().await;
    let run = shed.running(task("a").every(60 * SECOND)).await;
    let late = shed.running(task("b")).await;
    shed.clock.advance(11 * SECOND);
    let seen = shed.look(Scope::Claims(vec![claim_id(&run).clone()])).await.remove(0);
    let stolen = shed.reclaim_of(&seen).await;
    shed.complete(&run).await;
    let next = shed.task("a").await;

    let other = Reclaim { claim: claim_id(&late).clone(), ..stolen };
    assert_eq!(shed.store.reclaim(&other).await.unwrap(), Led::Done(0));

    assert_eq!(shed.task("a").await, next);
    assert_eq!(shed.state("b").await, TaskState::Running);
}

/// Guards T3.
#[tokio::test]
async fn a_reclaim_lets_the_successors_of_replaced_runs_go() {
    let shed = super::shed().await;
    shed.add([task("a"), task("b")]).await;
    let wish = claim();
    shed.claim(&wish).await;
    shed.add([task("a")]).await;
    shed.change(Action::Remove, &["b"]).await;
    shed.clock.advance(11 * SECOND);

    assert_eq!(shed.reclaim(&wish.id).await, 0, "only runs of present tasks are taken");

    let successor = shed.claim(&claim()).await.tasks.remove(0);
    assert_eq!((successor.id.as_str(), successor.crashes), ("a", 0));
    assert!(shed.find("b").await.is_none());
    assert_eq!(shed.look(Scope::All { skip: 0 }).await.len(), 1);
}

#[tokio::test]
async fn a_reclaim_yields_to_what_was_asked_meanwhile() {
    let shed = super::shed().await;
    shed.add([task("cancelled"), task("paused"), task("plain")]).await;
    let wish = claim();
    shed.claim(&wish).await;
    shed.change(Action::Cancel, &["cancelled"]).await;
    shed.change(Action::Pause, &["paused"]).await;
    shed.clock.advance(11 * SECOND);

    assert_eq!(shed.reclaim(&wish.id).await, 3);

    assert_eq!(shed.state("cancelled").await, TaskState::Cancelled);
    assert_eq!(shed.task("paused").await.paused_at, Some(start()));
    assert_eq!(shed.claim_ids(&claim()).await, ["plain"]);
}

/// Guards S1: the occurrence of a dead node runs again under its own planned time.
#[tokio::test]
async fn a_reclaimed_occurrence_keeps_its_planned_time() {
    let shed = super::shed().await;
    let run = shed.running(task("a").every(5 * SECOND)).await;
    shed.clock.advance(21 * SECOND);
    shed.reclaim(claim_id(&run)).await;

    let again = shed.claim(&claim()).await.tasks.remove(0);

    assert_eq!(again.planned_at, start());
    shed.complete(&again).await;
    assert_eq!(shed.task("a").await.run_at, start().plus(25 * SECOND), "the missed ones coalesce");
}

#[tokio::test]
async fn a_node_that_never_beat_seems_dead() {
    let shed = super::shed().await;
    shed.running(task("a")).await;
    shed.clock.advance(11 * SECOND);

    assert!(crashed(&shed).await);
}

#[tokio::test]
async fn a_node_that_beats_without_its_claim_is_alive() {
    let shed = super::shed().await;
    let run = shed.running(task("a")).await;
    shed.clock.advance(11 * SECOND);
    let beats = Keep { beat: Some(beat("node-a")), claims: Vec::new(), ttl: 10 * SECOND };
    shed.store.keep(&beats).await.unwrap();

    assert!(!crashed(&shed).await, "its claim's reply was lost");
    shed.reclaim(claim_id(&run)).await;
    assert_eq!(shed.task("a").await.crashes, 0);
}

#[tokio::test]
async fn a_node_that_fell_silent_with_its_lease_seems_dead() {
    let shed = super::shed().await;
    let run = shed.running(task("a")).await;
    shed.clock.advance(SECOND);
    let claims = vec![claim_id(&run).clone()];
    let both = Keep { beat: Some(beat("node-a")), claims, ttl: 10 * SECOND };
    shed.store.keep(&both).await.unwrap();
    shed.clock.advance(11 * SECOND);

    assert!(crashed(&shed).await);
}

#[tokio::test]
async fn an_old_process_of_a_node_that_started_anew_seems_dead() {
    let shed = super::shed().await;
    shed.running(task("a")).await;
    shed.clock.advance(11 * SECOND);
    let process = ProcessId::parse("node-a-second").unwrap();
    let anew = Beat { process, ..beat("node-a") };
    let beats = Keep { beat: Some(anew), claims: Vec::new(), ttl: 10 * SECOND };
    shed.store.keep(&beats).await.unwrap();

    assert!(crashed(&shed).await);
}

#[tokio::test]
async fn a_lapsed_claim_of_a_remote_worker_always_counts_as_a_crash() {
    let shed = super::shed().await;
    shed.add([task("a")]).await;
    let mut wish = claim();
    wish.holder.kind = HolderKind::Remote;
    shed.claim(&wish).await;
    shed.clock.advance(11 * SECOND);
    let beats = Keep { beat: Some(beat("node-a")), claims: Vec::new(), ttl: 10 * SECOND };
    shed.store.keep(&beats).await.unwrap();

    assert!(crashed(&shed).await);
}

/// Guards T7: crashes are counted apart from attempts, and end at their limit.
#[tokio::test]
async fn a_task_whose_node_dies_five_times_in_a_row_is_dead() {
    let shed = super::shed().await;
    shed.add([task("a").max_attempts(1)]).await;

    shed.crash(5).await;

    let dead = shed.task("a").await;
    assert_eq!((dead.state, dead.attempt, dead.crashes), (TaskState::Dead, 0, 5));
    assert_eq!(dead.errors[0].message, "its node died 5 times while it ran");
    assert!(shed.claim(&roomy()).await.tasks.is_empty());
    shed.change(Action::Retry, &["a"]).await;
    assert_eq!(shed.claim(&claim()).await.tasks[0].crashes, 0);
}

#[tokio::test]
async fn a_run_that_ends_clears_the_crashes_and_one_that_is_handed_back_does_not() {
    let shed = super::shed().await;
    shed.add([task("a")]).await;
    shed.crash(1).await;
    let run = shed.claim(&claim()).await.tasks.remove(0);
    shed.end(&run, Outcome::Released).await;
    assert_eq!(shed.task("a").await.crashes, 1);
    let run = shed.claim(&claim()).await.tasks.remove(0);

    shed.end(&run, Outcome::Failed("no".into())).await;

    assert_eq!(shed.task("a").await.crashes, 0);
}
