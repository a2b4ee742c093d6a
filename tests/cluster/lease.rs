//! Leases are kept whatever happens to handlers and replies, and lost ones end their runs.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use serde_json::Value;
use taskshed::domain::draft::Task;
use taskshed::domain::state::TaskState;
use taskshed::events::Event;
use taskshed::handlers::Context;
use taskshed::handlers::StopCause;

use crate::faulty::Fault;
use crate::shed::Answer;
use crate::shed::LEASE;
use crate::shed::Live;
use crate::shed::MS;
use crate::shed::Shed;
use crate::shed::deaf;
use crate::shed::fine;
use crate::shed::leading;
use crate::shed::obedient;
use crate::shed::pause;
use crate::shed::steady;
use crate::shed::task;
use crate::shed::until;

/// Blocks the thread that it runs on, as a handler must not.
#[expect(clippy::disallowed_methods, reason = "the handler is to block its thread")]
async fn blocks(_: Context, _: Value) -> Answer {
    std::thread::sleep(LEASE * 3);
    Ok(Value::Null)
}

/// Guards T3, T9: handlers that block every thread of their runtime cost no lease and no probe.
#[tokio::test]
async fn a_blocked_handler_runtime_keeps_its_leases() {
    let mut shed = Shed::new();
    let leader = Live::start(shed.node_with(leading("b")).handler("other", fine));
    let live = Live::start(shed.node("a").handler("x", blocks));
    until("the node is there", async || live.handle.is_ready()).await;
    let threads = std::thread::available_parallelism().unwrap().get();
    let tasks: Vec<_> = (0..threads * 2).map(|_| task("x")).collect();
    let added = shed.scheduler.add_all(tasks, taskshed::store::Existing::Keep).await.unwrap();
    shed.hear(|event| matches!(event, Event::Started { .. }).then_some(())).await;

    let began = steady();
    while steady() < began + LEASE * 2 {
        assert!(live.handle.is_ready(), "a probe failed while handlers block");
        pause(MS * 20).await;
    }

    let mut ended = 0;
    while ended < added.len() {
        let event = shed.hear(|event| Some(event.clone())).await;
        match event {
            Event::Ended { state, .. } => {
                assert_eq!(state, TaskState::Completed);
                ended += 1;
            }
            Event::Stale { .. } | Event::Reclaimed { .. } => panic!("{event:?}"),
            _ => {}
        }
    }
    assert!(live.drain().await.is_clean());
    assert!(leader.drain().await.is_clean());
}

#[tokio::test]
async fn a_claim_whose_reply_was_lost_is_repeated_and_runs_once() {
    let mut shed = Shed::new();
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    let counts = move |context: Context, _: Value| {
        count.fetch_add(1, SeqCst);
        std::future::ready(Ok(context.attempt()))
    };
    let id = shed.add(task("x").retention(Duration::from_secs(60))).await;
    shed.store.plan("claim", Fault::Reply, 3);

    let live = Live::start(shed.node("a").handler("x", counts));

    assert_eq!(shed.ended(&id).await, (TaskState::Completed, None));
    assert_eq!(shed.find(&id).await.crashes, 0);
    assert!(live.drain().await.is_clean());
    assert_eq!(runs.load(SeqCst), 1);
}

/// Guards T3, T9: neither lost requests nor lost replies of renewals cost a lease.
#[tokio::test]
async fn lost_renewals_are_made_up_for() {
    for fault in [Fault::Request, Fault::Reply] {
        let mut shed = Shed::new();
        let leader = Live::start(shed.node_with(leading("b")).handler("other", fine));
        let live = Live::start(shed.node("a").handler("x", obedient));
        let id = shed.add(task("x").exclusive().timeout(LEASE * 5 / 2)).await;
        shed.started(&id).await;

        shed.store.plan("keep", fault, 4);

        let told = (TaskState::Scheduled, Some("timed out after 2s500ms".into()));
        assert_eq!(shed.ended(&id).await, told, "{fault:?}");
        assert!(live.drain().await.is_clean());
        assert!(leader.drain().await.is_clean());
    }
}

