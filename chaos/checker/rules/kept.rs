//! T1, T2, T10: what was added is there, and nothing else.

use std::collections::HashMap;

use crate::checker::history::Action;
use crate::checker::history::Outcome;
use crate::checker::history::Verdict;
use crate::checker::story::Add;
use crate::checker::story::Change;
use crate::checker::story::Story;
use crate::checker::story::Task;

use super::Findings;

/// How long a due task may wait in a store where all had time to settle, µs.
const PATIENCE_US: i64 = 5_000_000;

/// T1: an acknowledged task that was not removed is there at the end, or has completed and its
/// retention is over; and if it is due, it runs.
pub(super) fn nothing_is_lost(story: &Story<'_>, findings: &mut Findings) {
    let Some(dump) = story.dump else { return };
    let kept: HashMap<_, _> = dump.tasks.iter().map(|kept| (kept.task.as_str(), kept)).collect();
    for (id, task) in &story.tasks {
        let is_sure =
            |add: &&Add<'_>| matches!(add.outcome, Some(Outcome::Created | Outcome::Replaced));
        let Some(last) = task.adds.iter().rfind(is_sure) else { continue };
        let is_removed =
            |change: &Change| change.action == Action::Remove && change.when.to > last.when.from;
        if task.changes.iter().any(is_removed) {
            continue;
        }
        match kept.get(id) {
            Some(kept) => {
                let is_free = kept.state == "scheduled" && !kept.paused && !kept.parked;
                if is_free && kept.run_at.saturating_add(PATIENCE_US) < dump.now {
                    let late_s = (dump.now - kept.run_at) / 1_000_000;
                    findings.task(id, format!("is due since {late_s} s and does not run"));
                }
            }
            None if may_be_pruned(task, last, dump.at) => {}
            None => findings.task(id, "was added, and is lost"),
        }
    }
}

/// Whether the task may have completed, and been kept for as long as was asked.
fn may_be_pruned(task: &Task<'_>, last: &Add<'_>, end: u64) -> bool {
    let later = task.adds.iter().filter(|add| add.when.to >= last.when.from);
    let retention_us = later.map(|add| add.spec.retention_us).min().unwrap_or(0);
    task.acks.iter().any(|ack| {
        ack.item.verdict == Verdict::Completed
            && ack.done != Some(false)
            && ack.when.to > last.when.from
            && ack.when.from.saturating_add(retention_us) < end
    })
}

/// T2: each run, and each task at the end, was added before.
pub(super) fn nothing_runs_that_was_not_added(story: &Story<'_>, findings: &mut Findings) {
    for (id, task) in &story.tasks {
        let added = task.adds.iter().map(|add| add.when.from).min();
        let is_phantom = |at: u64| added.is_none_or(|added| at < added);
        if task.runs.iter().any(|run| is_phantom(run.at)) {
            findings.task(id, "ran although nobody had added it");
        }
    }
    for kept in story.dump.iter().flat_map(|dump| dump.tasks) {
        if story.tasks.get(kept.task.as_str()).is_none_or(|task| task.adds.is_empty()) {
            findings.task(&kept.task, "is in the store although nobody had added it");
        }
    }
}

/// T10: when all tasks have ended and gone, nothing is left.
pub(super) fn nothing_is_left(story: &Story<'_>, findings: &mut Findings) {
    let Some(left) = story.left else { return };
    for name in left {
        findings.all(format!("{name} is left in a store without tasks"));
    }
    for kept in story.dump.iter().flat_map(|dump| dump.tasks) {
        if kept.state == "running" {
            findings.task(&kept.task, "runs although the store was drained");
        }
    }
}
