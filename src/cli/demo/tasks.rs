//! What there is to do.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::domain::draft::Task;
use crate::domain::id::GroupId;
use crate::domain::id::TaskId;
use crate::domain::retry::Backoff;
use crate::handlers::Context;
use crate::handlers::TaskError;
use crate::node::Builder;
use crate::scheduler;
use crate::scheduler::Scheduler;
use crate::scheduler::Selection;
use crate::store::Existing;

use crate::cli::failure::Failure;
use crate::cli::failure::chain;

/// Callback of tasks that take a while.
pub(super) const SLOW: &str = "slow";

/// How long they take.
const SLOW_TAKES: Duration = Duration::from_secs(3);

/// Group of the recurring tasks.
const RECURRING: &str = "recurring";

/// Longer than the demo, so that everything can be counted at its end.
const RETENTION: Duration = Duration::from_secs(600);

/// Registers what runs the tasks.
pub(super) fn handlers(node: Builder) -> Builder {
    node.handler("welcome", quick)
        .handler("tick", quick)
        .handler("report", quick)
        .handler("flaky", flaky)
        .handler(SLOW, slow)
}

async fn quick(_context: Context, _arguments: Value) -> Result<(), TaskError> {
    Ok(())
}

async fn flaky(context: Context, _arguments: Value) -> Result<u32, TaskError> {
    if context.attempt() < 3 {
        return Err(TaskError::retry("the mail server is busy"));
    }
    Ok(context.attempt())
}

async fn slow(_context: Context, _arguments: Value) -> Result<(), TaskError> {
    SystemClock.sleep(SLOW_TAKES).await;
    Ok(())
}

/// Adds the tasks and answers their ids.
pub(super) async fn add(scheduler: &Scheduler) -> Result<Vec<TaskId>, Failure> {
    let second = Duration::from_secs(1);
    let retried = Backoff { base: second, ..Backoff::default() };
    let mut tasks = vec![
        task("welcome")?.id("welcome").run_in(second),
        task("tick")?.id("tick").every(second).group(RECURRING),
        task("report")?.id("report").cron("*/2 * * * * *").group(RECURRING),
        task("flaky")?.id("flaky").run_in(second / 2).backoff(retried),
    ];
    for number in 1..=3 {
        tasks.push(task(SLOW)?.id(&format!("slow-{number}")).run_in(second / 5 * number));
    }
    let added = scheduler.add_all(tasks, Existing::Replace).await.map_err(failed)?;
    Ok(added.into_iter().map(|added| added.task_id).collect())
}

/// Adds some more tasks that take a while, numbered from `first`.
pub(super) async fn add_slow(scheduler: &Scheduler, first: usize) -> Result<Vec<TaskId>, Failure> {
    let task = |number| Ok(task(SLOW)?.id(&format!("slow-{number}")));
    let tasks: Result<Vec<_>, Failure> = (first..first + 3).map(task).collect();
    let added = scheduler.add_all(tasks?, Existing::Replace).await.map_err(failed)?;
    Ok(added.into_iter().map(|added| added.task_id).collect())
}

fn task(callback: &str) -> Result<Task, Failure> {
    let task = Task::new(callback, &json!({}));
    let task = task.map_err(|error| Failure::Refused(error.to_string()))?;
    Ok(task.retention(RETENTION))
}

/// Cancels the recurring tasks.
pub(super) async fn end_recurring(scheduler: &Scheduler) -> Result<(), Failure> {
    let group = GroupId::parse(RECURRING).map_err(|error| Failure::Refused(error.to_string()))?;
    scheduler.cancel(Selection::Group(group)).await.map_err(failed)?;
    Ok(())
}

/// Whether all tasks have ended, or are gone.
pub(super) async fn all_ended(scheduler: &Scheduler, ids: &[TaskId]) -> bool {
    let found = scheduler.fetch(ids).await.unwrap_or_default();
    !found.is_empty() && found.iter().flatten().all(|task| task.state.is_ended())
}

/// The failure that an error of the scheduler is.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
pub(super) fn failed(error: scheduler::Error) -> Failure {
    Failure::Refused(chain(&error))
}
