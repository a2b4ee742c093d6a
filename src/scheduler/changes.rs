//! Pause, resume, cancel, retry, reschedule, remove.

use std::collections::HashSet;

use crate::domain::draft::Fault;
use crate::domain::id::TaskId;
use crate::domain::time::Moment;
use crate::domain::time::Timestamp;
use crate::store::Action;
use crate::store::Change;
use crate::store::Changed;
use crate::store::Filter;
use crate::store::List;
use crate::store::PAGE_MAX;
use crate::store::Target;

use super::Error;
use super::IndexedFault;
use super::Result;
use super::Scheduler;
use super::Selection;
use super::batch;

impl Scheduler {
    /// Pauses tasks, so that they are not claimed until resumed (T8). A running one ends its run; its
    /// retry or next occurrence lands paused. Ended ones are skipped.
    ///
    /// Cost: one round trip; one atomic step.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if there are none or more than 1,000 ids, or [`Error::Store`].
    pub async fn pause(&self, target: impl Into<Target>) -> Result<Changed> {
        self.change(target.into(), Action::Pause).await
    }

    /// Resumes paused tasks with the `run_at` that they had; what is due by now runs at once.
    ///
    /// Cost: one round trip; one atomic step.
    ///
    /// # Errors
    ///
    /// As [`Scheduler::pause`].
    pub async fn resume(&self, target: impl Into<Target>) -> Result<Changed> {
        self.change(target.into(), Action::Resume).await
    }

    /// Moves tasks to another time. A running recurring task gets its next planned time; running
    /// once tasks and ended ones are skipped.
    ///
    /// Cost: one round trip; one atomic step.
    ///
    /// # Errors
    ///
    /// As [`Scheduler::pause`].
    pub async fn reschedule(&self, target: impl Into<Target>, to: Moment) -> Result<Changed> {
        self.change(target.into(), Action::Reschedule(to)).await
    }

    /// Moves tasks, each to its own time; see [`Scheduler::reschedule`].
    ///
    /// Cost: one round trip; one atomic step.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if there are none or more than 1,000, or an id comes twice, or
    /// [`Error::Store`].
    pub async fn reschedule_each(
        &self,
        times: impl IntoIterator<Item = (TaskId, Timestamp)>,
    ) -> Result<Changed> {
        let (ids, times): (Vec<_>, Vec<_>) = times.into_iter().unzip();
        batch::check_count("tasks", ids.len())?;
        let mut seen = HashSet::new();
        let twice = ids.iter().enumerate().filter(|(_, id)| !seen.insert(*id));
        let errors: Vec<_> = twice
            .map(|(index, _)| IndexedFault {
                index: Some(index),
                fault: Fault::new("task_id", "is given twice"),
            })
            .collect();
        if !errors.is_empty() {
            return Err(Error::Invalid { errors });
        }

        let (target, action) = (Target::Ids(ids), Action::RescheduleEach(times));
        Ok(self.store.change(&Change { target, action }).await?)
    }

    /// Cancels tasks: a waiting one ends, a running one is told to stop, and if it completes first,
    /// completed wins. Ended ones are skipped.
    ///
    /// Cost: one round trip and one atomic step for ids or a group; two or three round trips per
    /// thousand tasks for a filter.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if there are none or more than 1,000 ids, or the filter names nothing, or
    /// [`Error::Store`]; then a filter may have been walked in part.
    pub async fn cancel(&self, which: impl Into<Selection>) -> Result<Changed> {
        self.change_all(which.into(), Action::Cancel).await
    }

    /// Lets dead, cancelled and expired tasks run again, now, with attempts and crashes cleared.
    /// Others are skipped, and so is one whose unique key is taken (S2).
    ///
    /// Cost and errors: as [`Scheduler::cancel`].
    ///
    /// # Errors
    ///
    /// As [`Scheduler::cancel`].
    pub async fn retry(&self, which: impl Into<Selection>) -> Result<Changed> {
        self.change_all(which.into(), Action::Retry).await
    }

    /// Forgets tasks. A running one is told to stop, and its outcome changes nothing (T5).
    ///
    /// Cost and errors: as [`Scheduler::cancel`].
    ///
    /// # Errors
    ///
    /// As [`Scheduler::cancel`].
    pub async fn remove(&self, which: impl Into<Selection>) -> Result<Changed> {
        self.change_all(which.into(), Action::Remove).await
    }

    /// Forgets every task of the namespace, as [`Scheduler::remove`] does. Tasks that are added
    /// meanwhile may stay.
    ///
    /// Cost: two or three round trips per thousand tasks; each page is one atomic step.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]; then a part may be gone.
    pub async fn remove_all(&self) -> Result<Changed> {
        self.walk(Filter::default(), &Action::Remove).await
    }

    async fn change_all(&self, which: Selection, action: Action) -> Result<Changed> {
        match which {
            Selection::Ids(ids) => self.change(Target::Ids(ids), action).await,
            Selection::Group(group) => self.change(Target::Group(group), action).await,
            Selection::Matching(filter) if filter == Filter::default() => {
                Err(Error::refused("filter", "names nothing, which would mean every task"))
            }
            Selection::Matching(filter) => self.walk(filter, &action).await,
        }
    }

    async fn change(&self, mut target: Target, action: Action) -> Result<Changed> {
        if let Target::Ids(ids) = &mut target {
            batch::check_count("task_ids", ids.len())?;
            let mut seen = HashSet::new();
            ids.retain(|id| seen.insert(id.clone()));
        }
        Ok(self.store.change(&Change { target, action }).await?)
    }

    /// Changes what matches, page by page. Tasks that went or changed between the listing and the
    /// change were not asked for by name, so only those that were affected are told.
    async fn walk(&self, filter: Filter, action: &Action) -> Result<Changed> {
        let mut list = List { filter, limit: PAGE_MAX, cursor: None };
        let mut total = Changed::default();
        loop {
            let page = self.list(&list).await?;
            let ids: Vec<_> = page.tasks.into_iter().map(|task| task.id).collect();
            for part in ids.chunks(crate::store::BATCH_MAX) {
                let changed = self.change(Target::Ids(part.to_vec()), action.clone()).await?;
                total.affected += changed.affected;
            }
            match page.next {
                Some(cursor) => list.cursor = Some(cursor),
                None => return Ok(total),
            }
        }
    }
}
