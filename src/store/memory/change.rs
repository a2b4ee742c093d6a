//! What users ask of tasks that are there.

use std::collections::BTreeSet;

use crate::domain::id::TaskId;
use crate::domain::state::TaskState;
use crate::domain::time::Timestamp;
use crate::store::Action;
use crate::store::Change;
use crate::store::Changed;
use crate::store::Target;

use super::state::Entry;
use super::state::State;

/// What is to be done with one task.
#[derive(Clone, Copy)]
enum Step {
    Pause,
    Resume,
    Cancel,
    Retry,
    Reschedule(Timestamp),
    Remove,
}

impl State {
    pub(super) fn change(&mut self, change: &Change, now: Timestamp) -> Changed {
        let mut changed = Changed::default();
        for (id, step) in self.steps(change, now) {
            let Some(entry) = self.take(&id) else {
                changed.missing.push(id);
                continue;
            };
            let state = entry.task.state;
            let is_done = match state {
                TaskState::Scheduled => self.change_scheduled(entry, step, now),
                TaskState::Running => self.change_running(entry, step, now),
                _ => self.change_ended(entry, step, now),
            };
            if is_done {
                changed.affected += 1;
            } else {
                changed.skipped.push((id, state));
            }
        }
        changed
    }

    /// One step per task; an id that is given twice counts once.
    fn steps(&self, change: &Change, now: Timestamp) -> Vec<(TaskId, Step)> {
        let ids: Vec<TaskId> = match &change.target {
            Target::Ids(ids) => ids.clone(),
            Target::Group(group) => self.groups.get(group).into_iter().flatten().cloned().collect(),
        };
        let step = |index: usize| match &change.action {
            Action::Pause => Step::Pause,
            Action::Resume => Step::Resume,
            Action::Cancel => Step::Cancel,
            Action::Retry => Step::Retry,
            Action::Remove => Step::Remove,
            Action::Reschedule(at) => Step::Reschedule(at.resolve(now)),
            Action::RescheduleEach(moments) => {
                Step::Reschedule(moments.get(index).copied().unwrap_or(Timestamp::EPOCH))
            }
        };
        let mut seen = BTreeSet::new();
        let steps = ids.into_iter().enumerate().map(|(index, id)| (id, step(index)));
        steps.filter(|(id, _)| seen.insert(id.clone())).collect()
    }

    /// Answers whether the task now is as asked.
    fn change_scheduled(&mut self, mut entry: Entry, step: Step, now: Timestamp) -> bool {
        let task = &mut entry.task;
        match step {
            Step::Pause if task.paused_at.is_none() => {
                (task.paused_at, task.parked) = (Some(now), false);
            }
            Step::Resume if task.paused_at.is_some() => task.paused_at = None,
            Step::Pause | Step::Resume | Step::Retry => {}
            Step::Reschedule(at) => {
                (task.run_at, task.planned_at, task.parked) = (at, at, false);
                entry.asked.planned_at = None;
            }
            Step::Cancel => {
                self.end(entry, TaskState::Cancelled, now);
                return true;
            }
            Step::Remove => return true,
        }
        self.put(entry);
        !matches!(step, Step::Retry)
    }

    fn change_running(&mut self, mut entry: Entry, step: Step, now: Timestamp) -> bool {
        let asked = &mut entry.asked;
        let is_done = match step {
            Step::Pause => {
                asked.paused_at = asked.paused_at.or(Some(now));
                true
            }
            Step::Resume => {
                asked.paused_at = None;
                true
            }
            Step::Cancel => {
                asked.cancel = true;
                true
            }
            Step::Reschedule(at) if entry.task.spec.schedule.is_recurring() => {
                asked.planned_at = Some(at);
                true
            }
            Step::Reschedule(_) | Step::Retry => false,
            Step::Remove => {
                self.supersede(&entry);
                return true;
            }
        };
        self.put(entry);
        is_done
    }

    fn change_ended(&mut self, mut entry: Entry, step: Step, now: Timestamp) -> bool {
        let is_done = match step {
            Step::Remove => return true,
            Step::Retry => self.may_retry(&entry),
            _ => false,
        };
        if is_done {
            entry.prune_at = None;
            let task = &mut entry.task;
            (task.state, task.finished_at) = (TaskState::Scheduled, None);
            (task.run_at, task.expires_at) = (now, None);
            (task.attempt, task.crashes) = (0, 0);
        }
        self.put(entry);
        is_done
    }

    /// Whether an ended task that was taken out may live again (T7): its key must be free (S2).
    fn may_retry(&self, entry: &Entry) -> bool {
        let key = entry.task.spec.unique_key.as_ref();
        let is_free = key.is_none_or(|key| !self.keys.contains_key(key));
        entry.task.state != TaskState::Completed && is_free
    }
}
