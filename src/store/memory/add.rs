//! Tasks come in, and are read by id.

use crate::domain::id::RequestId;
use crate::domain::id::TaskId;
use crate::domain::lease::Fence;
use crate::domain::state::TaskState;
use crate::domain::task::NewTask;
use crate::domain::time::Timestamp;
use crate::store::Add;
use crate::store::AddOutcome;
use crate::store::Added;
use crate::store::Existing;
use crate::store::Fetch;
use crate::store::TaskRecord;

use super::state::Asked;
use super::state::Entry;
use super::state::State;

impl State {
    pub(super) fn add(&mut self, add: &Add, now: Timestamp) -> Added {
        let outcomes = add.tasks.iter().map(|task| self.add_one(add, task, now)).collect();
        Added { now, outcomes }
    }

    fn add_one(&mut self, add: &Add, task: &NewTask, now: Timestamp) -> AddOutcome {
        let old = self.tasks.get(&task.id);
        match old {
            Some(old) if old.request == add.request => return old.outcome.clone(),
            Some(_) if add.existing == Existing::Keep => return AddOutcome::Kept,
            _ => {}
        }
        if let Some(holder) = self.other_holder(task) {
            return AddOutcome::Duplicate(holder);
        }

        let old = self.take(&task.id);
        if let Some(old) = &old {
            self.supersede(old);
        }
        let outcome = if old.is_some() { AddOutcome::Replaced } else { AddOutcome::Created };
        let fence = old.and_then(|old| old.fence);
        self.put(entry(task, &add.request, outcome.clone(), fence, now));
        outcome
    }

    /// The live task that has the unique key of `task` and is another one (S2).
    fn other_holder(&self, task: &NewTask) -> Option<TaskId> {
        let holder = self.keys.get(task.spec.unique_key.as_ref()?)?;
        (*holder != task.id).then(|| holder.clone())
    }

    pub(super) fn fetch(&mut self, fetch: &Fetch, now: Timestamp) -> Vec<Option<TaskRecord>> {
        if let Some(length) = fetch.watch {
            let until = now.plus(length);
            for id in &fetch.ids {
                if let Some(entry) = self.tasks.get_mut(id)
                    && !entry.task.state.is_ended()
                {
                    entry.watched_until = entry.watched_until.max(Some(until));
                }
            }
        }
        fetch.ids.iter().map(|id| self.tasks.get(id).map(|entry| self.view(entry))).collect()
    }
}

/// A new task; it goes on from the last fence of its id (T4).
fn entry(
    task: &NewTask,
    request: &RequestId,
    outcome: AddOutcome,
    fence: Option<Fence>,
    now: Timestamp,
) -> Entry {
    let run_at = task.run_at.resolve(now);
    Entry {
        task: TaskRecord {
            id: task.id.clone(),
            spec: task.spec.clone(),
            state: TaskState::Scheduled,
            created_at: now,
            run_at,
            planned_at: run_at,
            expires_at: task.expires.map(|expires| expires.resolve(now)),
            paused_at: task.paused.map(|paused| paused.resolve(now)),
            parked: false,
            attempt: 0,
            crashes: 0,
            errors: Vec::new(),
            finished_at: None,
            result: None,
            lease: None,
        },
        request: request.clone(),
        outcome,
        fence,
        claim: None,
        may_expire: true,
        watched_until: None,
        asked: Asked::default(),
        prune_at: None,
    }
}
