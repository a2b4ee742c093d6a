//! Tasks come in.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::domain::id::TaskId;
use crate::domain::id::UniqueKey;
use crate::domain::state::TaskState;
use crate::domain::task::NewTask;
use crate::domain::time::Timestamp;
use crate::store::Add;
use crate::store::AddOutcome;
use crate::store::Added;
use crate::store::Existing;
use crate::store::entry::Entry;

use super::Answer;
use super::Step;
use super::Tx;
use super::entries;
use super::entries::Changes;
use super::entries::TASK_BY_ID;
use super::queues;

impl Step for Add {
    type Reply = Added;

    const METHOD: &'static str = "add";

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<Added> {
        let ids: BTreeSet<&TaskId> = self.tasks.iter().map(|task| &task.id).collect();
        let keys = self.tasks.iter().filter_map(|task| task.spec.unique_key.as_ref()).collect();
        let mut adding = Adding::seeing(self, &ids, keys, tx).await?;
        adding.held = entries::ghosts(tx, ids).await?.into_keys().collect();
        let (outcomes, changes) = adding.all();
        let added =
            self.tasks.iter().zip(&outcomes).filter(|(_, outcome)| {
                matches!(outcome, AddOutcome::Created | AddOutcome::Replaced)
            });
        queues::know(tx, added.map(|(task, _)| &task.spec.queue)).await?;
        changes.write(tx).await?;
        Ok(Added { now: tx.now(), outcomes })
    }
}

/// Tasks while they are added.
pub(super) struct Adding<'a> {
    add: &'a Add,
    now: Timestamp,
    known: BTreeMap<TaskId, Entry>,
    keys: BTreeMap<UniqueKey, TaskId>,
    /// Ids whose superseded run has not let go.
    pub(super) held: BTreeSet<TaskId>,
    changes: Changes,
}

impl<'a> Adding<'a> {
    /// Looks at these tasks and keys, and holds them.
    pub(super) async fn seeing<T: Tx>(
        add: &'a Add,
        ids: &BTreeSet<&TaskId>,
        keys: BTreeSet<&UniqueKey>,
        tx: &mut T,
    ) -> Answer<Self> {
        Ok(Self {
            add,
            now: tx.now(),
            known: entries::by_id(tx, &TASK_BY_ID, ids).await?,
            keys: entries::holders(tx, keys).await?,
            held: BTreeSet::new(),
            changes: Changes::default(),
        })
    }

    /// What becomes of each task, and what is to be written.
    pub(super) fn all(mut self) -> (Vec<AddOutcome>, Changes) {
        let outcomes = self.add.tasks.iter().map(|task| self.one(task)).collect();
        (outcomes, self.changes)
    }

    fn one(&mut self, task: &NewTask) -> AddOutcome {
        match self.known.get(&task.id) {
            Some(old) if old.request == self.add.request => return old.outcome.clone(),
            Some(_) if self.add.existing == Existing::Keep => return AddOutcome::Kept,
            _ => {}
        }
        let holder = task.spec.unique_key.as_ref().and_then(|key| self.keys.get(key));
        if let Some(holder) = holder.filter(|holder| **holder != task.id) {
            return AddOutcome::Duplicate(holder.clone());
        }

        let old = self.known.remove(&task.id);
        if let Some(old) = &old {
            self.changes.take(old);
            if let Some(key) = old.live_key() {
                self.keys.remove(key);
            }
            if old.task.state == TaskState::Running {
                self.changes.supersede(old);
                self.held.insert(task.id.clone());
            }
        }
        let outcome = if old.is_some() { AddOutcome::Replaced } else { AddOutcome::Created };
        let fence = old.and_then(|old| old.fence);
        let entry = Entry::new(task, &self.add.request, outcome.clone(), fence, self.now);
        if let Some(key) = entry.live_key() {
            self.keys.insert(key.clone(), task.id.clone());
        }
        self.changes.put(entry, self.held.contains(&task.id));
        outcome
    }
}
