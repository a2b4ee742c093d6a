//! How those who wait for work hear of it.

use async_trait::async_trait;

use super::Result;

/// A stream of hints.
#[async_trait]
pub trait Hints: Send {
    /// Returns when there is a hint; several at once count as one.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`](super::Error::Unavailable) if the connection broke; ask for new [`Queue::hints`](super::Queue::hints).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no hint.
    async fn next(&mut self) -> Result<()>;

    /// Stops listening: what becomes claimable after this returned is told to others. Dropping the
    /// stream does the same, perhaps a moment later.
    #[must_use = "it listens until this was waited for"]
    async fn end(self: Box<Self>) {}
}
