//! Steps of a store inside a transaction that belongs to the caller.
//!
//! What such a step writes exists if and only if the caller commits. A store that lives in a
//! database offers this by [`Queue::database`](super::Queue::database), where the transaction of its
//! driver finds it.

use std::fmt;
use std::sync::Arc;

use crate::domain::time::Timestamp;

use super::AckItem;
use super::Acked;
use super::Add;
use super::Added;
use super::Error;
use super::Result;
use super::Store;

/// A transaction of the caller's in which a store can take steps.
///
/// With the feature `mysql` it is a [`mysql_async::Transaction`], with `sqlite` a
/// [`rusqlite::Transaction`]; nothing else can be one. Begin it on the database that holds the
/// tasks, hand it to [`Scheduler::add_in`](crate::Scheduler::add_in) or
/// [`Context::complete_in`](crate::Context::complete_in), and commit.
///
/// [`mysql_async::Transaction`]: https://docs.rs/mysql_async/latest/mysql_async/struct.Transaction.html
/// [`rusqlite::Transaction`]: https://docs.rs/rusqlite/latest/rusqlite/struct.Transaction.html
pub trait InTransaction {
    /// How a call in it answers: a driver that blocks gives the answer itself, an asynchronous one
    /// a future of it.
    type Answer<'a, T: Send + 'a>
    where
        Self: 'a;

    /// Has a store take part in it.
    #[doc(hidden)]
    fn take_part<'a, P: Part + 'a>(&'a mut self, part: P) -> Self::Answer<'a, P::Reply>;
}

/// What a store is to do in a transaction, and what the caller makes of it. Nobody outside can
/// name it, so nobody else can implement [`InTransaction`].
pub trait Part: Send {
    /// What the caller gets.
    type Reply: Send + 'static;

    /// The store that is to take part.
    fn store(&self) -> Arc<dyn Store>;

    /// Says what is asked, at the store's now.
    fn ask(self, now: Timestamp) -> Ask<Self::Reply>;

    /// The caller's answer if the store cannot be asked.
    fn refuse(self, error: Error) -> Self::Reply;
}

/// What is asked of a store in a transaction, and how its word becomes the caller's answer.
pub enum Ask<R> {
    /// Nothing: this is the answer.
    Nothing(R),
    /// To add tasks.
    Add(Add, Tell<Added, R>),
    /// To complete a run.
    Complete(AckItem, Tell<Acked, R>),
}

impl<R> fmt::Debug for Ask<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing(_) => f.write_str("Nothing"),
            Self::Add(add, _) => f.debug_tuple("Add").field(add).finish_non_exhaustive(),
            Self::Complete(item, _) => {
                f.debug_tuple("Complete").field(item).finish_non_exhaustive()
            }
        }
    }
}

/// Makes the caller's answer of the store's.
pub(super) type Tell<T, R> = Box<dyn FnOnce(Result<T>) -> R + Send>;

/// The database of `store`, if it is one of the kind `S`.
#[cfg(any(feature = "mysql", feature = "sqlite"))]
pub(super) fn home_of<'s, S: 'static>(store: &'s dyn Store, begun_on: &str) -> Result<&'s S> {
    let home = store.database().and_then(|database| database.downcast_ref::<S>());
    home.ok_or_else(|| {
        let name = store.name();
        let problem = format!(
            "it was begun on {begun_on}, and tasks are kept in {name}; keep tasks in the database \
             of your transaction, or add them by `add` after its commit and complete by returning"
        );
        Error::Foreign { problem }
    })
}
