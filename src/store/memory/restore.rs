//! Tasks come in from another store.

use crate::domain::arrival::Arrival;
use crate::domain::id::TaskId;
use crate::domain::time::Timestamp;
use crate::store::Restore;
use crate::store::RestoreOutcome;
use crate::store::Restored;
use crate::store::entry::Entry;

use super::state::State;

impl State {
    pub(super) fn restore(&mut self, restore: &Restore, now: Timestamp) -> Restored {
        let outcomes = restore.tasks.iter().map(|task| self.arrive(restore, task, now)).collect();
        Restored { now, outcomes }
    }

    fn arrive(&mut self, restore: &Restore, arrival: &Arrival, now: Timestamp) -> RestoreOutcome {
        match self.tasks.get(&arrival.task.id) {
            Some(there) if there.request == restore.request => return RestoreOutcome::Created,
            Some(_) => return RestoreOutcome::Kept,
            None => {}
        }
        if let Some(holder) = self.holder(arrival) {
            return RestoreOutcome::Duplicate(holder);
        }
        self.put(Entry::restored(arrival, &restore.request, now, &self.options));
        RestoreOutcome::Created
    }

    /// The live task that has the unique key of a live one (S2).
    fn holder(&self, arrival: &Arrival) -> Option<TaskId> {
        if arrival.task.state.is_ended() {
            return None;
        }
        self.keys.get(arrival.task.spec.unique_key.as_ref()?).cloned()
    }
}
