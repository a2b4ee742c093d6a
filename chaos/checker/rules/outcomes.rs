//! T6, T7: one accepted outcome per planned time, bounded attempts, final ends.

use crate::checker::history::Action;
use crate::checker::history::Verdict;
use crate::checker::story::Ack;
use crate::checker::story::Story;
use crate::checker::story::Task;
use crate::checker::story::Window;

use super::Findings;
use super::seconds;

/// After how many deaths of its node in a row a task is dead.
const CRASHES_MAX: u32 = 5;

/// Whether a verdict ends a run of a planned time for good.
pub(super) fn is_terminal(verdict: Verdict) -> bool {
    verdict == Verdict::Next || is_end(verdict)
}

/// Whether a verdict ends its task.
pub(super) fn is_end(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Completed | Verdict::Dead | Verdict::Cancelled | Verdict::Expired)
}

/// T6: no second outcome is accepted for a planned time, unless the task got a new life between.
pub(super) fn one_outcome_per_planned_time(story: &Story<'_>, findings: &mut Findings) {
    for (id, task) in &story.tasks {
        let mut seen: Vec<(i64, &Ack<'_>)> = Vec::new();
        for ack in accepted(task).filter(|ack| is_terminal(ack.item.verdict)) {
            let Some(taken) = task.taken_with(ack.item.fence) else { continue };
            let planned = taken.task.planned;
            let earlier = seen.iter().rfind(|(other, _)| *other == planned).map(|(_, ack)| *ack);
            if let Some(earlier) = earlier
                && !is_moved(task, earlier.when.from, ack.when.to)
            {
                let (a, b) = (earlier.item.fence, ack.item.fence);
                findings.task(
                    id,
                    format!("has two accepted outcomes for one planned time: fences {a} and {b}"),
                );
            }
            seen.push((planned, ack));
        }
    }
}

/// Whether the task may have got a new life or another time between two moments.
fn is_moved(task: &Task<'_>, from: u64, to: u64) -> bool {
    let is_rescheduled = task
        .changes
        .iter()
        .any(|change| change.action == Action::Reschedule && change.when.may_be_in(from, to));
    is_rescheduled || task.is_renewed(from, to)
}

fn accepted<'a>(task: &'a Task<'a>) -> impl Iterator<Item = &'a Ack<'a>> {
    task.acks.iter().filter(|ack| ack.done == Some(true))
}

/// T7.
pub(super) fn attempts_are_bounded_and_ends_final(story: &Story<'_>, findings: &mut Findings) {
    for (id, task) in &story.tasks {
        let most = task.adds.iter().map(|add| add.spec.max_attempts).max();
        for run in &task.runs {
            if most.is_some_and(|most| run.start.attempt > most) {
                findings.task(id, format!("ran in attempt {}", run.start.attempt));
            }
        }
        charges_are_bounded(id, task, findings);
        for taken in &task.taken {
            if taken.task.crashes >= CRASHES_MAX {
                findings
                    .task(id, format!("is claimed after {} crashes in a row", taken.task.crashes));
            }
        }
        ends_are_final(id, task, findings);
    }
}

/// A planned time is charged with at most as many failures as the task has attempts.
fn charges_are_bounded(id: &str, task: &Task<'_>, findings: &mut Findings) {
    let [add] = task.adds.as_slice() else { return };
    let is_renewed = task.changes.iter().any(|change| change.action == Action::Retry);
    if is_renewed {
        return;
    }
    let mut charged: Vec<(i64, u32)> = Vec::new();
    for ack in accepted(task).filter(|ack| ack.item.verdict == Verdict::Retry) {
        let Some(taken) = task.taken_with(ack.item.fence) else { continue };
        match charged.last_mut().filter(|(planned, _)| *planned == taken.task.planned) {
            Some((_, count)) => *count += 1,
            None => charged.push((taken.task.planned, 1)),
        }
    }
    let most = add.spec.max_attempts;
    if let Some((_, count)) = charged.iter().find(|(_, count)| *count >= most) {
        findings.task(id, format!("was retried {count} times with {most} attempts"));
    }
}

/// No claim takes what has ended, unless it got a new life.
fn ends_are_final(id: &str, task: &Task<'_>, findings: &mut Findings) {
    let acked = accepted(task).filter(|ack| is_end(ack.item.verdict)).map(|ack| ack.when);
    let judged = task.reclaims.iter().filter(|r| r.is_sure && r.verdict == Some(Verdict::Dead));
    let ends: Vec<Window> = acked.chain(judged.map(|reclaim| reclaim.when)).collect();
    for end in ends {
        let again = task
            .taken
            .iter()
            .find(|taken| end.is_before(&taken.when) && !task.is_renewed(end.from, taken.when.to));
        if let Some(taken) = again {
            let (ended, by) = (seconds(end.to), taken.by);
            findings.task(id, format!("had ended at {ended} and was claimed by {by} afterwards"));
        }
    }
}
