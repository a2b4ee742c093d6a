//! Outcome in, verdict out: the only place that decides what becomes of a task after a run.
//!
//! The store applies a [`Verdict`] as it is, and yields only to what a user asked for meanwhile:
//!
//! | asked while it ran | verdict | what the store does |
//! |---|---|---|
//! | cancel | completed, once | completed |
//! | cancel | anything else, or recurring | cancelled; no occurrence follows |
//! | pause | again | the task waits, paused |
//! | reschedule (recurring) | next occurrence | the asked moment is its planned time |
//! | reschedule (recurring) | again, the same occurrence | the asked moment waits for the next one |
//! | replace, remove | any | nothing; the ack is stale |

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::domain::id::NodeName;
use crate::domain::json::Json;
use crate::domain::retry::CRASHES_MAX;
use crate::domain::retry::Jitter;
use crate::domain::retry::suspect_delay;
use crate::domain::task::RunError;
use crate::domain::task::TaskRecord;
use crate::domain::time::Moment;
use crate::domain::time::Timestamp;
use crate::domain::time::format_duration;

/// Longest error message that is kept, in bytes.
pub const ERROR_BYTES_MAX: usize = 4096;

/// Where a task is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    /// Waits for its `run_at`, or is due.
    Scheduled,
    /// Leased to a node or worker.
    Running,
    /// Its run ended well.
    Completed,
    /// Gave up after the last attempt; kept, can be retried by hand.
    Dead,
    /// A user ended it.
    Cancelled,
    /// Was not started in time.
    Expired,
}

impl TaskState {
    /// All, in the order of a life.
    pub const ALL: [Self; 6] = [
        Self::Scheduled,
        Self::Running,
        Self::Completed,
        Self::Dead,
        Self::Cancelled,
        Self::Expired,
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// The state with that word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether nothing more happens without a retry or replace by hand (T7).
    #[must_use]
    pub fn is_ended(self) -> bool {
        !matches!(self, Self::Scheduled | Self::Running)
    }
}

/// How a run ended, as its node saw it.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The handler gave a result.
    Completed(Option<Json>),
    /// The handler failed, or panicked; charged.
    Failed(String),
    /// The run was stopped after this long; charged.
    TimedOut(Duration),
    /// The handler says that no retry can help; charged.
    Dead(String),
    /// The handler asks to run again after this long; not charged.
    Snoozed(Duration),
    /// The node hands the task back, mostly because it drains; not charged.
    Released,
    /// The run was stopped because its task was cancelled.
    Cancelled,
    /// The run was not started before the task expired.
    Expired,
}

/// Why a task is scheduled again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// An attempt failed.
    Retry,
    /// The run asked for it.
    Snooze,
    /// The node gave it back.
    Release,
    /// Its lease was reclaimed.
    Reclaim,
    /// The occurrence is over; the next one follows.
    Next,
}

/// What becomes of a task, for the store to apply as it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The task has ended.
    End {
        /// Completed, dead, cancelled or expired.
        state: TaskState,
        /// Charged runs.
        attempt: u32,
        /// Node deaths in a row.
        crashes: u32,
        /// The errors to keep.
        errors: Vec<RunError>,
        /// What the run gave back.
        result: Option<Json>,
    },
    /// The task is scheduled again.
    Again {
        /// Why.
        why: Again,
        /// From when it may run.
        run_at: Moment,
        /// The planned time that the next run belongs to.
        planned_at: Timestamp,
        /// Charged runs that are over.
        attempt: u32,
        /// Node deaths in a row.
        crashes: u32,
        /// The errors to keep.
        errors: Vec<RunError>,
        /// What the run gave back, if an occurrence completed.
        result: Option<Json>,
    },
}

/// What a decision needs beside the task and its outcome.
#[derive(Clone, Debug)]
pub struct Deciding<'a> {
    /// The store's now, as the node knows it.
    pub now: Timestamp,
    /// A die for the wait before a retry.
    pub jitter: Jitter,
    /// Where the task ran.
    pub node: &'a NodeName,
}

/// Decides what becomes of a running task after `outcome`.
///
/// * A run that ends without its node's death clears the crashes, except one that was handed back
///   or snoozed: that proves nothing.
/// * Neither a retry nor a snooze of a recurring task passes the next planned time: the next
///   occurrence takes its place, with a fresh attempt count.
/// * An occurrence that is out of attempts, or dead, ends only itself.
#[must_use]
pub fn decide(task: &TaskRecord, outcome: Outcome, deciding: &Deciding<'_>) -> Verdict {
    match outcome {
        Outcome::Completed(result) => complete(task, result, deciding.now),
        Outcome::Failed(message) => fail(task, &message, deciding),
        Outcome::TimedOut(after) => {
            fail(task, &format!("timed out after {}", format_duration(after)), deciding)
        }
        Outcome::Dead(message) => give_up(task, &message, deciding),
        Outcome::Snoozed(length) => snooze(task, length, deciding.now),
        Outcome::Released => hand_back(task, Again::Release),
        Outcome::Cancelled => end(task, TaskState::Cancelled, task.attempts_over()),
        Outcome::Expired => end(task, TaskState::Expired, task.attempts_over()),
    }
}

