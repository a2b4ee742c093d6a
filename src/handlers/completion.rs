//! Runs that complete in a transaction of their handler's.

use std::sync::Arc;

use serde::Serialize;

use crate::domain::json::Json;
use crate::domain::json::RESULT_BYTES_MAX;
use crate::domain::retry::Jitter;
use crate::domain::state::Deciding;
use crate::domain::state::Outcome;
use crate::domain::state::decide;
use crate::domain::time::Timestamp;
use crate::store;
use crate::store::AckItem;
use crate::store::Acked;
use crate::store::Ask;
use crate::store::InTransaction;
use crate::store::Part;
use crate::store::Store;

use super::Context;

/// Why a run could not complete in a transaction. Roll that back, as `?` in a handler does.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompleteError {
    /// Its claim does not hold the task: the lease was lost, the task was replaced or removed, or
    /// the run has completed already. What this run did must not stay.
    #[error("the task is not leased to this run any more; its transaction must not be committed")]
    LeaseLost,

    /// The result cannot be kept.
    #[error("the result {problem}")]
    Result {
        /// What is wrong with it.
        problem: String,
    },

    /// The store gave no answer, or does not keep its tasks where the transaction was begun.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Context {
    /// Completes this run in a transaction of the caller's: what that writes and the outcome of the
    /// run are committed together, or neither is. So the effect is there once, in that database,
    /// however often the task runs.
    ///
    /// In a [`mysql_async::Transaction`] it is awaited, `ctx.complete_in(&mut tx).await?`; in a
    /// [`rusqlite::Transaction`] it answers at once, `ctx.complete_in(&mut tx)?`. Commit soon after
    /// it, and return; what the handler returns as a result then counts for nothing (see
    /// [`Context::complete_in_with`]). A recurring task has its next planned time by the commit.
    ///
    /// The lease and the fence of the run are compared inside the transaction, and the row of the
    /// task is held until its end, so that nobody gives the task away meanwhile (T5, T6). Renewals
    /// do not wait for it. If the lease is reclaimed before, this fails; if the transaction is open
    /// when the lease ends, whoever wants the task waits for its end, which decides.
    ///
    /// The node never completes such a run by itself. If the task is still leased to the run when
    /// the handler has returned, the transaction was rolled back: the run has failed, with the
    /// error that the handler returned or one that says so, and is retried by its backoff.
    ///
    /// Cost: three round trips on MySQL.
    ///
    /// # Errors
    ///
    /// [`CompleteError::LeaseLost`] if the outcome of this run would be refused. Roll back after any
    /// error; after [`store::Error::Unavailable`] the whole transaction may be taken again.
    ///
    /// # Cancel safety
    ///
    /// A future that was dropped may have had its effect: roll back.
    ///
    /// [`mysql_async::Transaction`]: https://docs.rs/mysql_async/latest/mysql_async/struct.Transaction.html
    /// [`rusqlite::Transaction`]: https://docs.rs/rusqlite/latest/rusqlite/struct.Transaction.html
    pub fn complete_in<'a, T: InTransaction>(
        &'a self,
        tx: &'a mut T,
    ) -> T::Answer<'a, Result<(), CompleteError>> {
        tx.take_part(Completing { context: self, result: Ok(None) })
    }

    /// The same, and keeps `result` as the result of the run.
    ///
    /// # Errors
    ///
    /// As [`Context::complete_in`], and [`CompleteError::Result`] if the result cannot be JSON or
    /// has more than 64 KiB.
    ///
    /// # Cancel safety
    ///
    /// As [`Context::complete_in`].
    pub fn complete_in_with<'a, T: InTransaction>(
        &'a self,
        tx: &'a mut T,
        result: &(impl Serialize + ?Sized),
    ) -> T::Answer<'a, Result<(), CompleteError>> {
        tx.take_part(Completing { context: self, result: kept(result) })
    }
}

fn kept(result: &(impl Serialize + ?Sized)) -> Result<Option<Json>, CompleteError> {
    let refused = |problem| Err(CompleteError::Result { problem });
    match Json::of(result) {
        Err(error) => refused(format!("cannot be JSON: {error}")),
        Ok(json) if json.as_str().len() > RESULT_BYTES_MAX => {
            let found = json.as_str().len();
            refused(format!("has {found} bytes, at most {RESULT_BYTES_MAX} are kept"))
        }
        Ok(json) => Ok((json.as_str() != "null").then_some(json)),
    }
}

struct Completing<'a> {
    context: &'a Context,
    result: Result<Option<Json>, CompleteError>,
}

impl Part for Completing<'_> {
    type Reply = Result<(), CompleteError>;

    fn store(&self) -> Arc<dyn Store> {
        self.context.store()
    }

    fn ask(self, now: Timestamp) -> Ask<Self::Reply> {
        let Self { context, result } = self;
        let (task, stopper) = (context.task(), context.stopper().clone());
        let (result, lease) = match (result, &task.lease) {
            (Ok(result), Some(lease)) => (result, lease),
            (Err(error), _) => return Ask::Nothing(Err(error)),
            (_, None) => return Ask::Nothing(Err(CompleteError::LeaseLost)),
        };
        let deciding = Deciding { now, jitter: Jitter::NONE, node: context.node() };
        let verdict = decide(task, Outcome::Completed(result), &deciding);
        let item = AckItem {
            claim: lease.claim_id.clone(),
            task: task.id.clone(),
            fence: lease.fence,
            spec: Arc::clone(&task.spec),
            verdict: verdict.clone(),
        };
        let tell = move |acked: store::Result<Acked>| match acked? {
            Acked::Done => {
                stopper.note_completed(verdict);
                Ok(())
            }
            Acked::Stale => {
                stopper.forget_completed();
                Err(CompleteError::LeaseLost)
            }
        };
        Ask::Complete(item, Box::new(tell))
    }

    fn refuse(self, error: store::Error) -> Self::Reply {
        Err(error.into())
    }
}
