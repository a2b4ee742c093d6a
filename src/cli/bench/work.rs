//! The tasks of a bench, how they are added, and the nodes that run them.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cli::failure::Failure;
use crate::cli::output;
use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::config::NodeConfig;
use crate::domain::draft::Task;
use crate::handlers::Context;
use crate::handlers::Handler;
use crate::handlers::typed;
use crate::node::Drained;
use crate::node::Node;
use crate::node::NodeHandle;
use crate::node::StartError;
use crate::scheduler;
use crate::scheduler::Scheduler;
use crate::store::BATCH_MAX;
use crate::store::Existing;

use super::site::CALLBACK;
use super::site::Site;
use super::site::ready_all;
use super::site::unexpected;
use super::tally::Tally;

/// What makes the arguments of a task about a hundred bytes long, as those of many are.
const TEXT: &str = "a task that does nothing, with as many bytes of arguments as one that does";

/// After this long without a run, what has not run is given up. Longer than a failover takes.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Deserialize, Serialize)]
struct Arguments {
    number: usize,
    text: String,
}

/// The task with this number, due at once.
pub(super) fn task(number: usize) -> Result<Task, Failure> {
    let task = Task::new(CALLBACK, &Arguments { number, text: TEXT.into() });
    task.map_err(|error| unexpected(&error))
}

/// Adds tasks in the largest batches, unless told to stop.
pub(super) async fn add_all(
    site: &Site<'_>,
    count: usize,
    task: impl Fn(usize) -> Result<Task, Failure>,
) -> Result<(), Failure> {
    for first in (0..count).step_by(BATCH_MAX) {
        site.go_on()?;
        let batch = first..count.min(first + BATCH_MAX);
        let tasks: Result<Vec<_>, Failure> = batch.map(&task).collect();
        let added = site.scheduler.add_all(tasks?, Existing::Keep).await;
        added.map_err(|error| site.explain(&error))?;
    }
    Ok(())
}

/// Adds tasks one at a time by several callers at once, unless told to stop.
pub(super) async fn add_single(
    site: &Site<'_>,
    count: usize,
    callers: usize,
) -> Result<(), Failure> {
    let mut adding = JoinSet::new();
    let halt = site.stop.child_token();
    for caller in 0..callers {
        let own = (caller..count).step_by(callers);
        adding.spawn(add_each(site.scheduler.clone(), own, halt.clone()));
    }
    let mut failed = None;
    while let Some(ended) = adding.join_next().await {
        // The others end by themselves: an add that is cut off may happen after the removal.
        if let Err(failure) = ended.map_err(|error| unexpected(&error)).and_then(|added| {
            added.map_err(|error| match error {
                AddFailure::Task(failure) => failure,
                AddFailure::Scheduler(error) => site.explain(&error),
            })
        }) {
            halt.cancel();
            failed.get_or_insert(failure);
        }
    }
    failed.map_or_else(|| site.go_on(), Err)
}

enum AddFailure {
    Task(Failure),
    Scheduler(scheduler::Error),
}

async fn add_each(
    scheduler: Scheduler,
    numbers: impl Iterator<Item = usize>,
    halt: CancellationToken,
) -> Result<(), AddFailure> {
    for number in numbers {
        if halt.is_cancelled() {
            return Ok(());
        }
        let task = task(number).map_err(AddFailure::Task)?;
        scheduler.add_all([task], Existing::Keep).await.map_err(AddFailure::Scheduler)?;
    }
    Ok(())
}

/// How long a piece of work takes.
pub(super) async fn timed<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<(T, Duration), Failure> {
    let began = SystemClock.steady();
    let done = work.await?;
    Ok((done, SystemClock.steady().saturating_sub(began)))
}

/// Nodes that run the tasks of a bench.
pub(super) struct Nodes {
    handles: Vec<NodeHandle>,
    leave: CancellationToken,
    running: JoinSet<Result<Drained, StartError>>,
}

impl Nodes {
    /// Starts them. `ran` is told of each run and the number of its task, and does nothing that takes time.
    pub(super) fn start(
        site: &Site<'_>,
        concurrency: usize,
        ran: impl Fn(&Context, usize) + Send + Sync + 'static,
    ) -> Result<Self, Failure> {
        let handler: Arc<dyn Handler> =
            Arc::new(typed(move |context: Context, args: Arguments| {
                ran(&context, args.number);
                std::future::ready(Ok(()))
            }));
        let (mut handles, leave) = (Vec::new(), CancellationToken::new());
        let mut running = JoinSet::new();
        for (number, store) in site.nodes.iter().enumerate() {
            let name = site.name(Some(number))?;
            let config =
                NodeConfig { concurrency, stands_for_leader: false, ..NodeConfig::new(name) };
            let node = Node::builder(Arc::clone(store)).config(config);
            let node = node.handler_of(CALLBACK, Arc::clone(&handler)).build();
            let node = node.map_err(|error| Failure::Usage(error.to_string()))?;
            handles.push(node.handle());
            running.spawn(node.run_until(leave.clone().cancelled_owned()));
        }
        Ok(Self { handles, leave, running })
    }

    /// Returns when all have heard from their store, or the bench is told to stop.
    pub(super) async fn ready(&self, site: &Site<'_>) -> Result<(), Failure> {
        ready_all(&self.handles, &site.stop).await
    }

    /// Lets them run all tasks of the tally, and leave when the store has all outcomes.
    pub(super) async fn run_all(self, site: &Site<'_>, tally: &Tally) -> Result<(), Failure> {
        tally.settled(PATIENCE, &site.stop).await;
        self.leave().await?;
        site.go_on()
    }

    /// Lets them leave in good order.
    pub(super) async fn leave(mut self) -> Result<(), Failure> {
        self.leave.cancel();
        while let Some(left) = self.running.join_next().await {
            let left = left.map_err(|error| unexpected(&error))?;
            let drained = left.map_err(|error| unexpected(&error))?;
            if !drained.is_clean() {
                let open = drained.unsent.len();
                output::note(&format!("a node left with {open} tasks that it could not hand back"));
            }
        }
        Ok(())
    }
}
