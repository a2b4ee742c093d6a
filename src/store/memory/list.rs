//! What is there, page by page and in numbers.

use std::ops::Bound;

use crate::domain::id::TaskId;
use crate::domain::time::Timestamp;
use crate::store::Error;
use crate::store::Filter;
use crate::store::List;
use crate::store::PAGE_MAX;
use crate::store::Page;
use crate::store::QueueStats;
use crate::store::Result;
use crate::store::Stats;
use crate::store::TaskRecord;
use crate::store::entry::Rank;

use super::state::State;

impl State {
    /// Walks the group, else all tasks, in the order of their ids; the cursor names the last id that
    /// was looked at, so tasks that come and go move nothing.
    pub(super) fn list(&self, list: &List) -> Result<Page> {
        let from = match list.cursor.as_deref() {
            None => Bound::Unbounded,
            Some(cursor) => Bound::Excluded(read_cursor(cursor).ok_or(Error::Cursor)?),
        };
        let limit = list.limit.clamp(1, PAGE_MAX);
        let bounds = (from, Bound::Unbounded);
        let ids: Vec<TaskId> = if let Some(group) = &list.filter.group {
            let ids = self.groups.get(group).map(|ids| ids.range(bounds));
            ids.into_iter().flatten().take(limit).cloned().collect()
        } else {
            self.tasks.range(bounds).take(limit).map(|(id, _)| id.clone()).collect()
        };

        let next = ids.last().filter(|_| ids.len() == limit).map(write_cursor);
        let entries = ids.iter().filter_map(|id| self.tasks.get(id));
        let matching = entries.filter(|entry| matches(&list.filter, &entry.task));
        let (tasks, unseen) = matching.map(|entry| (self.view(entry), entry.unseen())).unzip();
        Ok(Page { tasks, unseen, next, corrupt: Vec::new() })
    }

    pub(super) fn stats(&self, now: Timestamp) -> Stats {
        let mut stats = Stats { now, next_run_at: None, queues: Vec::new() };
        stats.queues = self.queues.values().cloned().collect();
        for (lane, line) in &self.lanes {
            let Some((first, _)) = line.first() else { continue };
            stats.next_run_at = Some(stats.next_run_at.map_or(*first, |at| at.min(*first)));
            if lane.rank == Rank::Ordinary
                && let Ok(at) = stats.queues.binary_search_by(|queue| queue.queue.cmp(&lane.queue))
            {
                let due = line.iter().take_while(|(run_at, _)| *run_at <= now).count();
                add_due(&mut stats.queues[at], due, *first);
            }
        }
        stats
    }
}

fn add_due(queue: &mut QueueStats, due: usize, first: Timestamp) {
    if due > 0 {
        queue.due += u64::try_from(due).unwrap_or(u64::MAX);
        queue.oldest_due_at = Some(queue.oldest_due_at.map_or(first, |at| at.min(first)));
    }
}

fn matches(filter: &Filter, task: &TaskRecord) -> bool {
    let Filter { group, queue, state, callback } = filter;
    group.as_ref().is_none_or(|group| task.spec.group_id.as_ref() == Some(group))
        && queue.as_ref().is_none_or(|queue| task.spec.queue == *queue)
        && state.is_none_or(|state| task.state == state)
        && callback.as_ref().is_none_or(|callback| task.spec.callback == *callback)
}

/// An id as hex digits, which need no care in a URL.
fn write_cursor(id: &TaskId) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    id.as_str().bytes().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn read_cursor(cursor: &str) -> Option<TaskId> {
    let digits = cursor.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = digits
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok()))
        .collect();
    TaskId::parse(std::str::from_utf8(&bytes?).ok()?).ok()
}
