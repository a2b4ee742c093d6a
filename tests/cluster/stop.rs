//! Runs that users end: cancel, replace, remove.

use std::time::Duration;

use serde_json::Value;
use taskshed::TaskError;
use taskshed::clock::Clock;
use taskshed::domain::state::TaskState;
use taskshed::domain::time::Moment;
use taskshed::domain::time::Timestamp;
use taskshed::events::Event;
use taskshed::handlers::Context;
use taskshed::handlers::StopCause;
use tokio::sync::mpsc;

use crate::shed::Answer;
use crate::shed::Live;
use crate::shed::MS;
use crate::shed::Shed;
use crate::shed::fine;
use crate::shed::obedient;
use crate::shed::steady;
use crate::shed::task;
use crate::shed::until;

/// A handler that tells why it was stopped, and then fails.
fn tells(
    tell: mpsc::Sender<StopCause>,
) -> impl Fn(Context, Value) -> futures_util::future::BoxFuture<'static, Answer> {
    move |context, _| {
        let tell = tell.clone();
        Box::pin(async move {
            tell.send(context.stopped().await).await?;
            Err(TaskError::retry("stopped"))
        })
    }
}

#[tokio::test]
async fn a_cancelled_task_is_told_on_whatever_node_it_runs() {
    let mut shed = Shed::new();
    let _live = Live::start(shed.node("a").handler("x", obedient));
    let id = shed.add_due("x").await;
    shed.started(&id).await;
    let asked = steady();

    shed.scheduler.cancel(id.clone()).await.unwrap();

    assert_eq!(shed.ended(&id).await, (TaskState::Cancelled, None));
    assert!(steady().saturating_sub(asked) < Duration::from_secs(1));
    assert_eq!(shed.find(&id).await.state, TaskState::Cancelled);
}

#[tokio::test]
async fn a_cancelled_task_that_completes_first_has_completed() {
    let mut shed = Shed::new();
    let finishes = async |context: Context, _: Value| -> Answer {
        context.stopped().await;
        Ok(Value::Null)
    };
    let _live = Live::start(shed.node("a").handler("x", finishes));
    let id = shed.add(task("x").retention(Duration::from_secs(60))).await;
    shed.started(&id).await;

    shed.scheduler.cancel(id.clone()).await.unwrap();

    assert_eq!(shed.ended(&id).await, (TaskState::Completed, None));
    assert_eq!(shed.find(&id).await.state, TaskState::Completed);
}

/// Guards T8: what was claimed ahead and cancelled before its time does not start.
#[tokio::test]
async fn a_task_that_was_cancelled_after_its_claim_does_not_start() {
    let (mut shed, clock) = Shed::manual();
    let live = Live::start(shed.node("a").handler("x", fine));
    until("the node is there", async || live.handle.is_ready()).await;
    let id = shed.add(task("x").run_in(MS * 40)).await;
    until("the task is claimed ahead", async || live.handle.status().held == 1).await;

    shed.scheduler.cancel(id.clone()).await.unwrap();
    let keeps = shed.store.calls("keep");
    clock.advance(MS * 39);
    live.handle.beat();
    until("a beat was answered", async || {
        shed.store.calls("keep") > keeps && !live.handle.status().stopping.is_empty()
    })
    .await;
    clock.advance(MS);

    shed.hear(|event| match event {
        Event::Started { .. } => panic!("it started although it was cancelled"),
        Event::Ended { state, .. } => {
            assert_eq!(*state, TaskState::Cancelled);
            Some(())
        }
        _ => None,
    })
    .await;
}

/// Guards T8: a task that was claimed ahead when the store's clock is set back waits in the store, where
/// users can move it, and not for an hour under a lease.
#[tokio::test]
async fn what_was_claimed_ahead_goes_back_when_the_clock_is_set_back() {
    let (mut shed, clock) = Shed::manual();
    let live = Live::start(shed.node("a").handler("x", fine));
    until("the node is there", async || live.handle.is_ready()).await;
    let id = shed.add(task("x").run_in(MS * 40)).await;
    until("the task is claimed ahead", async || live.handle.status().held == 1).await;
    let claimed = shed.find(&id).await;

    let keeps = shed.store.calls("keep");
    clock.set_wall(Timestamp::from_us(clock.wall().as_us() - 3_600_000_000));
    live.handle.beat();
    until("a beat was answered", async || shed.store.calls("keep") > keeps).await;
    until("it was handed back", async || {
        clock.advance(MS * 10);
        shed.find(&id).await.state == TaskState::Scheduled
    })
    .await;

    let kept = shed.find(&id).await;
    assert_eq!((kept.run_at, kept.attempt, kept.crashes), (claimed.run_at, 0, 0));
    shed.scheduler.reschedule(id.clone(), Moment::In(Duration::ZERO)).await.unwrap();
    clock.advance(MS);
    shed.started(&id).await;
}

/// Guards T3, T5: the old run is told, its outcome changes nothing, and only then the new task runs.
#[tokio::test]
async fn a_replaced_task_runs_when_the_old_run_has_let_go() {
    let mut shed = Shed::new();
    let (tell, mut told) = mpsc::channel(2);
    let live = Live::start(shed.node("a").handler("x", tells(tell)).handler("y", fine));
    let id = shed.add(task("x").id("one")).await;
    shed.started(&id).await;

    shed.add(task("y").id("one").retention(Duration::from_secs(60))).await;

    assert_eq!(told.recv().await, Some(StopCause::Superseded));
    let mut order = Vec::new();
    while order.len() < 3 {
        let step = shed.hear(|event| match event {
            Event::Stale { run } => Some(format!("stale {}", run.callback)),
            Event::Started { run, .. } => Some(format!("started {}", run.callback)),
            Event::Ended { run, state, .. } => Some(format!("{} {}", state.as_str(), run.callback)),
            _ => None,
        });
        order.push(step.await);
    }
    order.sort();
    assert_eq!(order, ["completed y", "stale x", "started y"]);
    assert_eq!(shed.find(&id).await.state, TaskState::Completed);
    assert!(live.drain().await.is_clean());
}

/// Guards T5.
#[tokio::test]
async fn a_removed_task_is_told_to_stop_and_stays_removed() {
    let mut shed = Shed::new();
    let (tell, mut told) = mpsc::channel(2);
    let live = Live::start(shed.node("a").handler("x", tells(tell)));
    let id = shed.add_due("x").await;
    shed.started(&id).await;

    shed.scheduler.remove(id.clone()).await.unwrap();

    assert_eq!(told.recv().await, Some(StopCause::Superseded));
    shed.hear(|event| matches!(event, Event::Stale { .. }).then_some(())).await;
    assert_eq!(shed.scheduler.find(&id).await.unwrap(), None);
    assert!(live.drain().await.is_clean());
}
