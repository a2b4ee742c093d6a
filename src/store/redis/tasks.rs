//! The scheduler's side.

use std::collections::HashSet;

use async_trait::async_trait;
use redis::Cmd;

use crate::domain::id::QueueName;
use crate::domain::id::TaskId;
use crate::domain::state::TaskState;
use crate::domain::time::Moment;
use crate::domain::time::Timestamp;
use crate::domain::time::as_us;
use crate::store::Action;
use crate::store::Add;
use crate::store::Added;
use crate::store::Change;
use crate::store::Changed;
use crate::store::Error;
use crate::store::Fetch;
use crate::store::Gate;
use crate::store::List;
use crate::store::PAGE_MAX;
use crate::store::Page;
use crate::store::QueueStats;
use crate::store::Restore;
use crate::store::Restored;
use crate::store::Result;
use crate::store::Stats;
use crate::store::Target;
use crate::store::TaskRecord;
use crate::store::Tasks;

use super::RedisStore;
use super::add;
use super::record::Lossy;
use super::record::Row;
use super::restore;
use super::script;
use super::verdict::moment;

#[async_trait]
impl Tasks for RedisStore {
    async fn add(&self, add: &Add) -> Result<Added> {
        if let Some(task) = add::plain(add) {
            let mut call = self.call(&script::ADD_ONE);
            add::push_plain(&mut call, add, task);
            let answer: String = self.run("add", &script::ADD_ONE, call).await?;
            if let Some(added) = add::read_plain(&answer)? {
                return Ok(added);
            }
        }
        let mut call = self.call(&script::ADD);
        let order = add::push(&mut call, add);
        let answer: String = self.run("add", &script::ADD, call).await?;
        add::read(&order, &answer)
    }

    async fn fetch(&self, fetch: &Fetch) -> Result<Vec<Option<TaskRecord>>> {
        if fetch.ids.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(length) = fetch.watch {
            let mut call = self.call(&script::WATCH);
            call.arg(as_us(length)).arg(texts(&fetch.ids));
            // Nobody is told that it is kept, so it need not wait for replicas, and a look never does.
            let _noted: i64 = self.link.run("fetch", &script::WATCH, call).await?;
        }
        let mut call = self.call(&script::FETCH);
        call.arg(texts(&fetch.ids));
        let rows: Vec<Row<'_>> = self.run("fetch", &script::FETCH, call).await?;
        rows.into_iter().zip(&fetch.ids).map(|(row, id)| read_if_there(row, id)).collect()
    }

