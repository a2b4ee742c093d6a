//! What users ask of tasks that are there.

use std::collections::BTreeSet;

use crate::domain::id::TaskId;
use crate::domain::state::TaskState;
use crate::domain::time::Timestamp;
use crate::store::Action;
use crate::store::Options;

use super::Entry;

/// What is to be done with one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Step {
    Pause,
    Resume,
    Cancel,
    Retry,
    Reschedule(Timestamp),
    Remove,
}

impl Step {
    /// What `action` asks of the task at `index` of its target.
    fn of(action: &Action, index: usize, now: Timestamp) -> Self {
        match action {
            Action::Pause => Self::Pause,
            Action::Resume => Self::Resume,
            Action::Cancel => Self::Cancel,
            Action::Retry => Self::Retry,
            Action::Remove => Self::Remove,
            Action::Reschedule(at) => Self::Reschedule(at.resolve(now)),
            Action::RescheduleEach(moments) => {
                Self::Reschedule(moments.get(index).copied().unwrap_or(Timestamp::EPOCH))
            }
        }
    }
}

/// One step per task; an id that is given twice counts once.
pub(in crate::store) fn steps(
    ids: Vec<TaskId>,
    action: &Action,
    now: Timestamp,
) -> Vec<(TaskId, Step)> {
    let mut seen = BTreeSet::new();
    let steps = ids.into_iter().enumerate().map(|(at, id)| (id, Step::of(action, at, now)));
    steps.filter(|(id, _)| seen.insert(id.clone())).collect()
}

impl Entry {
    /// What becomes of the task, and whether it now is as asked.
    ///
    /// `is_key_free` says that no other live task holds its unique key (S2). A running task that is
    /// removed must be superseded by the caller.
    pub(in crate::store) fn change(
        self,
        step: Step,
        is_key_free: bool,
        now: Timestamp,
        options: &Options,
    ) -> (Option<Self>, bool) {
        match (self.task.state, step) {
            (_, Step::Remove) => (None, true),
            (TaskState::Scheduled, Step::Cancel) => {
                (self.end(TaskState::Cancelled, now, options), true)
            }
            (TaskState::Scheduled, _) => self.change_scheduled(step, now),
            (TaskState::Running, _) => self.change_running(step, now),
            (TaskState::Completed, _) => (Some(self), false),
            (_, Step::Retry) if is_key_free => (Some(self.revived(now)), true),
            _ => (Some(self), false),
        }
    }

    fn change_scheduled(mut self, step: Step, now: Timestamp) -> (Option<Self>, bool) {
        let task = &mut self.task;
        match step {
            Step::Pause if task.paused_at.is_none() => {
                (task.paused_at, task.parked) = (Some(now), false);
            }
            Step::Resume => task.paused_at = None,
            Step::Reschedule(at) => {
                (task.run_at, task.planned_at, task.parked) = (at, at, false);
                self.asked.planned_at = None;
            }
            _ => {}
        }
        (Some(self), step != Step::Retry)
    }

    fn change_running(mut self, step: Step, now: Timestamp) -> (Option<Self>, bool) {
        let asked = &mut self.asked;
        match step {
            Step::Pause => asked.paused_at = asked.paused_at.or(Some(now)),
            Step::Resume => asked.paused_at = None,
            Step::Cancel => asked.cancel = true,
            Step::Reschedule(at) if self.task.spec.schedule.is_recurring() => {
                asked.planned_at = Some(at);
            }
            _ => return (Some(self), false),
        }
        (Some(self), true)
    }

    /// An ended task that lives again (T7).
    fn revived(mut self, now: Timestamp) -> Self {
        self.prune_at = None;
        let task = &mut self.task;
        (task.state, task.finished_at) = (TaskState::Scheduled, None);
        (task.run_at, task.expires_at) = (now, None);
        (task.attempt, task.crashes) = (0, 0);
        self
    }
}
