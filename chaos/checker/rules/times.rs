//! T8: nothing starts before its time, and nothing is claimed that was taken out.

use crate::checker::history::Action;
use crate::checker::story::Story;
use crate::checker::story::Task;
use crate::checker::story::Window;

use super::Findings;
use super::seconds;

/// What two clocks of one machine may differ by in the time of a run's wait, µs.
const DRIFT_US: i64 = 1_000;

/// How far back a sight of the store's clock still says what a node may believe, µs.
const SIGHT_US: u64 = 2_000_000;

/// T8.
pub(super) fn nothing_is_claimed_or_starts_too_early(story: &Story<'_>, findings: &mut Findings) {
    let sights = Sights::of(story);
    for (id, task) in &story.tasks {
        for run in &task.runs {
            let Some(taken) = task.taken_with(run.start.fence) else { continue };
            let from = taken.when.from.saturating_sub(SIGHT_US);
            let Some(now) = sights.latest_now(from, run.at) else { continue };
            let early_us = taken.task.run_at - now;
            if early_us > DRIFT_US {
                findings.task(id, format!("started {early_us} µs before its run_at on {}", run.by));
            }
        }
        taken_out_stays_out(id, task, findings);
    }
}

/// After a pause, cancel or remove was acknowledged no claim takes the task until that is undone.
fn taken_out_stays_out(id: &str, task: &Task<'_>, findings: &mut Findings) {
    let changed = task.changes.iter().filter(|change| change.is_sure);
    let changed = changed.map(|change| (change.action, change.when));
    let paused = task.adds.iter().filter(|add| add.spec.paused && add.outcome.is_some());
    let paused = paused.map(|add| (Action::Pause, add.when));
    for (action, when) in changed.chain(paused) {
        let word = match action {
            Action::Pause => "paused",
            Action::Cancel => "cancelled",
            Action::Remove => "removed",
            Action::Resume | Action::Retry | Action::Reschedule => continue,
        };
        let again = task.taken.iter().find(|taken| {
            when.is_before(&taken.when) && !is_undone(task, action, when, taken.when.to)
        });
        if let Some(taken) = again {
            let (at, by) = (seconds(when.to), taken.by);
            findings.task(id, format!("was {word} at {at} and claimed by {by} afterwards"));
        }
    }
}

/// Whether something may have undone a change until some moment.
fn is_undone(task: &Task<'_>, action: Action, when: Window, until: u64) -> bool {
    let undoes = |other: Action| match action {
        Action::Pause => matches!(other, Action::Resume | Action::Retry),
        Action::Cancel => other == Action::Retry,
        _ => false,
    };
    let is_later = |other: Window| other != when && other.may_be_in(when.from, until);
    task.adds.iter().any(|add| is_later(add.when))
        || task.changes.iter().any(|other| undoes(other.action) && is_later(other.when))
}

/// What the store's clock was seen to show, by when that was asked.
struct Sights {
    /// When it was asked, and how far the store's clock may have been ahead of the steady one, µs.
    ahead: Vec<(u64, i64)>,
}

impl Sights {
    fn of(story: &Story<'_>) -> Self {
        let at = |us: u64| i64::try_from(us).unwrap_or(i64::MAX);
        let mut ahead: Vec<_> = story
            .sights
            .iter()
            .map(|(sent, _, now)| (*sent, now.saturating_sub(at(*sent))))
            .collect();
        ahead.sort_unstable();
        Self { ahead }
    }

    /// The latest that the store's clock may have shown at a moment, by what was asked of it since
    /// another one.
    fn latest_now(&self, from: u64, at: u64) -> Option<i64> {
        let start = self.ahead.partition_point(|(sent, _)| *sent < from);
        let end = self.ahead.partition_point(|(sent, _)| *sent <= at);
        let most = self.ahead.get(start..end)?.iter().map(|(_, ahead)| *ahead).max()?;
        Some(most.saturating_add(i64::try_from(at).unwrap_or(i64::MAX)))
    }
}
