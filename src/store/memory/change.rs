//! What users ask of tasks that are there.

use crate::domain::id::TaskId;
use crate::domain::state::TaskState;
use crate::domain::time::Timestamp;
use crate::store::Change;
use crate::store::Changed;
use crate::store::Target;
use crate::store::entry::Step;
use crate::store::entry::steps;

use super::state::State;

impl State {
    pub(super) fn change(&mut self, change: &Change, now: Timestamp) -> Changed {
        let ids: Vec<TaskId> = match &change.target {
            Target::Ids(ids) => ids.clone(),
            Target::Group(group) => self.groups.get(group).into_iter().flatten().cloned().collect(),
        };
        let mut changed = Changed::default();
        for (id, step) in steps(ids, &change.action, now) {
            let Some(entry) = self.take(&id) else {
                changed.missing.push(id);
                continue;
            };
            let state = entry.task.state;
            if state == TaskState::Running && step == Step::Remove {
                self.supersede(&entry);
            }
            let key = entry.task.spec.unique_key.as_ref();
            let is_key_free = key.is_none_or(|key| !self.keys.contains_key(key));
            let (entry, is_done) = entry.change(step, is_key_free, now, &self.options);
            if let Some(entry) = entry {
                self.put(entry);
            }
            if is_done {
                changed.affected += 1;
            } else {
                changed.skipped.push((id, state));
            }
        }
        changed
    }
}
