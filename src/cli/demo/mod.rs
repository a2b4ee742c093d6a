//! `taskshed demo`: a small cluster that loses a node and a leader, and no task.
//!
//! Three nodes share a memory store in this process. Two of them are dropped on the way, as if
//! killed: nothing is handed back, their leases just end. What is told comes from the events of the
//! nodes, the summary from the store and from what was told; nothing is made up.

mod cast;
mod history;
mod story;
mod summary;
mod tasks;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::domain::id::TaskId;
use crate::events::Events;
use crate::scheduler::Scheduler;
use crate::store::Options;
use crate::store::connect;

use self::cast::Cast;
use self::history::History;
use self::story::Story;

use super::failure::Failure;

/// When the first node dies.
const FIRST_DEATH: Duration = Duration::from_secs(5);

/// How long the cluster may take for a step. The longest one is 10 s until a dead leader's term ends,
/// 3.5 s until its tasks run again, and their run.
const STEP_WITHIN: Duration = Duration::from_secs(25);

/// How often it is looked whether a step is done.
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[derive(Debug, Args)]
pub(super) struct Demo {}

impl Demo {
    #[expect(clippy::unused_self, reason = "commands are run alike; this one has no arguments")]
    pub(super) fn run(&self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let ended = runtime.block_on(play());
        runtime.shutdown_background();
        ended
    }
}

async fn play() -> Result<(), Failure> {
    let store = connect::open("memory:", Options::default())?;
    let scheduler = Scheduler::new(Arc::clone(&store));
    let events = Events::default();
    let history = History::default();
    let story = Story::new(history.clone());
    let mut told = JoinSet::new();
    told.spawn(story.clone().follow(events.listen()));

    story.say("three nodes share one store: anna, bert and cleo")?;
    let mut cast = Cast::start(&store, &events)?;
    until(|| async { cast.leader().is_some() }).await?;
    let mut ids = tasks::add(&scheduler).await?;
    story.say(
        "tasks: one in a second, one every second, one every other second by cron, one that fails \
         twice, and slow ones",
    )?;

    SystemClock.sleep(FIRST_DEATH.saturating_sub(story.time())).await;
    let follower = cast.follower().ok_or_else(|| stuck("no node follows"))?;
    kill(&mut cast, &follower, &scheduler, &story, &mut ids).await?;
    until(|| async { history.interrupted_open() == 0 }).await?;

    let leader = cast.leader().ok_or_else(|| stuck("no node leads"))?;
    kill(&mut cast, &leader, &scheduler, &story, &mut ids).await?;
    until(|| async { history.interrupted_open() == 0 }).await?;

    story.say("the recurring tasks are cancelled; what is under way may end")?;
    tasks::end_recurring(&scheduler).await?;
    until(|| async { tasks::all_ended(&scheduler, &ids).await }).await?;
    let drained = cast.drain().await?;
    told.shutdown().await;
    summary::tell(&scheduler, &ids, &history, &drained).await
}

/// Gives `name` work, and drops it while it runs.
async fn kill(
    cast: &mut Cast,
    name: &str,
    scheduler: &Scheduler,
    story: &Story,
    ids: &mut Vec<TaskId>,
) -> Result<(), Failure> {
    let history = story.history();
    while history.slow_runs_of(name) < 2 {
        ids.extend(tasks::add_slow(scheduler, ids.len()).await?);
        SystemClock.sleep(Duration::from_millis(250)).await;
    }
    cast.kill(name);
    let runs = history.bury(name, story.time());
    story
        .say(&format!("KILLED {name} while it ran {}; it says nothing to anybody", runs.join(", ")))
}

/// Waits until something is so.
async fn until<F: Future<Output = bool>>(is_so: impl Fn() -> F) -> Result<(), Failure> {
    let patience = SystemClock.steady() + STEP_WITHIN;
    while !is_so().await {
        if SystemClock.steady() > patience {
            return Err(stuck("it takes far too long"));
        }
        SystemClock.sleep(LOOK_EVERY).await;
    }
    Ok(())
}

fn stuck(what: &str) -> Failure {
    Failure::Refused(format!("the demo does not go on: {what}"))
}
