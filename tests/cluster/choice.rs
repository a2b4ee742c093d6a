//! Which tasks a node takes, and when it asks for them.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use serde_json::Value;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::config::Wake;
use taskshed::domain::id::QueueName;
use taskshed::domain::state::TaskState;
use taskshed::events::Event;
use taskshed::handlers::Context;
use taskshed::store::Existing;
use taskshed::store::Gate;

use crate::shed::Answer;
use crate::shed::Live;
use crate::shed::MS;
use crate::shed::Shed;
use crate::shed::fine;
use crate::shed::pause;
use crate::shed::steady;
use crate::shed::task;
use crate::shed::until;

/// The queues in whose order `count` runs start.
async fn queues_of_starts(shed: &mut Shed, count: usize) -> Vec<String> {
    let mut queues = Vec::new();
    while queues.len() < count {
        let queue = shed.hear(|event| match event {
            Event::Started { run, .. } => Some(run.queue.to_string()),
            _ => None,
        });
        queues.push(queue.await);
    }
    queues
}

async fn fill(shed: &Shed, queue: &str, count: usize) {
    let tasks: Vec<_> = (0..count).map(|_| task("x").queue(queue)).collect();
    shed.scheduler.add_all(tasks, Existing::Keep).await.unwrap();
}

#[tokio::test]
async fn a_strict_order_of_queues_is_kept() {
    let mut shed = Shed::new();
    fill(&shed, "bill", 5).await;
    fill(&shed, "mail", 5).await;
    let builder = shed.node("a").concurrency(1).queues([("mail", 1), ("bill", 9)]).strict_queues();

    let _live = Live::start(builder.handler("x", fine));

    let queues = queues_of_starts(&mut shed, 10).await;
    assert_eq!(queues[..5], ["mail"; 5]);
    assert_eq!(queues[5..], ["bill"; 5]);
}

#[tokio::test]
async fn weights_share_a_node_between_queues() {
    // The clock stands still, so no run is known to be short and each claim is of one task.
    let (mut shed, _clock) = Shed::manual();
    fill(&shed, "bill", 400).await;
    fill(&shed, "mail", 400).await;
    let builder = shed.node("a").concurrency(1).queues([("mail", 1), ("bill", 3)]);

    let _live = Live::start(builder.handler("x", fine));

    let queues = queues_of_starts(&mut shed, 400).await;
    let bills = queues.iter().filter(|queue| *queue == "bill").count();
    assert!((260..=340).contains(&bills), "{bills} of 400, 300 expected");
}

#[tokio::test]
async fn a_task_without_a_handler_waits_for_a_node_that_has_it() {
    let mut shed = Shed::new();
    let _a = Live::start(shed.node("a").handler("x", fine));
    let parked = shed.add_due("y").await;
    let passes = shed.add_due("x").await;
    assert_eq!(shed.started(&passes).await, "a");
    until("it is parked", async || shed.find(&parked).await.parked).await;

    let _b = Live::start(shed.node("b").handler("y", fine));

    assert_eq!(shed.started(&parked).await, "b");
    assert_eq!(shed.ended(&parked).await, (TaskState::Completed, None));
}

#[tokio::test]
async fn a_node_without_handlers_leaves_all_tasks_alone() {
    let shed = Shed::new();
    let live = Live::start(shed.node("a"));
    let id = shed.add_due("x").await;
    until("the node is there", async || live.handle.is_ready()).await;
    pause(MS * 100).await;

    assert!(live.drain().await.is_clean());
    assert_eq!(shed.store.calls("claim"), 0);
    assert!(!shed.find(&id).await.parked);
}

/// Guards N4: few suspects run beside each other.
#[tokio::test]
async fn at_most_an_eighth_of_the_slots_are_for_tasks_with_two_crashes() {
    let (mut shed, clock) = Shed::manual();
    let tasks: Vec<_> = (0..12).map(|_| task("x")).collect();
    let added = shed.scheduler.add_all(tasks, Existing::Keep).await.unwrap();
    for _ in 0..2 {
        shed.crash(added.len()).await;
        clock.advance(Duration::from_secs(11));
    }
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (running, peak) = (Arc::clone(&now), Arc::clone(&most));
    let counts = move |_: Context, _: Value| {
        let (running, peak) = (Arc::clone(&running), Arc::clone(&peak));
        async move {
            peak.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
            pause(MS * 20).await;
            running.fetch_sub(1, SeqCst);
            Ok(())
        }
    };

    let live = Live::start(shed.node("a").concurrency(32).handler("x", counts));

    for _ in 0..added.len() {
        let state = shed.hear(|event| match event {
            Event::Ended { state, .. } => Some(*state),
            _ => None,
        });
        assert_eq!(state.await, TaskState::Completed);
    }
    assert_eq!(most.load(SeqCst), 4);
    assert!(live.drain().await.is_clean());
}

