//! The scheduler's side.

use std::collections::BTreeMap;
use std::collections::HashMap;

use async_trait::async_trait;

use crate::domain::id::QueueName;
use crate::domain::id::TaskId;
use crate::domain::time::Timestamp;
use crate::store::Action;
use crate::store::Add;
use crate::store::Added;
use crate::store::Change;
use crate::store::Changed;
use crate::store::Error;
use crate::store::Fetch;
use crate::store::Gate;
use crate::store::List;
use crate::store::Page;
use crate::store::QueueStats;
use crate::store::Restore;
use crate::store::RestoreOutcome;
use crate::store::Restored;
use crate::store::Result;
use crate::store::Stats;
use crate::store::Target;
use crate::store::TaskRecord;
use crate::store::Tasks;
use crate::store::torn;

use super::ClusterStore;

#[async_trait]
impl Tasks for ClusterStore {
    async fn add(&self, add: &Add) -> Result<Added> {
        for task in &add.tasks {
            let key = task.spec.unique_key.as_ref();
            if let Some(why) = key.and_then(|key| torn(self, &task.id, key)) {
                return Err(Error::Unusable { problem: format!("the unique key {why}") });
            }
        }
        let places = self.split(add.tasks.iter().map(|task| task.id.as_str()));
        let calls = places.iter().map(|(part, places)| {
            let tasks = places.iter().map(|at| add.tasks[*at].clone()).collect();
            let some = Add { request: add.request.clone(), tasks, existing: add.existing };
            (*part, async move { self.parts[*part].add(&some).await })
        });
        let answers = self.all(calls.collect()).await?;
        let now = answers.iter().map(|(_, added)| added.now).max();
        let outcomes = answers.into_iter().map(|(part, added)| (part, added.outcomes));
        Ok(Added {
            now: now.unwrap_or(Timestamp::EPOCH),
            outcomes: together(&places, outcomes, add.tasks.len(), "add")?,
        })
    }

    async fn fetch(&self, fetch: &Fetch) -> Result<Vec<Option<TaskRecord>>> {
        let places = self.split(fetch.ids.iter().map(TaskId::as_str));
        let calls = places.iter().map(|(part, places)| {
            let ids = places.iter().map(|at| fetch.ids[*at].clone()).collect();
            let some = Fetch { ids, watch: fetch.watch };
            (*part, async move { self.parts[*part].fetch(&some).await })
        });
        let answers = self.all(calls.collect()).await?;
        together(&places, answers.into_iter(), fetch.ids.len(), "fetch")
    }

    async fn list(&self, list: &List) -> Result<Page> {
        let (mut part, mut cursor) = place(list.cursor.as_deref(), self.count())?;
        let mut page = Page::default();
        loop {
            let limit = list.limit.saturating_sub(page.tasks.len()).max(1);
            let some = List { filter: list.filter.clone(), limit, cursor };
            let found = self.parts[part].list(&some).await;
            let found = found.map_err(|error| self.of_part(part, error))?;
            page.tasks.extend(found.tasks);
            page.unseen.extend(found.unseen);
            page.corrupt.extend(found.corrupt);
            if let Some(next) = found.next {
                page.next = Some(format!("{part}-{next}"));
                return Ok(page);
            }
            (part, cursor) = (part + 1, None);
            if part == self.count() {
                return Ok(page);
            }
            if page.tasks.len() >= list.limit {
                page.next = Some(format!("{part}-"));
                return Ok(page);
            }
        }
    }

    async fn change(&self, change: &Change) -> Result<Changed> {
        let Target::Ids(ids) = &change.target else {
            let answers = self.all(self.each(|part| part.change(change))).await?;
            return Ok(answers
                .into_iter()
                .fold(Changed::default(), |sum, (_, some)| sum.and(some)));
        };
        let places = self.split(ids.iter().map(TaskId::as_str));
        let calls = places.iter().map(|(part, places)| {
            let target = Target::Ids(places.iter().map(|at| ids[*at].clone()).collect());
            let action = match &change.action {
                Action::RescheduleEach(moments) => {
                    let some = places.iter().filter_map(|at| moments.get(*at).copied());
                    Action::RescheduleEach(some.collect())
                }
                other => other.clone(),
            };
            let some = Change { target, action };
            (*part, async move { self.parts[*part].change(&some).await })
        });
        let answers = self.all(calls.collect()).await?.into_iter();
        let mut changed = answers.fold(Changed::default(), |sum, (_, some)| sum.and(some));
        let mut order = HashMap::new();
        for (at, id) in ids.iter().enumerate() {
            order.entry(id).or_insert(at);
        }
        changed.missing.sort_by_key(|id| order.get(id));
        changed.skipped.sort_by_key(|(id, _)| order.get(id));
        Ok(changed)
    }

