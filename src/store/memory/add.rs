//! Tasks come in, and are read by id.

use crate::domain::id::TaskId;
use crate::domain::task::NewTask;
use crate::domain::time::Timestamp;
use crate::store::Add;
use crate::store::AddOutcome;
use crate::store::Added;
use crate::store::Existing;
use crate::store::Fetch;
use crate::store::TaskRecord;
use crate::store::entry::Entry;

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
        self.put(Entry::new(task, &add.request, outcome.clone(), fence, now));
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
