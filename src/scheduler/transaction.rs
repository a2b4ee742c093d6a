//! Tasks that are added in a transaction of the caller's.

use std::sync::Arc;

use crate::domain::draft::Task;
use crate::domain::id::TaskId;
use crate::domain::time::Timestamp;
use crate::store;
use crate::store::Ask;
use crate::store::Existing;
use crate::store::InTransaction;
use crate::store::Part;
use crate::store::Store;

use super::Added;
use super::Error;
use super::Result;
use super::Scheduler;
use super::batch;
use super::told_all;

impl Scheduler {
    /// Adds one task in a transaction of the caller's: it exists if and only if that commits. One
    /// with the same id is replaced.
    ///
    /// In a [`mysql_async::Transaction`] it is awaited, `add_in(&mut tx, task).await?`; in a
    /// [`rusqlite::Transaction`] it answers at once, `add_in(&mut tx, task)?`. Nodes find the task
    /// when they next ask after the commit; until then nobody sees it.
    ///
    /// What it holds until the end of the transaction: the row of the new task, that of its unique
    /// key, and that of a task which it replaces. Claims pass by what is held, and changes of a task
    /// wait for it.
    ///
    /// Cost: on MySQL two round trips in the transaction, and up to four beside it if the task has a
    /// chosen id; about twice as many if its id or unique key is taken.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with every fault. [`store::Error::Foreign`] if the store does not keep its
    /// tasks where the transaction was begun. In both cases, and if the store is full, the rest of
    /// the transaction stays as it is, and can be committed. After [`store::Error::Unavailable`]
    /// roll back and take the whole transaction again: others were in the way, or the connection
    /// ended. It is not repeated here.
    ///
    /// # Cancel safety
    ///
    /// A future that was dropped may have had its effect: roll back.
    ///
    /// [`mysql_async::Transaction`]: https://docs.rs/mysql_async/latest/mysql_async/struct.Transaction.html
    /// [`rusqlite::Transaction`]: https://docs.rs/rusqlite/latest/rusqlite/struct.Transaction.html
    pub fn add_in<'a, T: InTransaction>(
        &'a self,
        tx: &'a mut T,
        task: Task,
    ) -> T::Answer<'a, Result<Added>> {
        let tell = |added: Result<Vec<Added>>| {
            Ok(added?.pop().expect("a store answers each task of an add"))
        };
        let (tasks, existing) = (vec![task], Existing::Replace);
        tx.take_part(AddIn { scheduler: self, tasks, existing, tell })
    }

    /// Adds 1 to 1,000 tasks in a transaction of the caller's, as [`Scheduler::add_in`], and answers
    /// each, in order.
    ///
    /// A task whose id exists is replaced or kept, as `existing` says. The same id twice is a fault.
    ///
    /// Cost, errors and cancel safety: as [`Scheduler::add_in`], whatever the number of tasks; more
    /// than about a megabyte of them takes more round trips.
    pub fn add_all_in<'a, T: InTransaction>(
        &'a self,
        tx: &'a mut T,
        tasks: impl IntoIterator<Item = Task>,
        existing: Existing,
    ) -> T::Answer<'a, Result<Vec<Added>>> {
        let tasks = tasks.into_iter().collect();
        tx.take_part(AddIn { scheduler: self, tasks, existing, tell: |added| added })
    }
}

/// What is asked of the store, and how the caller hears of it.
struct AddIn<'a, R> {
    scheduler: &'a Scheduler,
    tasks: Vec<Task>,
    existing: Existing,
    tell: fn(Result<Vec<Added>>) -> R,
}

impl<R: Send + 'static> Part for AddIn<'_, R> {
    type Reply = R;

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.scheduler.store)
    }

    fn ask(self, now: Timestamp) -> Ask<R> {
        let Self { scheduler, tasks, existing, tell } = self;
        let drafts = batch::check(tasks, scheduler.kwargs_bytes_max);
        let add = match drafts
            .and_then(|drafts| scheduler.plan(scheduler.naming(), drafts, now, existing))
        {
            Ok(add) => add,
            Err(error) => return Ask::Nothing(tell(Err(error))),
        };
        let ids: Vec<TaskId> = add.tasks.iter().map(|task| task.id.clone()).collect();
        let tell = move |added: store::Result<store::Added>| {
            tell(added.map(|added| told_all(&ids, added.outcomes)).map_err(Error::Store))
        };
        Ask::Add(add, Box::new(tell))
    }

    fn refuse(self, error: store::Error) -> R {
        (self.tell)(Err(error.into()))
    }
}
