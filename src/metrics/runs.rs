//! What is counted of the runs of one callback.

use std::time::Duration;

use crate::domain::state::Again;
use crate::domain::state::Outcome;
use crate::domain::state::TaskState;
use crate::domain::state::Verdict;

use super::count::Buckets;
use super::count::Counter;
use super::count::Histogram;

/// From a fraction of what a claim takes to a backlog of an hour, µs.
const LAGS: Buckets = Buckets::of_us(&[
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    5_000_000,
    15_000_000,
    60_000_000,
    300_000_000,
    3_600_000_000,
]);

/// From handlers that only count to such that copy a database, µs.
const LENGTHS: Buckets = Buckets::of_us(&[
    1_000,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    3_600_000_000,
]);

/// The runs of one callback on this node.
#[derive(Debug)]
pub(crate) struct Runs {
    /// From `run_at` to the start; its count is that of the starts.
    pub(super) lag: Histogram,
    /// From the start to the end; its count is that of the ends.
    pub(super) length: Histogram,
    pub(super) completed: Counter,
    pub(super) failed: Counter,
    pub(super) retried: Counter,
    pub(super) dead: Counter,
    pub(super) dead_by_crashes: Counter,
    pub(super) snoozed: Counter,
    pub(super) released: Counter,
    pub(super) cancelled: Counter,
    pub(super) possibly_duplicate: Counter,
}

impl Default for Runs {
    fn default() -> Self {
        let count = Counter::default;
        Self {
            lag: Histogram::new(LAGS),
            length: Histogram::new(LENGTHS),
            completed: count(),
            failed: count(),
            retried: count(),
            dead: count(),
            dead_by_crashes: count(),
            snoozed: count(),
            released: count(),
            cancelled: count(),
            possibly_duplicate: count(),
        }
    }
}

impl Runs {
    /// A handler was called this long after the task's `run_at`.
    pub(crate) fn began(&self, lag: Duration) {
        self.lag.observe_length(lag);
    }

    /// A run that had begun is over after this long.
    pub(crate) fn ended(&self, length: Duration) {
        self.length.observe_length(length);
    }

    /// A crash too many has ended a task.
    pub(crate) fn died_of_crashes(&self) {
        self.dead_by_crashes.add(1);
    }

    /// How many runs have begun and are not over.
    pub(super) fn in_flight(&self) -> u64 {
        // Read in this order, so that a run which begins and ends meanwhile counts as neither.
        let ended = self.length.count();
        self.lag.count().saturating_sub(ended)
    }

    /// Adds what the store made of a batch of outcomes.
    pub(crate) fn add(&self, tally: &Tally) {
        self.completed.add(tally.completed);
        self.failed.add(tally.failed);
        self.retried.add(tally.retried);
        self.dead.add(tally.dead);
        self.snoozed.add(tally.snoozed);
        self.released.add(tally.released);
        self.cancelled.add(tally.cancelled);
        self.possibly_duplicate.add(tally.possibly_duplicate);
    }
}

/// How a run ended, as far as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Completed,
    Failed,
    Snoozed,
    Released,
    Cancelled,
    Expired,
}

impl From<&Outcome> for Ended {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Completed(_) => Self::Completed,
            Outcome::Failed(_) | Outcome::TimedOut(_) | Outcome::Dead(_) => Self::Failed,
            Outcome::Snoozed(_) => Self::Snoozed,
            Outcome::Released => Self::Released,
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Expired => Self::Expired,
        }
    }
}

/// What became of a batch of outcomes, gathered so that a batch costs as many additions as a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    completed: u64,
    failed: u64,
    retried: u64,
    dead: u64,
    snoozed: u64,
    released: u64,
    cancelled: u64,
    possibly_duplicate: u64,
}

impl Tally {
    /// The store accepted that a run ended so, and what was decided of its task.
    pub(crate) fn accept(&mut self, ended: Ended, verdict: &Verdict) {
        match ended {
            Ended::Completed => self.completed += 1,
            Ended::Failed => self.failed += 1,
            Ended::Snoozed => self.snoozed += 1,
            Ended::Released => self.released += 1,
            Ended::Cancelled => self.cancelled += 1,
            Ended::Expired => {}
        }
        match verdict {
            Verdict::Again { why: Again::Retry, .. } => self.retried += 1,
            Verdict::End { state: TaskState::Dead, .. } => self.dead += 1,
            Verdict::Again { .. } | Verdict::End { .. } => {}
        }
    }

    /// The store refused the outcome of a run that had begun, because it gave the task away.
    pub(crate) fn suspect(&mut self) {
        self.possibly_duplicate += 1;
    }
}