/// Guards N4: a task at its last chance takes nobody with it.
#[tokio::test]
async fn a_task_with_four_crashes_runs_alone() {
    let (mut shed, clock) = Shed::manual();
    let suspect = shed.add_due("suspect").await;
    for _ in 0..4 {
        shed.crash(1).await;
        clock.advance(Duration::from_secs(11));
    }
    assert_eq!(shed.find(&suspect).await.crashes, 4);
    let running = Arc::new(AtomicUsize::new(0));
    let others = Arc::clone(&running);
    let ordinary = move |_: Context, _: Value| {
        let running = Arc::clone(&others);
        async move {
            running.fetch_add(1, SeqCst);
            pause(MS * 20).await;
            running.fetch_sub(1, SeqCst);
            Ok(())
        }
    };
    let lonely = move |_: Context, _: Value| {
        let running = Arc::clone(&running);
        async move {
            for _ in 0..50 {
                if running.load(SeqCst) > 0 {
                    return Err(taskshed::TaskError::dead("not alone"));
                }
                pause(MS).await;
            }
            Ok(())
        }
    };
    let builder = shed.node("a").concurrency(8);
    let live = Live::start(builder.handler("x", ordinary).handler("suspect", lonely));
    fill(&shed, "default", 40).await;

    assert_eq!(shed.ended(&suspect).await, (TaskState::Completed, None));
    for _ in 0..10 {
        shed.hear(|event| matches!(event, Event::Ended { .. }).then_some(())).await;
    }
    assert!(live.drain().await.is_clean());
}

#[tokio::test]
async fn an_idle_node_does_not_ask_again_and_again() {
    let mut shed = Shed::new();
    let live = Live::start(shed.node("a").handler("x", fine));
    let id = shed.add_due("x").await;
    shed.ended(&id).await;
    shed.add(task("x").run_in(Duration::from_secs(60))).await;
    pause(MS * 100).await;
    let claims = shed.store.calls("claim");

    pause(Duration::from_secs(1)).await;

    assert_eq!(shed.store.calls("claim"), claims);
    assert!(live.handle.is_ready());
}

#[tokio::test]
async fn a_polling_node_asks_as_often_as_it_was_told_and_wants_no_hints() {
    let mut shed = Shed::new();
    let builder = shed.node("a").wake(Wake::Polling(MS * 100)).handler("x", fine);
    let _live = Live::start(builder);
    until("the first claim", async || shed.store.calls("claim") > 0).await;
    let claims = shed.store.calls("claim");

    pause(MS * 1050).await;

    let asked = shed.store.calls("claim") - claims;
    assert!((7..=11).contains(&asked), "{asked} times in a second");
    assert_eq!(shed.store.calls("hints"), 0);
    let id = shed.add_due("x").await;
    assert_eq!(shed.ended(&id).await.0, TaskState::Completed);
}

#[tokio::test]
async fn a_store_without_hints_is_polled() {
    let mut shed = Shed::new();
    shed.store.mute();
    let _live = Live::start(shed.node("a").handler("x", fine));
    pause(Duration::from_secs(2)).await;
    let claims = shed.store.calls("claim");
    assert!(claims < 20, "{claims} claims while nothing came");

    let id = shed.add_due("x").await;
    let added = steady();

    shed.started(&id).await;
    assert!(steady().saturating_sub(added) < MS * 700);
}

#[tokio::test]
async fn hints_that_broke_are_asked_for_again() {
    let mut shed = Shed::new();
    shed.store.plan("hints", crate::faulty::Fault::Request, 3);
    let _live = Live::start(shed.node("a").handler("x", fine));
    until("hints come", async || shed.store.calls("hints") == 4).await;
    pause(MS * 50).await;

    let id = shed.add_due("x").await;
    let added = steady();

    shed.started(&id).await;
    assert!(steady().saturating_sub(added) < MS * 100);
}

#[tokio::test]
async fn an_opened_queue_is_served_at_once() {
    let mut shed = Shed::new();
    let queue = QueueName::default();
    shed.scheduler.set_queue(&queue, Gate::Paused).await.unwrap();
    let _live = Live::start(shed.node("a").handler("x", fine));
    let id = shed.add_due("x").await;
    pause(MS * 100).await;
    assert_eq!(shed.find(&id).await.state, TaskState::Scheduled);

    shed.scheduler.set_queue(&queue, Gate::Open).await.unwrap();
    let opened = steady();

    shed.started(&id).await;
    assert!(steady().saturating_sub(opened) < MS * 200);
}

/// Guards T8: not even by a microsecond.
#[tokio::test]
async fn no_run_starts_before_its_time() {
    let mut shed = Shed::new();
    let late = async |context: Context, _: Value| -> Answer {
        let now = SystemClock.wall();
        assert!(now >= context.task().run_at, "{now} is before {}", context.task().run_at);
        Ok(Value::Null)
    };
    let _a = Live::start(shed.node("a").handler("x", late));
    let _b = Live::start(shed.node("b").handler("x", late));
    let tasks: Vec<_> = (0..300).map(|n| task("x").run_in(MS * 5 * n)).collect();

    shed.scheduler.add_all(tasks, Existing::Keep).await.unwrap();

    for _ in 0..300 {
        let ended = shed.hear(|event| match event {
            Event::Ended { state, error, .. } => Some((*state, error.clone())),
            _ => None,
        });
        assert_eq!(ended.await, (TaskState::Completed, None));
    }
}

#[tokio::test]
async fn a_node_runs_no_more_at_once_than_it_may() {
    let mut shed = Shed::new();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (running, peak) = (Arc::clone(&now), Arc::clone(&most));
    let counts = move |_: Context, _: Value| {
        let (running, peak) = (Arc::clone(&running), Arc::clone(&peak));
        async move {
            peak.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
            pause(MS * 10).await;
            running.fetch_sub(1, SeqCst);
            Ok(())
        }
    };
    fill(&shed, "default", 60).await;

    let _live = Live::start(shed.node("a").concurrency(7).handler("x", counts));

    for _ in 0..60 {
        shed.hear(|event| matches!(event, Event::Ended { .. }).then_some(())).await;
    }
    assert_eq!(most.load(SeqCst), 7);
}
