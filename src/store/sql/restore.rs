//! Tasks come in from another store.

use std::collections::BTreeSet;

use crate::domain::id::TaskId;
use crate::store::Restore;
use crate::store::RestoreOutcome;
use crate::store::Restored;
use crate::store::entry::Entry;

use super::Answer;
use super::Step;
use super::Tx;
use super::entries;
use super::entries::Changes;
use super::entries::TASK_BY_ID;
use super::queues;

impl Step for Restore {
    type Reply = Restored;

    const METHOD: &'static str = "restore";

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<Restored> {
        let now = tx.now();
        let ids: BTreeSet<&TaskId> = self.tasks.iter().map(|arrival| &arrival.task.id).collect();
        let known = entries::by_id(tx, &TASK_BY_ID, &ids).await?;
        let held = entries::ghosts(tx, ids).await?;
        let live = self.tasks.iter().filter(|arrival| !arrival.task.state.is_ended());
        let keys = live.filter_map(|arrival| arrival.task.spec.unique_key.as_ref()).collect();
        let mut keys = entries::holders(tx, keys).await?;

        let (mut changes, mut outcomes) = (Changes::default(), Vec::new());
        for arrival in &self.tasks {
            let id = &arrival.task.id;
            if let Some(there) = known.get(id) {
                let is_own = there.request == self.request;
                outcomes.push(if is_own { RestoreOutcome::Created } else { RestoreOutcome::Kept });
                continue;
            }
            let entry = Entry::restored(arrival, &self.request, now, tx.options());
            if let Some(key) = entry.live_key() {
                if let Some(holder) = keys.get(key) {
                    outcomes.push(RestoreOutcome::Duplicate(holder.clone()));
                    continue;
                }
                keys.insert(key.clone(), id.clone());
            }
            changes.put(entry, held.contains_key(id));
            outcomes.push(RestoreOutcome::Created);
        }
        let put = self.tasks.iter().zip(&outcomes);
        let put = put.filter(|(_, outcome)| **outcome == RestoreOutcome::Created);
        queues::know(tx, put.map(|(arrival, _)| &arrival.task.spec.queue)).await?;
        changes.write(tx).await?;
        Ok(Restored { now, outcomes })
    }
}