    async fn list(&self, list: &List) -> Result<Page> {
        let cursor = list.cursor.as_deref().unwrap_or("0");
        if cursor.parse::<u64>().is_err() {
            return Err(Error::Cursor);
        }
        let filter = &list.filter;
        let mut call = self.call(&script::LIST);
        call.arg(filter.group.as_ref().map_or("", |group| group.as_str()))
            .arg(filter.queue.as_ref().map_or("", |queue| queue.as_str()))
            .arg(filter.state.map_or("", TaskState::as_str))
            .arg(filter.callback.as_ref().map_or("", |callback| callback.as_str()))
            .arg(list.limit.clamp(1, PAGE_MAX))
            .arg(cursor);
        let (next, rows, damaged): (String, Vec<Row<'_>>, Vec<Lossy>) =
            self.run("list", &script::LIST, call).await?;

        let mut page = Page { next: (next != "0").then_some(next), ..Page::default() };
        for row in rows {
            let id = row.id.clone();
            match row.unseen().and_then(|unseen| Ok((row.read()?, unseen))) {
                Ok((task, unseen)) => {
                    page.tasks.push(task);
                    page.unseen.push(unseen);
                }
                Err(_) => page.corrupt.extend(TaskId::parse(&id)),
            }
        }
        page.corrupt.extend(damaged.iter().filter_map(|id| TaskId::parse(&id.0).ok()));
        Ok(page)
    }

    async fn change(&self, change: &Change) -> Result<Changed> {
        let mut call = self.call(&script::CHANGE);
        self.push_change(&mut call, change);
        let (affected, missing, skipped): (u64, Vec<String>, Vec<String>) =
            self.run("change", &script::CHANGE, call).await?;
        let skipped = skipped.chunks_exact(2).map(|pair| {
            let state = TaskState::parse(&pair[1]).ok_or_else(|| unreadable("change", &pair[1]))?;
            Ok((task_id("change", &pair[0])?, state))
        });
        Ok(Changed {
            affected,
            skipped: skipped.collect::<Result<_>>()?,
            missing: missing.iter().map(|id| task_id("change", id)).collect::<Result<_>>()?,
        })
    }

    async fn stats(&self) -> Result<Stats> {
        type Depths = (String, bool, [u64; 4], u64, String, u64, u64);

        let call = self.call(&script::STATS);
        let (now, next, queues, counts): (i64, String, Vec<Depths>, Vec<String>) =
            self.run("stats", &script::STATS, call).await?;
        let count_of = |queue: &str, state: &str| {
            let field = format!("{queue}\t{state}");
            let found = counts.chunks_exact(2).find(|pair| pair[0] == field);
            found.and_then(|pair| pair[1].parse().ok()).unwrap_or(0)
        };
        let queues = queues.into_iter().map(|depths| {
            let (queue, paused, scheduled, due, oldest, parked, suspects) = depths;
            Ok(QueueStats {
                paused,
                scheduled,
                due,
                held: count_of(&queue, "held"),
                parked,
                suspects,
                running: count_of(&queue, "running"),
                completed: count_of(&queue, "completed"),
                dead: count_of(&queue, "dead"),
                cancelled: count_of(&queue, "cancelled"),
                expired: count_of(&queue, "expired"),
                oldest_due_at: at_or_none(&oldest),
                queue: QueueName::parse(&queue).map_err(|_| unreadable("stats", &queue))?,
            })
        });
        Ok(Stats {
            now: Timestamp::from_us(now),
            next_run_at: at_or_none(&next),
            queues: queues.collect::<Result<_>>()?,
        })
    }

    async fn restore(&self, restore: &Restore) -> Result<Restored> {
        let mut call = self.call(&script::RESTORE);
        call.arg(restore.request.as_str());
        for arrival in &restore.tasks {
            restore::push(&mut call, arrival, &self.options);
        }
        let (now, words): (i64, Vec<String>) = self.run("restore", &script::RESTORE, call).await?;
        let outcomes = words.iter().map(|word| restore::outcome(word)).collect::<Result<_>>()?;
        Ok(Restored { now: Timestamp::from_us(now), outcomes })
    }

    async fn set_queue(&self, queue: &QueueName, gate: Gate) -> Result<()> {
        let mut call = self.call(&script::GATE);
        call.arg(queue.as_str()).arg(match gate {
            Gate::Open => "open",
            Gate::Paused => "paused",
        });
        let _set: i64 = self.run("set_queue", &script::GATE, call).await?;
        Ok(())
    }
}

impl RedisStore {
    /// Writes what the script of changes takes.
    pub(super) fn push_change(&self, call: &mut Cmd, change: &Change) {
        let (word, group_moment, each) = match &change.action {
            Action::Pause => ("pause", String::new(), None),
            Action::Resume => ("resume", String::new(), None),
            Action::Cancel => ("cancel", String::new(), None),
            Action::Retry => ("retry", String::new(), None),
            Action::Remove => ("remove", String::new(), None),
            Action::Reschedule(at) => ("reschedule", moment(*at), None),
            Action::RescheduleEach(moments) => ("reschedule", String::new(), Some(moments)),
        };
        call.arg(word).arg(group_moment).arg(self.keep_cancelled_us());
        match &change.target {
            Target::Group(group) => {
                call.arg("group").arg(group.as_str());
            }
            Target::Ids(ids) => {
                call.arg("ids");
                let mut seen = HashSet::new();
                for (index, id) in ids.iter().enumerate() {
                    if !seen.insert(id) {
                        continue;
                    }
                    call.arg(id.as_str());
                    if let Some(at) = each.map(|moments| moments.get(index)) {
                        let at = at.copied().unwrap_or(Timestamp::EPOCH);
                        call.arg(moment(Moment::At(at)));
                    }
                }
            }
        }
    }
}

fn read_if_there(row: Row<'_>, id: &TaskId) -> Result<Option<TaskRecord>> {
    if row.id.is_empty() {
        return Ok(None);
    }
    row.read()
        .map(Some)
        .map_err(|damaged| Error::Corrupt { id: id.clone(), problem: damaged.problem })
}

fn texts(ids: &[TaskId]) -> Vec<&str> {
    ids.iter().map(TaskId::as_str).collect()
}

fn at_or_none(text: &str) -> Option<Timestamp> {
    text.parse().ok().map(Timestamp::from_us)
}

pub(super) fn task_id(method: &str, text: &str) -> Result<TaskId> {
    TaskId::parse(text).map_err(|_| unreadable(method, text))
}

pub(super) fn unreadable(method: &str, word: &str) -> Error {
    Error::Unusable { problem: format!("the answer to {method} cannot be read at {word:?}") }
}
