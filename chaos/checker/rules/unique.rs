//! S2: a unique key has at most one live task.

use std::collections::HashMap;

use crate::checker::history::Action;
use crate::checker::history::Outcome;
use crate::checker::history::Verdict;
use crate::checker::story::Add;
use crate::checker::story::Story;
use crate::checker::story::Task;

use super::Findings;
use super::outcomes::is_end;

/// S2: while a task with a key surely lives, none with the same key is added.
pub(super) fn one_live_task_per_key(story: &Story<'_>, findings: &mut Findings) {
    let mut by_key: HashMap<&str, Vec<(&str, &Task<'_>, &Add<'_>)>> = HashMap::new();
    for (id, task) in &story.tasks {
        let sure = task
            .adds
            .iter()
            .filter(|add| matches!(add.outcome, Some(Outcome::Created | Outcome::Replaced)));
        for add in sure {
            if let Some(key) = &add.spec.unique_key {
                by_key.entry(key).or_default().push((id, task, add));
            }
        }
    }
    for (key, mut adds) in by_key {
        adds.sort_by_key(|(_, _, add)| add.when.to);
        for (at, (id, _, later)) in adds.iter().enumerate() {
            let lives = |(other, task, earlier): &&(&str, &Task<'_>, &Add<'_>)| {
                other != id
                    && earlier.when.is_before(&later.when)
                    && !may_have_ended(task, earlier, later.when.to)
            };
            if let Some((other, ..)) = adds[..at].iter().find(lives) {
                findings.task(id, format!("was added with the key {key} of {other}, which lives"));
            }
        }
    }
    two_live_ones_at_the_end(story, findings);
}

/// Whether a task that was added may have ended, or lost its key, until some moment.
fn may_have_ended(task: &Task<'_>, add: &Add<'_>, until: u64) -> bool {
    let from = add.when.from;
    let is_acked = task.acks.iter().any(|ack| {
        ack.done != Some(false) && is_end(ack.item.verdict) && ack.when.may_be_in(from, until)
    });
    let is_judged = task.reclaims.iter().any(|reclaim| {
        let ends =
            reclaim.verdict == Some(Verdict::Dead) || reclaim.verdict == Some(Verdict::Cancelled);
        ends && reclaim.when.may_be_in(from, until)
    });
    let is_changed = task.changes.iter().any(|change| {
        matches!(change.action, Action::Cancel | Action::Remove)
            && change.when.may_be_in(from, until)
    });
    let is_replaced = task.adds.iter().any(|other| {
        other.when != add.when
            && other.spec.unique_key != add.spec.unique_key
            && other.when.may_be_in(from, until)
    });
    is_acked || is_judged || is_changed || is_replaced
}

fn two_live_ones_at_the_end(story: &Story<'_>, findings: &mut Findings) {
    let mut live: HashMap<&str, &str> = HashMap::new();
    for kept in story.dump.iter().flat_map(|dump| dump.tasks) {
        let Some(key) = &kept.unique_key else { continue };
        if !matches!(kept.state.as_str(), "scheduled" | "running") {
            continue;
        }
        if let Some(other) = live.insert(key, &kept.task) {
            findings.task(&kept.task, format!("lives with the key {key}, and so does {other}"));
        }
    }
}
