//! Tasks that come from another store, or go there.

use std::time::Duration;

use crate::domain::arrival::Arrival;
use crate::domain::arrival::Unseen;
use crate::domain::id::RequestId;
use crate::domain::state::TaskState;
use crate::domain::task::Spec;
use crate::domain::time::Timestamp;
use crate::store::AddOutcome;
use crate::store::Options;

use super::Entry;

impl Entry {
    /// A task that comes from another store; it goes on from the last fence of its id (T4).
    pub(in crate::store) fn restored(
        arrival: &Arrival,
        request: &RequestId,
        now: Timestamp,
        options: &Options,
    ) -> Self {
        let Arrival { task, unseen } = arrival;
        let mut entry = Self {
            task: task.clone(),
            request: request.clone(),
            outcome: AddOutcome::Created,
            fence: unseen.fence,
            claim: None,
            may_expire: unseen.may_expire,
            watched_until: None,
            asked: unseen.asked.clone(),
            prune_at: None,
        };
        if task.state.is_ended() {
            let finished_at = task.finished_at.unwrap_or(now);
            entry.task.finished_at = Some(finished_at);
            entry.prune_at = Some(finished_at.plus(kept_for(task.state, &task.spec, options)));
        }
        entry
    }

    /// What is not shown of it, for who moves it.
    pub(in crate::store) fn unseen(&self) -> Unseen {
        Unseen {
            fence: self.fence,
            may_expire: self.expires().is_some(),
            asked: self.asked.clone(),
        }
    }
}

/// How long a task that ended in `state` is kept.
pub(in crate::store) fn kept_for(state: TaskState, spec: &Spec, options: &Options) -> Duration {
    match state {
        TaskState::Cancelled => options.keep_cancelled,
        TaskState::Expired => options.keep_expired,
        TaskState::Dead => options.keep_dead,
        TaskState::Completed | TaskState::Scheduled | TaskState::Running => spec.retention,
    }
}
