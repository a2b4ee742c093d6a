//! All tasks of one store, in another one.

use std::collections::HashMap;
use std::collections::HashSet;

use crate::domain::arrival::Arrival;
use crate::domain::id::QueueName;
use crate::domain::id::TaskId;
use crate::domain::id::UniqueKey;
use crate::domain::task::TaskRecord;
use crate::store;
use crate::store::Fetch;
use crate::store::Filter;
use crate::store::Gate;
use crate::store::List;
use crate::store::Page;
use crate::store::Restore;
use crate::store::RestoreOutcome;

use super::BATCH_BYTES_MAX;
use super::Scheduler;
use super::batch;

/// Tasks of one page: few enough that a page of the largest fits into memory.
const PAGE: usize = 200;

/// What became of the tasks of a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// How many were put into the other store.
    pub copied: u64,
    /// How many were there already, and stayed as they were.
    pub kept: u64,
    /// Live tasks that were left out, and the live task there that holds their unique key (S2).
    pub duplicates: Vec<(TaskId, TaskId)>,
    /// Tasks that the other store cannot hold, and why.
    pub refused: Vec<(TaskId, String)>,
    /// Tasks whose records cannot be read; they were left out.
    pub corrupt: Vec<TaskId>,
    /// Queues that are paused, and now are so in the other store, too.
    pub paused: Vec<QueueName>,
}

/// Which of two stores gave no answer, or cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The one that is copied. What was copied so far stays.
    #[error("the store that is copied")]
    From(#[source] store::Error),
    /// The one that is copied into. What was copied so far stays.
    #[error("the store that is copied into")]
    To(#[source] store::Error),
}

/// What a copy gives, unless one of the stores was away.
type Result<T> = std::result::Result<T, CopyError>;

impl Copied {
    /// Whether every task of the one store is in the other now.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.duplicates.is_empty() && self.refused.is_empty() && self.corrupt.is_empty()
    }
}

impl Scheduler {
    /// Copies all tasks into the store of `other`, and pauses the queues there that are paused here.
    ///
    /// Every field is kept, of ended tasks, too; running ones arrive as due, with nothing charged
    /// for the run that is left behind. What has the same id there is kept as it is, so a copy that
    /// broke off is simply made again. This store is left as it is.
    ///
    /// Stop the nodes of this store first: a task that runs here and is copied runs there, too, and
    /// what is added here behind the walk is not copied.
    ///
    /// After each batch `told` is given what was done so far. Cost: two round trips per 200 tasks,
    /// and memory for all ids.
    ///
    /// # Errors
    ///
    /// [`CopyError`] after [`ADD_TRIES`](super::ADD_TRIES) tries; what was copied so far stays.
    pub async fn copy_to(
        &self,
        other: &Self,
        mut told: impl FnMut(&Copied),
    ) -> std::result::Result<Copied, CopyError> {
        let mut copied = Copied { paused: self.paused_queues().await?, ..Copied::default() };
        for queue in &copied.paused {
            let pause = || other.store.set_queue(queue, Gate::Paused);
            other.persist(pause).await.map_err(CopyError::To)?;
        }

        let mut walk = Walk::default();
        while let Some(arrivals) = walk.next(self, &mut copied).await? {
            for tasks in batch::parts(arrivals, BATCH_BYTES_MAX, bytes) {
                let request = other.ids.request();
                let restore = Restore { request, tasks };
                let reply =
                    other.persist(|| other.store.restore(&restore)).await.map_err(CopyError::To)?;
                for (arrival, outcome) in restore.tasks.iter().zip(reply.outcomes) {
                    copied.note(&arrival.task.id, outcome);
                }
                told(&copied);
            }
        }
        Ok(copied)
    }

    /// What [`Scheduler::copy_to`] would do; nothing is written.
    ///
    /// Cost: two round trips per 200 tasks here, and if any of them has a unique key, one per 200
    /// tasks of the other store.
    ///
    /// # Errors
    ///
    /// [`CopyError`] after [`ADD_TRIES`](super::ADD_TRIES) tries.
    pub async fn would_copy_to(
        &self,
        other: &Self,
        mut told: impl FnMut(&Copied),
    ) -> std::result::Result<Copied, CopyError> {
        let mut copied = Copied { paused: self.paused_queues().await?, ..Copied::default() };
        let mut rehearsal = Rehearsal { other, keys: None };
        let mut walk = Walk::default();
        while let Some(arrivals) = walk.next(self, &mut copied).await? {
            let ids = arrivals.iter().map(|arrival| arrival.task.id.clone()).collect();
            let there = other.which_exist(ids).await.map_err(CopyError::To)?;
            for Arrival { task, .. } in &arrivals {
                let is_there = there.contains(&task.id);
                let outcome =
                    if is_there { RestoreOutcome::Kept } else { rehearsal.outcome(task).await? };
                copied.note(&task.id, outcome);
            }
            told(&copied);
        }
        Ok(copied)
    }

    async fn paused_queues(&self) -> Result<Vec<QueueName>> {
        let stats = self.persist(|| self.store.stats()).await.map_err(CopyError::From)?;
        Ok(stats.queues.into_iter().filter(|queue| queue.paused).map(|queue| queue.queue).collect())
    }