/// Decides what becomes of a task whose lease is reclaimed.
///
/// Without `crashed` (its claim's reply was lost while the node lived on) it simply goes back. With
/// it, the crash is counted and no attempt is charged; from the second crash in a row on the task
/// waits a little and runs apart; at the limit it is dead (N4, T7).
#[must_use]
pub fn decide_reclaim(task: &TaskRecord, crashed: bool, deciding: &Deciding<'_>) -> Verdict {
    if !crashed {
        return hand_back(task, Again::Reclaim);
    }

    let crashes = task.crashes + 1;
    let message = format!("its node died {crashes} times while it ran");
    if crashes >= CRASHES_MAX {
        return Verdict::End {
            state: TaskState::Dead,
            attempt: task.attempts_over(),
            crashes,
            errors: task.errors_with(error(task, &message, deciding)),
            result: None,
        };
    }

    let wait = suspect_delay(crashes, deciding.jitter);
    Verdict::Again {
        why: Again::Reclaim,
        run_at: if wait.is_zero() { Moment::At(task.run_at) } else { Moment::In(wait) },
        planned_at: task.planned_at,
        attempt: task.attempts_over(),
        crashes,
        errors: task.errors.clone(),
        result: None,
    }
}

fn complete(task: &TaskRecord, result: Option<Json>, now: Timestamp) -> Verdict {
    match next_planned(task, now) {
        Some(planned_at) => occurrence(planned_at, task.errors.clone(), result),
        None => Verdict::End {
            state: TaskState::Completed,
            attempt: task.attempts_over() + 1,
            crashes: 0,
            errors: task.errors.clone(),
            result,
        },
    }
}

fn fail(task: &TaskRecord, message: &str, deciding: &Deciding<'_>) -> Verdict {
    let attempt = task.attempts_over() + 1;
    if attempt >= task.spec.max_attempts {
        return give_up(task, message, deciding);
    }

    let errors = task.errors_with(error(task, message, deciding));
    let wait = task.spec.backoff.delay(attempt, deciding.jitter);
    match next_planned(task, deciding.now) {
        Some(planned_at) if planned_at <= deciding.now.plus(wait) => {
            occurrence(planned_at, errors, None)
        }
        _ => Verdict::Again {
            why: Again::Retry,
            run_at: Moment::In(wait),
            planned_at: task.planned_at,
            attempt,
            crashes: 0,
            errors,
            result: None,
        },
    }
}

fn give_up(task: &TaskRecord, message: &str, deciding: &Deciding<'_>) -> Verdict {
    let errors = task.errors_with(error(task, message, deciding));
    match next_planned(task, deciding.now) {
        Some(planned_at) => occurrence(planned_at, errors, None),
        None => Verdict::End {
            state: TaskState::Dead,
            attempt: task.attempts_over() + 1,
            crashes: 0,
            errors,
            result: None,
        },
    }
}

fn snooze(task: &TaskRecord, length: Duration, now: Timestamp) -> Verdict {
    match next_planned(task, now) {
        Some(planned_at) if planned_at <= now.plus(length) => {
            occurrence(planned_at, task.errors.clone(), None)
        }
        _ => Verdict::Again {
            why: Again::Snooze,
            run_at: Moment::In(length),
            planned_at: task.planned_at,
            attempt: task.attempts_over(),
            crashes: task.crashes,
            errors: task.errors.clone(),
            result: None,
        },
    }
}

/// The task goes back to where it was before it was claimed.
fn hand_back(task: &TaskRecord, why: Again) -> Verdict {
    Verdict::Again {
        why,
        run_at: Moment::At(task.run_at),
        planned_at: task.planned_at,
        attempt: task.attempts_over(),
        crashes: task.crashes,
        errors: task.errors.clone(),
        result: None,
    }
}

fn end(task: &TaskRecord, state: TaskState, attempt: u32) -> Verdict {
    let (crashes, errors) = (task.crashes, task.errors.clone());
    Verdict::End { state, attempt, crashes, errors, result: None }
}

fn occurrence(planned_at: Timestamp, errors: Vec<RunError>, result: Option<Json>) -> Verdict {
    Verdict::Again {
        why: Again::Next,
        run_at: Moment::At(planned_at),
        planned_at,
        attempt: 0,
        crashes: 0,
        errors,
        result,
    }
}

fn next_planned(task: &TaskRecord, now: Timestamp) -> Option<Timestamp> {
    task.spec.schedule.next(task.planned_at, now, task.spec.coalesce)
}

fn error(task: &TaskRecord, message: &str, deciding: &Deciding<'_>) -> RunError {
    RunError {
        message: last_bytes(message).to_owned(),
        at: deciding.now,
        node: deciding.node.clone(),
        attempt: task.attempts_over() + 1,
    }
}

/// The end of a message, where the cause mostly stands, cut at a character.
pub(crate) fn last_bytes(message: &str) -> &str {
    let skipped = message.len().saturating_sub(ERROR_BYTES_MAX);
    let at = (skipped..message.len()).find(|at| message.is_char_boundary(*at));
    &message[at.unwrap_or(0)..]
}

#[cfg(test)]
mod tests;
