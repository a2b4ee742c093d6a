//! Tasks are read.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::domain::id::TaskId;
use crate::store::Fetch;
use crate::store::List;
use crate::store::PAGE_MAX;
use crate::store::Page;
use crate::store::TaskRecord;
use crate::store::entry::Entry;
use crate::store::listing::read_cursor;
use crate::store::listing::write_cursor;

use super::Answer;
use super::Arg;
use super::Statement;
use super::Step;
use super::Tx;
use super::entries;
use super::entries::TASK_SEEN;
use super::row;

static TASK_WATCH: Statement = Statement::new(include_str!("statements/task_watch.sql"));
static TASK_PAGE: Statement = Statement::new(include_str!("statements/task_page.sql"));
static TASK_GROUP_PAGE: Statement = Statement::new(include_str!("statements/task_group_page.sql"));

impl Step for Fetch {
    type Reply = Vec<Option<TaskRecord>>;

    const METHOD: &'static str = "fetch";
    const READS: bool = true;

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<Self::Reply> {
        let wanted: BTreeSet<&TaskId> = self.ids.iter().collect();
        let known = entries::by_id(tx, &TASK_SEEN, &wanted).await?;
        let entries: Vec<Entry> = known.into_values().collect();
        let views = entries::views(tx, &entries).await?;
        let found: BTreeMap<&TaskId, &TaskRecord> =
            views.iter().map(|task| (&task.id, task)).collect();
        Ok(self.ids.iter().map(|id| found.get(id).map(|task| (*task).clone())).collect())
    }
}

/// Notes that somebody waits, and then reads.
#[derive(Clone, Debug)]
pub(in crate::store) struct Watch(pub(in crate::store) Fetch);

impl Step for Watch {
    type Reply = Vec<Option<TaskRecord>>;

    const METHOD: &'static str = "fetch";

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<Self::Reply> {
        let Self(fetch) = self;
        if let Some(length) = fetch.watch
            && !fetch.ids.is_empty()
        {
            let until = tx.now().plus(length);
            let ids: BTreeSet<&str> = fetch.ids.iter().map(TaskId::as_str).collect();
            let args = vec![until.into(), tx.ns().into(), Arg::texts(ids), until.into()];
            tx.run(&TASK_WATCH, args).await?;
        }
        fetch.take(tx).await
    }
}

impl Step for List {
    type Reply = Page;

    const METHOD: &'static str = "list";
    const READS: bool = true;

    /// Walks the group, else all tasks, in the order of their ids.
    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<Page> {
        let after = match self.cursor.as_deref() {
            None => String::new(),
            Some(cursor) => read_cursor(cursor)?.to_string(),
        };
        let limit = self.limit.clamp(1, PAGE_MAX);
        let mut args: Vec<Arg> = vec![tx.ns().into()];
        args.extend(self.filter.group.as_ref().map(|group| group.as_str().into()));
        args.extend([after.into(), limit.into()]);
        let statement = if self.filter.group.is_some() { &TASK_GROUP_PAGE } else { &TASK_PAGE };
        let rows = tx.rows(statement, args).await?;

        let is_full = rows.len() == limit;
        let (mut last, mut matching, mut corrupt) = (None, Vec::new(), Vec::new());
        for columns in rows {
            match row::read(columns, None) {
                Ok(entry) => {
                    last = Some(write_cursor(&entry.task.id));
                    if self.filter.matches(&entry.task) {
                        matching.push(entry);
                    }
                }
                Err(damaged) => {
                    last = Some(write_cursor(&damaged.id));
                    corrupt.push(damaged.id);
                }
            }
        }
        let tasks = entries::views(tx, &matching).await?;
        let unseen = matching.iter().map(Entry::unseen).collect();
        Ok(Page { tasks, unseen, next: last.filter(|_| is_full), corrupt })
    }
}