    /// The ids of those that this store has, in whatever state, readable or not.
    pub(super) async fn which_exist(&self, mut ids: Vec<TaskId>) -> store::Result<HashSet<TaskId>> {
        let mut there = HashSet::new();
        loop {
            let fetch = Fetch { ids: ids.clone(), watch: None };
            match self.persist(|| self.store.fetch(&fetch)).await {
                Ok(found) => {
                    there.extend(found.into_iter().flatten().map(|task| task.id));
                    return Ok(there);
                }
                Err(store::Error::Corrupt { id, .. }) if ids.contains(&id) => {
                    ids.retain(|asked| *asked != id);
                    there.insert(id);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The unique keys that live tasks hold (S2).
    async fn live_keys(&self) -> store::Result<HashMap<UniqueKey, TaskId>> {
        let mut list = List { filter: Filter::default(), limit: PAGE, cursor: None };
        let mut keys = HashMap::new();
        loop {
            let page = self.persist(|| self.store.list(&list)).await?;
            for task in page.tasks.into_iter().filter(|task| !task.state.is_ended()) {
                keys.extend(task.spec.unique_key.clone().map(|key| (key, task.id)));
            }
            match page.next {
                Some(cursor) => list.cursor = Some(cursor),
                None => return Ok(keys),
            }
        }
    }
}

impl Copied {
    fn note(&mut self, id: &TaskId, outcome: RestoreOutcome) {
        match outcome {
            RestoreOutcome::Created => self.copied += 1,
            RestoreOutcome::Kept => self.kept += 1,
            RestoreOutcome::Duplicate(holder) => self.duplicates.push((id.clone(), holder)),
            RestoreOutcome::Refused(why) => self.refused.push((id.clone(), why)),
        }
    }
}

/// Finds out what a restore would answer.
struct Rehearsal<'a> {
    other: &'a Scheduler,
    /// Keys that are held there, or would be by now; walked once they are needed.
    keys: Option<HashMap<UniqueKey, TaskId>>,
}

impl Rehearsal<'_> {
    /// The outcome for a task whose id is free there (S2).
    async fn outcome(&mut self, task: &TaskRecord) -> Result<RestoreOutcome> {
        let Some(key) = task.spec.unique_key.as_ref().filter(|_| !task.state.is_ended()) else {
            return Ok(RestoreOutcome::Created);
        };
        if let Some(why) = store::torn(&*self.other.store, &task.id, key) {
            return Ok(RestoreOutcome::Refused(why));
        }
        let keys = match &mut self.keys {
            Some(keys) => keys,
            None => self.keys.insert(self.other.live_keys().await.map_err(CopyError::To)?),
        };
        if let Some(holder) = keys.get(key) {
            return Ok(RestoreOutcome::Duplicate(holder.clone()));
        }
        keys.insert(key.clone(), task.id.clone());
        Ok(RestoreOutcome::Created)
    }
}

/// A walk over all tasks of a store. A listing may show a task twice; a walk does not.
#[derive(Default)]
struct Walk {
    seen: HashSet<TaskId>,
    cursor: Option<String>,
    is_over: bool,
}

impl Walk {
    async fn next(
        &mut self,
        from: &Scheduler,
        copied: &mut Copied,
    ) -> Result<Option<Vec<Arrival>>> {
        if self.is_over {
            return Ok(None);
        }
        let list = List { filter: Filter::default(), limit: PAGE, cursor: self.cursor.take() };
        let page = from.persist(|| from.store.list(&list)).await.map_err(CopyError::From)?;
        let Page { tasks, unseen, next, corrupt } = page;
        self.is_over = next.is_none();
        self.cursor = next;
        copied.corrupt.extend(corrupt.into_iter().filter(|id| self.seen.insert(id.clone())));
        let fresh = tasks.into_iter().zip(unseen);
        let fresh = fresh.filter(|(task, _)| self.seen.insert(task.id.clone()));
        Ok(Some(fresh.map(|(task, unseen)| Arrival::of(task, unseen)).collect()))
    }
}

fn bytes(arrival: &Arrival) -> usize {
    let task = &arrival.task;
    let errors: usize = task.errors.iter().map(|error| error.message.len()).sum();
    let result = task.result.as_ref().map_or(0, |result| result.as_str().len());
    task.id.as_str().len() + batch::bytes(&task.spec) + errors + result
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::draft::Task;
    use crate::domain::id::RequestId;
    use crate::domain::time::Timestamp;
    use crate::store::Add;
    use crate::store::Existing;
    use crate::store::Options;
    use crate::store::connect::in_memory;

    /// A task with so many bytes of arguments, as it leaves a store.
    async fn arrival(bytes: usize) -> Arrival {
        let clock = Arc::new(crate::clock::ManualClock::at(Timestamp::EPOCH));
        let store = in_memory(clock, Options::default());
        let kwargs = serde_json::json!({ "x": "y".repeat(bytes) });
        let task = Task::new("noop", &kwargs).unwrap().id("t").check(usize::MAX).unwrap();
        let task = task.plan(TaskId::parse("t").unwrap(), Timestamp::EPOCH).unwrap();
        let request = RequestId::parse("r").unwrap();
        store.add(&Add { request, tasks: vec![task], existing: Existing::Keep }).await.unwrap();
        let list = List { filter: Filter::default(), limit: 1, cursor: None };
        let mut page = store.list(&list).await.unwrap();
        Arrival::of(page.tasks.remove(0), page.unseen.remove(0))
    }

    #[tokio::test]
    async fn a_batch_fits_into_one_call() {
        let sizes = |arrivals: Vec<Arrival>| {
            let parts = batch::parts(arrivals, BATCH_BYTES_MAX, bytes);
            parts.iter().map(Vec::len).collect::<Vec<_>>()
        };
        let (small, large) = (arrival(0).await, arrival((1 << 20) - 100).await);

        assert_eq!(sizes(vec![small.clone(); 2500]), [1000, 1000, 500]);
        assert_eq!(sizes(vec![large; 17]), [8, 8, 1]);
        assert_eq!(sizes(vec![]), [0; 0]);
    }
}