    async fn stats(&self) -> Result<Stats> {
        let answers = self.all(self.each(Tasks::stats)).await?;
        let mut queues: BTreeMap<QueueName, QueueStats> = BTreeMap::new();
        let (mut now, mut next_run_at) = (None, None);
        for (_, stats) in answers {
            now = now.or(Some(stats.now));
            next_run_at = earliest(next_run_at, stats.next_run_at);
            for some in stats.queues {
                match queues.get_mut(&some.queue) {
                    Some(sum) => add_up(sum, &some),
                    None => drop(queues.insert(some.queue.clone(), some)),
                }
            }
        }
        let queues = queues.into_values().collect();
        Ok(Stats { now: now.unwrap_or(Timestamp::EPOCH), next_run_at, queues })
    }

    async fn restore(&self, restore: &Restore) -> Result<Restored> {
        let mut apart = HashMap::new();
        for (at, arrival) in restore.tasks.iter().enumerate() {
            let task = &arrival.task;
            let key = task.spec.unique_key.as_ref().filter(|_| !task.state.is_ended());
            apart.extend(key.and_then(|key| torn(self, &task.id, key)).map(|why| (at, why)));
        }
        let mut places = self.split(restore.tasks.iter().map(|arrival| arrival.task.id.as_str()));
        places.retain(|_, places| {
            places.retain(|at| !apart.contains_key(at));
            !places.is_empty()
        });
        let calls = places.iter().map(|(part, places)| {
            let tasks = places.iter().map(|at| restore.tasks[*at].clone()).collect();
            let some = Restore { request: restore.request.clone(), tasks };
            (*part, async move { self.parts[*part].restore(&some).await })
        });
        let answers = self.all(calls.collect()).await?;
        let now = match answers.first() {
            Some((_, restored)) => restored.now,
            None => crate::store::Store::now(self).await?,
        };
        let mut outcomes: Vec<_> = apart.into_iter().collect();
        outcomes.sort_by_key(|(at, _)| *at);
        let refused: Vec<_> = outcomes.iter().map(|(at, _)| *at).collect();
        let refusals = outcomes.into_iter().map(|(_, why)| RestoreOutcome::Refused(why)).collect();
        places.insert(usize::MAX, refused);
        let answers = answers.into_iter().map(|(part, restored)| (part, restored.outcomes));
        let answers = answers.chain([(usize::MAX, refusals)]);
        Ok(Restored { now, outcomes: together(&places, answers, restore.tasks.len(), "restore")? })
    }

    async fn set_queue(&self, queue: &QueueName, gate: Gate) -> Result<()> {
        self.all(self.each(|part| part.set_queue(queue, gate))).await?;
        Ok(())
    }
}

/// Answers of several partitions, one per place.
fn together<T>(
    places: &BTreeMap<usize, Vec<usize>>,
    answers: impl Iterator<Item = (usize, Vec<T>)>,
    count: usize,
    method: &'static str,
) -> Result<Vec<T>> {
    let mut placed: Vec<(usize, T)> = Vec::with_capacity(count);
    for (part, some) in answers {
        placed.extend(places[&part].iter().copied().zip(some));
    }
    if placed.len() != count {
        return Err(Error::Unusable {
            problem: format!("the answer to {method} is for {} of {count} items", placed.len()),
        });
    }
    placed.sort_by_key(|(at, _)| *at);
    Ok(placed.into_iter().map(|(_, answer)| answer).collect())
}

/// The partition and its own cursor.
fn place(cursor: Option<&str>, count: usize) -> Result<(usize, Option<String>)> {
    let Some(cursor) = cursor else { return Ok((0, None)) };
    let (part, own) = cursor.split_once('-').ok_or(Error::Cursor)?;
    match part.parse() {
        Ok(part) if part < count => Ok((part, (!own.is_empty()).then(|| own.to_owned()))),
        _ => Err(Error::Cursor),
    }
}

fn earliest<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    [one, other].into_iter().flatten().min()
}

fn add_up(sum: &mut QueueStats, some: &QueueStats) {
    sum.paused |= some.paused;
    for (sum, some) in sum.scheduled.iter_mut().zip(some.scheduled) {
        *sum += some;
    }
    sum.due += some.due;
    sum.held += some.held;
    sum.parked += some.parked;
    sum.suspects += some.suspects;
    sum.running += some.running;
    sum.completed += some.completed;
    sum.dead += some.dead;
    sum.cancelled += some.cancelled;
    sum.expired += some.expired;
    sum.oldest_due_at = earliest(sum.oldest_due_at, some.oldest_due_at);
}

impl Changed {
    /// What two partitions did together.
    fn and(mut self, other: Self) -> Self {
        self.affected += other.affected;
        self.missing.extend(other.missing);
        self.skipped.extend(other.skipped);
        self
    }
}
