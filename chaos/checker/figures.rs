//! What is allowed and matters: repeated runs, overlaps, times of recovery.

use std::collections::HashSet;

use serde::Deserialize;
use serde::Serialize;

use super::history::Outcome;
use super::history::Reply;
use super::story::Story;

/// Counts and times of one history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Adds that were acknowledged.
    pub(crate) scheduled: u64,
    /// Calls whose answer is unknown.
    pub(crate) unknown: u64,
    /// Handlers that were started.
    pub(crate) runs: u64,
    /// Runs of one planned time and attempt after the first one.
    pub(crate) repeated: u64,
    /// Outcomes that were accepted.
    pub(crate) accepted: u64,
    /// Outcomes that were refused because their claim did not hold the task.
    pub(crate) stale: u64,
    /// How long runs of one task overlapped where that is allowed, µs.
    pub(crate) overlaps: Vec<u64>,
    /// How long a process went on as leader after another one had won, µs.
    pub(crate) leader_overlap_us: u64,
    /// What was held by processes that were killed.
    pub(crate) recoveries: Vec<Recovery>,
    /// Recoveries beside another fault, for which there is no bound.
    pub(crate) unjudged: u64,
    /// From the acknowledged release of a leaving node to the next start, µs.
    pub(crate) handovers: Vec<u64>,
}

/// A task ran again after its process was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recovery {
    /// From the kill to the next start, µs.
    pub(crate) took: u64,
    /// What it may take, µs.
    pub(crate) bound: u64,
    /// Whether the leader was killed at about the same time.
    pub(crate) leader_died: bool,
}

impl Figures {
    /// What can be counted without a rule.
    pub(crate) fn of(story: &Story<'_>) -> Self {
        let mut figures = Self::default();
        for span in &story.calls {
            match span.reply {
                Some(Reply::Unknown { .. }) | None => figures.unknown += 1,
                _ => {}
            }
        }
        for task in story.tasks.values() {
            let is_sure = |outcome| matches!(outcome, Some(Outcome::Created | Outcome::Replaced));
            figures.scheduled += count(task.adds.iter().filter(|add| is_sure(add.outcome)));
            figures.accepted += count(task.acks.iter().filter(|ack| ack.done == Some(true)));
            figures.stale += count(task.acks.iter().filter(|ack| ack.done == Some(false)));
            figures.runs += task.runs.len() as u64;
            let mut seen = HashSet::new();
            let again =
                task.runs.iter().filter(|run| !seen.insert((run.start.planned, run.start.attempt)));
            figures.repeated += again.count() as u64;
        }
        figures
    }
}

fn count<T>(found: impl Iterator<Item = T>) -> u64 {
    found.count() as u64
}

/// The value below which this share of the values lies; 0 of none.
pub(crate) fn at(values: &[u64], percent: usize) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let index = (sorted.len().saturating_sub(1) * percent).div_ceil(100);
    sorted.get(index).copied().unwrap_or(0)
}
