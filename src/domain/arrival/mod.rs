//! A task on its way from one store into another.

use crate::domain::lease::Fence;
use crate::domain::state::TaskState;
use crate::domain::task::TaskRecord;
use crate::domain::time::Timestamp;

/// What a user asked of a task while it ran, and what waits for its run to end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// To end as cancelled.
    pub cancel: bool,
    /// To be paused, since then.
    pub paused_at: Option<Timestamp>,
    /// The planned time of the next occurrence; it outlasts retries of the present one.
    pub planned_at: Option<Timestamp>,
}

/// What a store knows of a task and shows to nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unseen {
    /// The last fence of its id; a present run's, if it runs.
    pub fence: Option<Fence>,
    /// Whether it has an `expires_at` and was never claimed, so that it still can expire.
    pub may_expire: bool,
    /// What was asked of it while it ran.
    pub asked: Asked,
}

/// A task as it arrives in another store: never running, never parked.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Arrival {
    /// What is put there as it is. One that has ended without a `finished_at` ends as it arrives.
    pub task: TaskRecord,
    /// The last fence, from which it goes on (T4); whether it can expire; and the planned time that
    /// was asked for its next occurrence.
    pub unseen: Unseen,
}

impl Arrival {
    /// What becomes of `task` when it is moved.
    ///
    /// A running task arrives as scheduled, with the `run_at` of the run that is left behind and
    /// nothing charged for it. What was asked of it meanwhile is done: it arrives cancelled, or
    /// paused (T8). Whether a node there has its callback is for that store's claims to find out.
    #[must_use]
    pub fn of(mut task: TaskRecord, mut unseen: Unseen) -> Self {
        if task.state == TaskState::Running {
            task.attempt = task.attempts_over();
            task.state = TaskState::Scheduled;
            task.paused_at = unseen.asked.paused_at;
            unseen.may_expire = false;
            if unseen.asked.cancel {
                (task.state, task.paused_at) = (TaskState::Cancelled, None);
            }
        }
        task.parked = false;
        task.lease = None;

        let lives = !task.state.is_ended();
        let planned_at = unseen.asked.planned_at.filter(|_| lives);
        unseen.asked = Asked { planned_at, ..Asked::default() };
        unseen.may_expire &= lives;
        Self { task, unseen }
    }
}

#[cfg(test)]
mod tests;
