//! Hints for a worker that waits, if its store gives any.

use crate::domain::id::ProcessId;
use crate::store::Hints;
use crate::store::Store;

/// A stream of hints, or none.
pub(super) struct Hinted(Option<Box<dyn Hints>>);

impl Hinted {
    /// Listens for `process`. A store that cannot tell, or does not answer, is polled instead.
    pub(super) async fn listen(store: &dyn Store, process: &ProcessId) -> Self {
        Self(store.hints(process).await.ok().flatten())
    }

    /// Whether hints come.
    pub(super) fn come(&self) -> bool {
        self.0.is_some()
    }

    /// Returns when there is a hint, or when no more will come; never returns if there were none.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no hint.
    pub(super) async fn next(&mut self) {
        match &mut self.0 {
            None => std::future::pending().await,
            Some(hints) => {
                if hints.next().await.is_err() {
                    self.0 = None;
                }
            }
        }
    }
}
