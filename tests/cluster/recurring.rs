//! Recurring tasks: on their grid, whatever happens to nodes.

use std::collections::BTreeSet;
use std::time::Duration;

use taskshed::clock::Clock;
use taskshed::domain::state::Again;
use taskshed::domain::state::TaskState;
use taskshed::events::Event;

use crate::shed::Live;
use crate::shed::MS;
use crate::shed::Shed;
use crate::shed::deaf;
use crate::shed::fine;
use crate::shed::leading;
use crate::shed::pause;
use crate::shed::steady;
use crate::shed::task;
use crate::shed::until;

const SECOND: Duration = Duration::from_secs(1);

/// Milliseconds from `start` to the planned time of the next accepted run.
async fn next_run(shed: &mut Shed, start: taskshed::domain::time::Timestamp) -> u128 {
    shed.hear(|event| match event {
        Event::Ended { run, .. } => Some(run.planned_at.since(start).as_millis()),
        _ => None,
    })
    .await
}

/// Guards S1.
#[tokio::test]
async fn an_interval_runs_on_its_grid_however_late_the_runs_are() {
    let (mut shed, clock) = Shed::manual();
    let start = clock.wall();
    let _live = Live::start(shed.node("a").handler("x", fine));
    shed.add(task("x").every(SECOND)).await;

    let mut planned = vec![next_run(&mut shed, start).await];
    for late in [1000, 1300, 900, 800] {
        clock.advance(MS * late);
        planned.push(next_run(&mut shed, start).await);
    }

    assert_eq!(planned, [0, 1000, 2000, 3000, 4000]);
}

/// Guards S1: what was missed collapses into one run, which carries the earliest missed time.
#[tokio::test]
async fn missed_runs_coalesce() {
    let (mut shed, clock) = Shed::manual();
    let start = clock.wall();
    let id = shed.add(task("x").every(SECOND)).await;
    clock.advance(MS * 5500);

    let _live = Live::start(shed.node("a").handler("x", fine));

    assert_eq!(next_run(&mut shed, start).await, 0);
    assert_eq!(shed.find(&id).await.planned_at, start.plus(SECOND * 6));
    clock.advance(MS * 500);
    assert_eq!(next_run(&mut shed, start).await, 6000);
}

/// Guards S1.
#[tokio::test]
async fn missed_runs_are_caught_up_one_by_one_if_asked_for() {
    let (mut shed, clock) = Shed::manual();
    let start = clock.wall();
    shed.add(task("x").every(SECOND).catch_up()).await;
    clock.advance(MS * 3500);

    let _live = Live::start(shed.node("a").handler("x", fine));

    for planned in [0, 1000, 2000, 3000] {
        assert_eq!(next_run(&mut shed, start).await, planned);
    }
}

/// Guards S1, T6: while nodes come and go each planned time is accepted once, and all are on the
/// grid.
#[tokio::test]
async fn each_planned_time_is_accepted_once_while_nodes_die() {
    let mut shed = Shed::new();
    let every = MS * 50;
    let stays = Live::start(shed.node_with(leading("b")).handler("x", fine));
    until("somebody leads", async || stays.handle.leader().is_some()).await;
    let dies = Live::start(shed.node("a").handler("x", fine));
    let id = shed.add(task("x").every(every)).await;
    let start = shed.find(&id).await.planned_at;

    let began = steady();
    pause(SECOND).await;
    dies.kill().await;
    pause(SECOND).await;
    let second = Live::start(shed.node("c").handler("x", fine));
    pause(SECOND).await;
    assert!(second.drain().await.is_clean());
    assert!(stays.drain().await.is_clean());
    let took = steady().saturating_sub(began);

    let mut seen = BTreeSet::new();
    for event in shed.rest() {
        if let Event::Ended { run, state, again, .. } = event {
            assert_eq!(state, TaskState::Scheduled);
            if again == Some(Again::Release) {
                // Handed back unharmed by a node that left, perhaps by one after the other.
                continue;
            }
            let off_us = run.planned_at.since(start).as_micros() % every.as_micros();
            assert_eq!(off_us, 0, "{run:?} is off the grid");
            assert!(seen.insert(run.planned_at), "{run:?} was accepted twice");
        }
    }
    let possible = usize::try_from(took.as_millis() / every.as_millis()).unwrap() + 1;
    assert!(seen.len() <= possible);
    assert!(seen.len() > possible / 3, "{} of {possible}", seen.len());
}

/// Guards S1, T1: an occurrence whose node died runs again under its planned time.
#[tokio::test]
async fn an_occurrence_whose_node_died_runs_again_under_its_planned_time() {
    let mut shed = Shed::new();
    let dies = Live::start(shed.node("a").handler("x", deaf));
    let id = shed.add(task("x").every(MS * 200)).await;
    shed.started(&id).await;
    let start = shed.find(&id).await.planned_at;
    let heir = Live::start(shed.node_with(leading("b")).handler("x", fine));
    until("somebody leads", async || heir.handle.leader().is_some()).await;

    dies.kill().await;

    assert_eq!(next_run(&mut shed, start).await, 0);
    let next = shed.find(&id).await.planned_at.since(start);
    assert!(next > SECOND, "missed occurrences were not coalesced: {next:?}");
    assert_eq!(next.as_micros() % 200_000, 0);
}
