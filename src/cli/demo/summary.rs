//! Counts what became of the tasks, from the store and from what the runs wrote down.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::cli::failure::Failure;
use crate::cli::output;
use crate::domain::id::TaskId;
use crate::domain::state::TaskState;
use crate::domain::task::TaskRecord;
use crate::domain::time::Timestamp;
use crate::scheduler::Scheduler;

use super::history::History;
use super::tasks::failed;

/// Tells the summary. Fails if anything was lost.
pub(super) async fn tell(
    scheduler: &Scheduler,
    ids: &[TaskId],
    history: &History,
) -> Result<(), Failure> {
    let found = scheduler.fetch(ids).await.map_err(failed)?;
    let kept: Vec<TaskRecord> = found.into_iter().flatten().collect();
    let lost = lost(ids, &kept);
    let twice = history.ended.values().filter(|count| **count > 1).count();
    let again: Vec<_> = history.interrupted.iter().filter_map(|cut| cut.again_after).collect();

    let once = ids.len() - recurring(&kept).count();
    let completed = kept.iter().filter(|task| task.state == TaskState::Completed).count();
    output::line("")?;
    row("tasks that run once", &format!("{once}, completed {completed}"))?;
    for task in recurring(&kept) {
        row(&format!("planned times of {}", task.id), &planned(history, task))?;
    }
    row("failures, retried", &history.failures.to_string())?;
    row("leaders", &history.leaders.join(", then "))?;
    row("runs cut short by a death", &cut(history, &again))?;
    let why = if twice > 0 { " (their node died before it could say so)" } else { "" };
    row("runs that ended twice", &format!("{twice}{why}"))?;
    row("lost", &lost.len().to_string())?;

    if again.len() < history.interrupted.len() {
        return Err(Failure::Refused("a run that was cut short did not run again".into()));
    }
    match lost.as_slice() {
        [] => Ok(()),
        lost => Err(Failure::Refused(format!("lost: {}", lost.join(", ")))),
    }
}

fn row(what: &str, value: &str) -> Result<(), Failure> {
    output::line(&format!("  {what:<28} {value}"))
}

fn recurring(kept: &[TaskRecord]) -> impl Iterator<Item = &TaskRecord> {
    kept.iter().filter(|task| task.spec.schedule.is_recurring())
}

/// Tasks that are gone, or ended otherwise than they should: once tasks complete, recurring ones were
/// cancelled.
fn lost(ids: &[TaskId], kept: &[TaskRecord]) -> Vec<String> {
    let is_well = |task: &&TaskRecord| {
        let is_recurring = task.spec.schedule.is_recurring();
        task.state == if is_recurring { TaskState::Cancelled } else { TaskState::Completed }
    };
    let well: BTreeSet<_> = kept.iter().filter(is_well).map(|task| &task.id).collect();
    ids.iter().filter(|id| !well.contains(id)).map(ToString::to_string).collect()
}

/// How many planned times of a recurring task came to their end, and how many did not.
fn planned(history: &History, task: &TaskRecord) -> String {
    let times: Vec<Timestamp> = history
        .ended
        .keys()
        .filter(|(id, _)| *id == task.id)
        .map(|(_, planned_at)| *planned_at)
        .collect();
    let (Some(first), Some(last)) = (times.first(), times.last()) else {
        return "none done".into();
    };

    let mut expected = 1;
    let mut at = *first;
    while at < *last
        && let Some(next) = task.spec.schedule.next(at, at, false)
    {
        at = next;
        expected += 1;
    }
    format!("{} done, {} coalesced", times.len(), expected - times.len().min(expected))
}

fn cut(history: &History, again: &[Duration]) -> String {
    let slowest = again.iter().max().copied().unwrap_or_default();
    format!(
        "{}, ran again {}, after {:.1} s at most",
        history.interrupted.len(),
        again.len(),
        slowest.as_secs_f64()
    )
}
