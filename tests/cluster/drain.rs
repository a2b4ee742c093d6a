//! How a node leaves (N1).

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use taskshed::Node;
use taskshed::domain::state::TaskState;
use taskshed::events::Event;
use taskshed::handlers::Context;

use crate::faulty::Fault;
use crate::faulty::Faulty;
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

/// Completes after a while, and does not want to be told to stop.
async fn slow(context: Context, _: Value) -> Answer {
    tokio::select! {
        cause = context.stopped() => panic!("{cause:?}"),
        () = pause(MS * 300) => Ok(Value::Null),
    }
}

/// Guards N1: running work ends, nothing new starts.
#[tokio::test]
async fn a_draining_node_lets_its_runs_end_and_starts_nothing() {
    let mut shed = Shed::new();
    let live = Live::start(shed.node("a").handler("slow", slow).handler("x", fine));
    let running = shed.add_due("slow").await;
    shed.started(&running).await;

    live.shut_down();
    until("it drains", async || live.handle.status().draining).await;
    assert!(!live.handle.is_ready());
    let late = shed.add_due("x").await;
    let drained = live.left().await;

    assert!(drained.is_clean());
    assert_eq!(shed.ended(&running).await, (TaskState::Completed, None));
    let kept = shed.find(&late).await;
    assert_eq!((kept.state, kept.lease), (TaskState::Scheduled, None));
    let cluster = shed.scheduler.cluster().await.unwrap();
    assert!(cluster.nodes.is_empty(), "{:?}", cluster.nodes);
}

/// Guards N1, T1: what was claimed ahead goes back at once, as it was.
#[tokio::test]
async fn what_was_claimed_ahead_is_handed_back_unharmed() {
    let (mut shed, _clock) = Shed::manual();
    let live = Live::start(shed.node("a").handler("x", fine));
    until("the node is there", async || live.handle.is_ready()).await;
    let id = shed.add(task("x").run_in(MS * 40)).await;
    until("the task is claimed ahead", async || live.handle.status().held == 1).await;
    let claimed = shed.find(&id).await;
    assert_eq!(claimed.state, TaskState::Running);

    assert!(live.drain().await.is_clean());

    let kept = shed.find(&id).await;
    assert_eq!((kept.state, kept.attempt, kept.crashes), (TaskState::Scheduled, 0, 0));
    assert_eq!(kept.run_at, claimed.run_at);
    assert!(!shed.rest().iter().any(|event| matches!(event, Event::Started { .. })));
}

/// Guards N1: the hint of what is handed back is for others. Whoever leaves waits for hints, too, until it
/// drains, so in some rounds the hint would be its own.
#[tokio::test]
async fn what_is_handed_back_runs_elsewhere_at_once() {
    for round in 0..8 {
        let (mut shed, clock) = Shed::manual();
        let mut lives = Vec::new();
        for name in ["a", "b"] {
            let live = Live::start(shed.node(name).handler("x", fine));
            until("the node is there", async || live.handle.is_ready()).await;
            lives.push(live);
        }
        until("both wait", async || shed.store.calls("claim") >= 2).await;
        let id = shed.add(task("x").run_in(MS * 40)).await;
        let claimed = async || lives.iter().position(|live| live.handle.status().held == 1);
        until("the task is claimed ahead", async || claimed().await.is_some()).await;
        let holder = claimed().await.unwrap();

        let leaver = lives.remove(holder);
        assert!(leaver.drain().await.is_clean());
        let what = format!("the other one claims it in round {round}");
        until(&what, async || lives[0].handle.status().held == 1).await;

        clock.advance(MS * 40);
        shed.started(&id).await;
        assert!(lives.remove(0).drain().await.is_clean());
    }
}

/// Guards N1: at the drain timeout runs are told, and their tasks released without charge.
#[tokio::test]
async fn at_the_drain_timeout_runs_are_told_and_their_tasks_handed_back() {
    let mut shed = Shed::new();
    let builder = shed.node("a").drain_timeout(MS * 200).handler("x", obedient);
    let live = Live::start(builder);
    let id = shed.add_due("x").await;
    shed.started(&id).await;
    let began = steady();

    assert!(live.drain().await.is_clean());

    let took = steady().saturating_sub(began);
    assert!((MS * 200..MS * 1000).contains(&took), "{took:?}");
    let kept = shed.find(&id).await;
    assert_eq!((kept.state, kept.attempt, kept.errors.len()), (TaskState::Scheduled, 0, 0));
}

/// Guards N1: a deaf run is dropped in time, and its task handed back.
#[tokio::test]
async fn six_seconds_after_the_drain_timeout_the_node_has_left_whatever_runs() {
    let mut shed = Shed::new();
    let builder = shed.node("a").drain_timeout(MS * 100).handler("x", deaf);
    let live = Live::start(builder);
    let id = shed.add_due("x").await;
    shed.started(&id).await;
    let began = steady();

    assert!(live.drain().await.is_clean());

    assert!(steady().saturating_sub(began) < MS * 6100);
    assert_eq!(shed.find(&id).await.state, TaskState::Scheduled);
}

