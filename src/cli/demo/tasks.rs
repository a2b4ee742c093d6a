//! What there is to do.

use std::time::Duration;

use serde_json::json;

use crate::domain::draft::Task;
use crate::domain::id::GroupId;
use crate::domain::id::TaskId;
use crate::domain::retry::Backoff;
use crate::scheduler;
use crate::scheduler::Scheduler;
use crate::scheduler::Selection;
use crate::store::Existing;

use crate::cli::failure::Failure;
use crate::cli::failure::chain;

/// Callback of tasks that take a while.
pub(super) const SLOW: &str = "slow";

/// Callback of a task that fails twice.
pub(super) const FLAKY: &str = "flaky";

/// All callbacks.
pub(super) const CALLBACKS: [&str; 5] = ["welcome", "tick", "report", FLAKY, SLOW];

/// Group of the recurring tasks.
const RECURRING: &str = "recurring";

/// Longer than the demo, so that everything can be counted at its end.
const RETENTION: Duration = Duration::from_secs(600);

/// Adds the tasks and answers their ids.
pub(super) async fn add(scheduler: &Scheduler) -> Result<Vec<TaskId>, Failure> {
    let second = Duration::from_secs(1);
    let retried = Backoff { base: second, ..Backoff::default() };
    let mut tasks = vec![
        task("welcome")?.id("welcome").run_in(second),
        task("tick")?.id("tick").every(second).group(RECURRING),
        task("report")?.id("report").cron("*/2 * * * * *").group(RECURRING),
        task(FLAKY)?.id("flaky").run_in(second / 2).backoff(retried),
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

/// The failure that an error of the scheduler is.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
pub(super) fn failed(error: scheduler::Error) -> Failure {
    Failure::Refused(chain(&error))
}
