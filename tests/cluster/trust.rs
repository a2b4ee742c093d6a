//! What a node does when it cannot reach the store: it trusts its leases no longer than it may.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use taskshed::clock::Clock;
use taskshed::domain::state::TaskState;
use taskshed::events::Event;
use taskshed::handlers::Context;

use crate::shed::Answer;
use crate::shed::LEASE;
use crate::shed::Live;
use crate::shed::MS;
use crate::shed::Shed;
use crate::shed::fine;
use crate::shed::pause;
use crate::shed::steady;
use crate::shed::task;
use crate::shed::until;

/// Notes when the run was dropped.
struct Dropped(Arc<Mutex<Option<Duration>>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        *self.0.lock().unwrap() = Some(steady());
    }
}

/// How a store goes away.
#[derive(Clone, Copy, Debug)]
enum Away {
    /// Calls fail.
    Cut,
    /// Calls hang.
    Frozen,
    /// The part of it that keeps the leases does not answer.
    Part,
}

fn set_away(shed: &Shed, away: Away, is_away: bool) {
    match away {
        Away::Cut => shed.store.cut(is_away),
        Away::Frozen => shed.store.freeze(is_away),
        Away::Part => shed.store.part(is_away),
    }
}

/// Guards T9, N3: the lease was last prolonged before the store went away, so it ends a lease later
/// at the latest; by then a run of an exclusive task has ended, even if it does not listen.
#[tokio::test]
async fn an_exclusive_run_has_ended_before_its_lease_does() {
    for away in [Away::Cut, Away::Frozen, Away::Part] {
        let mut shed = Shed::new();
        let dropped = Arc::new(Mutex::new(None));
        let note = Arc::clone(&dropped);
        let deaf = move |_: Context, _: Value| {
            let note = Dropped(Arc::clone(&note));
            async move {
                let _note = note;
                std::future::pending::<Answer>().await
            }
        };
        let live = Live::start(shed.node("a").handler("x", deaf));
        let id = shed.add(task("x").exclusive()).await;
        shed.started(&id).await;
        pause(LEASE * 2).await;
        assert_eq!(*dropped.lock().unwrap(), None, "it was stopped although the store answers");

        set_away(&shed, away, true);
        let went = steady();
        until("the run is dropped", async || dropped.lock().unwrap().is_some()).await;

        let took = dropped.lock().unwrap().unwrap().saturating_sub(went);
        assert!(took < LEASE, "{away:?}: {took:?} of {LEASE:?}");
        set_away(&shed, away, false);
        assert_eq!(shed.ended(&id).await, (TaskState::Scheduled, None));
        assert_eq!(shed.find(&id).await.attempt, 1, "it runs again, as its first attempt");
        live.handle.stop_now();
        let left = live.left().await;
        assert!(left.is_clean(), "{away:?} {left:?}");
    }
}

/// Guards T9: an hour's work is not thrown away for a store that is away for a while.
#[tokio::test]
async fn another_run_goes_on_while_the_store_is_away_and_its_outcome_is_accepted() {
    for away in [Away::Cut, Away::Frozen] {
        let mut shed = Shed::new();
        let slow = async |context: Context, _: Value| -> Answer {
            tokio::select! {
                cause = context.stopped() => panic!("{cause:?}"),
                () = pause(LEASE * 2) => Ok(Value::Null),
            }
        };
        let live = Live::start(shed.node("a").handler("x", slow));
        let id = shed.add_due("x").await;
        shed.started(&id).await;

        set_away(&shed, away, true);
        until("the run has ended", async || live.handle.status().held == 0).await;
        assert!(!live.handle.is_ready(), "{away:?}: a node without its store is not ready");
        set_away(&shed, away, false);

        assert_eq!(shed.ended(&id).await, (TaskState::Completed, None), "{away:?}");
        until("the node is ready again", async || live.handle.is_ready()).await;
        assert!(live.drain().await.is_clean());
    }
}

/// Guards T9: a node that was stopped for longer than its lease does not start what it had claimed.
#[tokio::test]
async fn no_run_starts_from_a_claim_that_is_not_trusted_any_more() {
    let (mut shed, clock) = Shed::manual();
    let live = Live::start(shed.node("a").handler("x", fine));
    until("the node is there", async || live.handle.is_ready()).await;
    let id = shed.add(task("x").run_in(MS * 40)).await;
    until("the task is claimed ahead", async || live.handle.status().held == 1).await;

    shed.store.freeze(true);
    clock.advance(LEASE * 5);
    pause(MS * 200).await;
    let started = shed.rest().iter().any(|event| matches!(event, Event::Started { .. }));
    assert!(!started, "it ran although its lease may be over");

    shed.store.freeze(false);
    assert_eq!(shed.started(&id).await, "a");
    assert_eq!(shed.ended(&id).await, (TaskState::Completed, None));
}

/// Guards T8: a task that was claimed ahead must wait if the store's clock is set back, but not here,
/// where it would hold a slot and a lease for an hour, and could not be cancelled.
#[tokio::test]
async fn a_task_that_was_claimed_ahead_is_handed_back_if_the_clock_is_set_back() {
    let (mut shed, clock) = Shed::manual();
    let live = Live::start(shed.node("a").handler("x", fine));
    until("the node is there", async || live.handle.is_ready()).await;
    let id = shed.add(task("x").run_in(MS * 40)).await;
    until("the task is claimed ahead", async || live.handle.status().held == 1).await;

    clock.set_wall(clock.wall().minus(Duration::from_secs(3600)));
    live.handle.beat();

    until("it is handed back", async || live.handle.status().held == 0).await;
    until("the store knows", async || shed.find(&id).await.state == TaskState::Scheduled).await;
    assert!(!shed.rest().iter().any(|event| matches!(event, Event::Started { .. })));
}

/// Guards T9: the same when the lease turns out to be lost.
#[tokio::test]
async fn a_run_that_waits_for_trust_never_starts_if_the_lease_is_lost() {
    let (mut shed, clock) = Shed::manual();
    let live = Live::start(shed.node("a").handler("x", fine));
    until("the node is there", async || live.handle.is_ready()).await;
    let id = shed.add(task("x").run_in(MS * 40)).await;
    until("the task is claimed ahead", async || live.handle.status().held == 1).await;

    shed.store.freeze(true);
    clock.advance(LEASE * 5);
    shed.pause_claims().await;
    shed.take_away(&id).await;
    shed.store.freeze(false);

    shed.hear(|event| match event {
        Event::Stale { .. } => Some(()),
        Event::Started { .. } => panic!("it ran under a lost lease"),
        _ => None,
    })
    .await;
}