/// Guards N1: the second signal.
#[tokio::test]
async fn a_node_that_is_stopped_at_once_hands_its_tasks_back() {
    let mut shed = Shed::new();
    let live = Live::start(shed.node("a").handler("x", deaf));
    let id = shed.add_due("x").await;
    shed.started(&id).await;
    live.shut_down();
    until("it drains", async || live.handle.status().draining).await;
    let asked = steady();

    live.handle.stop_now();
    assert!(live.left().await.is_clean());

    assert!(steady().saturating_sub(asked) < MS * 500);
    let kept = shed.find(&id).await;
    assert_eq!((kept.state, kept.attempt), (TaskState::Scheduled, 0));
}

/// Guards N1: a verdict that could not be sent is named, and the node leaves all the same.
#[tokio::test]
async fn a_node_that_cannot_reach_its_store_leaves_and_names_what_is_unsent() {
    for is_frozen in [false, true] {
        let mut shed = Shed::new();
        let builder = shed.node("a").drain_timeout(MS * 100).handler("x", obedient);
        let live = Live::start(builder);
        let id = shed.add_due("x").await;
        shed.started(&id).await;

        if is_frozen {
            shed.store.freeze(true);
        } else {
            shed.store.cut(true);
        }
        let began = steady();
        let drained = live.drain().await;

        assert!(steady().saturating_sub(began) < MS * 6100);
        assert!(!drained.is_clean());
        assert_eq!((&drained.unsent[0].task, drained.unsent[0].runs), (&id, false));
    }
}

/// Guards N1: what blocks its thread cannot be stopped; it is named, and does not hang the exit.
#[tokio::test]
async fn a_handler_that_blocks_is_named_and_does_not_hang_the_exit() {
    #[expect(clippy::disallowed_methods, reason = "the handler is to block its thread")]
    async fn blocks(_: Context, _: Value) -> Answer {
        std::thread::sleep(LEASE * 12);
        Ok(Value::Null)
    }
    let mut shed = Shed::new();
    let builder = shed.node("a").drain_timeout(MS * 100).handler("x", blocks);
    let live = Live::start(builder);
    let id = shed.add_due("x").await;
    shed.started(&id).await;
    let began = steady();

    live.handle.stop_now();
    let drained = live.left().await;

    assert!(steady().saturating_sub(began) < Duration::from_secs(3));
    assert_eq!((&drained.unsent[0].task, drained.unsent[0].runs), (&id, true));
}

/// Guards N1: a claim that is answered late, during the drain, is handed back.
#[tokio::test]
async fn a_claim_that_is_answered_during_the_drain_is_handed_back() {
    let mut shed = Shed::new();
    let live = Live::start(shed.node("a").handler("x", fine));
    until("the node is there", async || live.handle.is_ready()).await;
    until("it waits for hints", async || shed.store.calls("claim") > 0).await;
    shed.store.freeze(true);
    let claims = shed.store.calls("claim");
    let id = shed.add_behind(task("x")).await;
    until("a claim hangs", async || shed.store.calls("claim") > claims).await;

    live.shut_down();
    until("it drains", async || live.handle.status().draining).await;
    shed.store.freeze(false);

    assert!(live.left().await.is_clean());
    let kept = shed.find(&id).await;
    assert_eq!((kept.state, kept.lease), (TaskState::Scheduled, None));
    assert!(!shed.rest().iter().any(|event| matches!(event, Event::Started { .. })));
}

/// A beat that a server takes after the last word brings the node back.
#[tokio::test]
async fn a_beat_under_way_comes_before_the_last_word() {
    let (shed, _clock) = Shed::manual();
    let link = Faulty::new(Arc::new(shed.store.clone()));
    let node = Node::builder(Arc::new(link.clone())).clock(Arc::clone(&shed.clock));
    let live = Live::start(node);
    until("the node is there", async || live.handle.is_ready()).await;
    let sent = link.calls("keep");
    link.hang("keep", true);
    live.handle.beat();
    until("a beat is under way", async || link.calls("keep") > sent).await;

    live.shut_down();
    // Long enough for a last word that does not wait.
    pause(MS * 100).await;
    link.hang("keep", false);

    assert!(live.left().await.is_clean());
    assert_eq!(shed.store.calls("keep"), link.calls("keep"), "no beat was given up");
    assert_eq!(shed.scheduler.cluster().await.unwrap().nodes, []);
}

#[tokio::test]
async fn acks_that_get_lost_are_repeated_before_the_node_leaves() {
    let mut shed = Shed::new();
    let live = Live::start(shed.node("a").handler("slow", slow));
    let id = shed.add_due("slow").await;
    shed.started(&id).await;

    shed.store.plan("ack", Fault::Request, 3);

    assert!(live.drain().await.is_clean());
    assert_eq!(shed.ended(&id).await.0, TaskState::Completed);
}

#[tokio::test]
async fn a_leader_that_drains_resigns_and_another_takes_over_at_once() {
    let shed = Shed::new();
    let first = Live::start(shed.node_with(leading("a")));
    until("a leads", async || first.handle.leader().is_some()).await;
    let second = Live::start(shed.node_with(leading("b")));
    until("b is there", async || second.handle.is_ready()).await;

    assert!(first.drain().await.is_clean());
    let left = steady();

    until("b leads", async || {
        second.handle.leader().is_some_and(|leader| leader.node.as_str() == "b")
    })
    .await;
    assert!(steady().saturating_sub(left) < Duration::from_secs(3));
}