/// Guards N3, T5: a run whose lease is lost is told at once, and its outcome changes nothing.
#[tokio::test]
async fn a_lost_lease_stops_its_run_within_a_second() {
    let mut shed = Shed::new();
    let live = Live::start(shed.node("a").handler("x", obedient));
    let id = shed.add_due("x").await;
    shed.started(&id).await;

    shed.pause_claims().await;
    shed.take_away(&id).await;
    let taken = steady();
    shed.hear(|event| matches!(event, Event::Stale { .. }).then_some(())).await;

    let took = steady().saturating_sub(taken);
    assert!(took < Duration::from_secs(1), "{took:?}");
    let kept = shed.find(&id).await;
    assert_eq!((kept.state, kept.attempt, kept.errors.len()), (TaskState::Scheduled, 0, 0));
    assert!(live.drain().await.is_clean());
}

/// Guards N3: a run that does not listen is dropped.
#[tokio::test]
async fn a_deaf_run_whose_lease_is_lost_is_dropped_within_a_second() {
    let mut shed = Shed::new();
    let live = Live::start(shed.node("a").handler("x", deaf));
    let id = shed.add_due("x").await;
    shed.started(&id).await;

    shed.pause_claims().await;
    shed.take_away(&id).await;
    let taken = steady();
    until("the run is dropped", async || live.handle.status().held == 0).await;

    let took = steady().saturating_sub(taken);
    assert!(took < Duration::from_secs(1), "{took:?}");
}

/// Guards N2, T1: tasks of a node that died run again on another, within the bound.
#[tokio::test]
async fn tasks_of_a_dead_node_run_again_in_time() {
    let mut shed = Shed::new();
    let dying = Live::start(shed.node("a").handler("x", deaf));
    let id = shed.add_due("x").await;
    assert_eq!(shed.started(&id).await, "a");
    let heir = Live::start(shed.node_with(leading("b")).handler("x", fine));
    until("somebody leads", async || heir.handle.leader().is_some()).await;

    dying.kill().await;
    let died = steady();

    assert_eq!(shed.started(&id).await, "b");
    let took = steady().saturating_sub(died);
    let bound = LEASE + LEASE / 2 + Duration::from_millis(1500);
    assert!(took < bound, "{took:?} of {bound:?}");
    assert_eq!(shed.ended(&id).await, (TaskState::Completed, None));
    assert!(heir.drain().await.is_clean());
}

/// Guards T3: a lease is renewed as long as its run takes.
#[tokio::test]
async fn a_run_that_outlives_many_leases_is_not_disturbed() {
    let mut shed = Shed::new();
    let leader = Live::start(shed.node_with(leading("b")).handler("other", fine));
    let slow = async |context: Context, _: Value| -> Answer {
        tokio::select! {
            cause = context.stopped() => panic!("{cause:?}"),
            () = pause(LEASE * 3) => Ok(Value::Null),
        }
    };
    let live = Live::start(shed.node("a").handler("x", slow));

    let id = shed.add(Task::new("x", &serde_json::json!({})).unwrap().max_attempts(1)).await;

    assert_eq!(shed.ended(&id).await, (TaskState::Completed, None));
    assert!(live.drain().await.is_clean());
    assert!(leader.drain().await.is_clean());
}

/// Guards N3: handlers learn why.
#[tokio::test]
async fn a_handler_hears_that_its_lease_is_lost() {
    let mut shed = Shed::new();
    let (tell, mut told) = tokio::sync::mpsc::channel(1);
    let tells = move |context: Context, _: Value| {
        let tell = tell.clone();
        async move {
            tell.send(context.stopped().await).await?;
            Ok(())
        }
    };
    let _live = Live::start(shed.node("a").handler("x", tells));
    let id = shed.add_due("x").await;
    shed.started(&id).await;

    shed.pause_claims().await;
    shed.take_away(&id).await;

    assert_eq!(told.recv().await, Some(StopCause::LeaseLost));
}
