//! What users ask of tasks that are there.

use std::collections::BTreeSet;

use crate::domain::id::TaskId;
use crate::domain::state::TaskState;
use crate::store::Change;
use crate::store::Changed;
use crate::store::Target;
use crate::store::entry;

use super::Answer;
use super::Statement;
use super::Tx;
use super::entries;
use super::entries::Changes;
use super::entries::TASK_BY_ID;
use super::row::Reader;
use super::row::unreadable;

static TASK_GROUP: Statement = Statement::new(include_str!("statements/task_group.sql"));

impl super::Step for Change {
    type Reply = Changed;

    const METHOD: &'static str = "change";

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<Changed> {
        let ids = match &self.target {
            Target::Ids(ids) => ids.clone(),
            Target::Group(group) => {
                let args = vec![tx.ns().into(), group.as_str().into()];
                let rows = tx.rows(&TASK_GROUP, args).await?;
                let ids = rows.into_iter().map(|row| Reader::new(row).parsed::<TaskId>());
                ids.collect::<Result<_, _>>().map_err(unreadable)?
            }
        };
        let is_group = matches!(self.target, Target::Group(_));
        let wanted: BTreeSet<&TaskId> = ids.iter().collect();
        let mut known = entries::by_id(tx, &TASK_BY_ID, &wanted).await?;
        let held = entries::ghosts(tx, wanted).await?;
        let keys = known.values().filter_map(|entry| entry.task.spec.unique_key.as_ref());
        let mut keys =
            entries::holders(tx, keys.cloned().collect::<BTreeSet<_>>().iter().collect()).await?;

        let (now, mut changes, mut changed) = (tx.now(), Changes::default(), Changed::default());
        for (id, step) in entry::steps(ids, &self.action, now) {
            let Some(entry) = known.remove(&id) else {
                if !is_group {
                    changed.missing.push(id);
                }
                continue;
            };
            let state = entry.task.state;
            let key = entry.task.spec.unique_key.clone();
            let is_key_free = key.as_ref().is_none_or(|key| !keys.contains_key(key));
            changes.take(&entry);
            match (state, step) {
                (TaskState::Running, entry::Step::Remove) => changes.supersede(&entry),
                (TaskState::Running, entry::Step::Cancel) => changes.cancel(&entry),
                _ => {}
            }
            let (entry, is_done) = entry.change(step, is_key_free, now, tx.options());
            let lives = entry.as_ref().is_some_and(|entry| !entry.task.state.is_ended());
            if let Some(key) = key.filter(|_| lives || !state.is_ended()) {
                if lives {
                    keys.insert(key, id.clone());
                } else {
                    keys.remove(&key);
                }
            }
            if let Some(entry) = entry {
                changes.put(entry, held.contains_key(&id));
            }
            if is_done {
                changed.affected += 1;
            } else {
                changed.skipped.push((id, state));
            }
        }
        changes.write(tx).await?;
        Ok(changed)
    }
}
