//! What is there, page by page and in numbers.

use std::ops::Bound;

use crate::domain::id::TaskId;
use crate::domain::time::Timestamp;
use crate::store::List;
use crate::store::PAGE_MAX;
use crate::store::Page;
use crate::store::QueueStats;
use crate::store::Result;
use crate::store::Stats;
use crate::store::entry::Rank;
use crate::store::listing::read_cursor;
use crate::store::listing::write_cursor;

use super::state::State;

impl State {
    /// Walks the group, else all tasks, in the order of their ids.
    pub(super) fn list(&self, list: &List) -> Result<Page> {
        let from = match list.cursor.as_deref() {
            None => Bound::Unbounded,
            Some(cursor) => Bound::Excluded(read_cursor(cursor)?),
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
        let matching = entries.filter(|entry| list.filter.matches(&entry.task));
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
