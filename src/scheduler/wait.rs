//! Waiting for the end of a task.

use std::time::Duration;

use crate::domain::id::TaskId;
use crate::domain::task::TaskRecord;
use crate::store::Fetch;

use super::Result;
use super::Scheduler;

/// Wait between the first two looks at a task; it grows by half each time.
const LOOK_AFTER: Duration = Duration::from_millis(10);

/// Longest wait between two looks.
const LOOK_AFTER_MAX: Duration = Duration::from_millis(250);

/// How much longer than the wait itself the store keeps a result for it.
const WATCH_SLACK: Duration = Duration::from_secs(5);

impl Scheduler {
    /// Waits until a task has ended, at most `at_most`, and gives it as it is then.
    ///
    /// While somebody waits, a task that completes is kept for at least a minute, so that its result
    /// can be read. `None` if there is no such task, or no more. A recurring task ends only when it
    /// is cancelled.
    ///
    /// Cost: a round trip 10 ms after the first, then with growing gaps, four a second at last.
    ///
    /// # Errors
    ///
    /// [`Error::Store`](super::Error::Store) if the store does not answer at first; later it is asked
    /// again until the time is over.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the waiting and changes nothing.
    pub async fn wait(&self, id: &TaskId, at_most: Duration) -> Result<Option<TaskRecord>> {
        let until = self.clock.steady().saturating_add(at_most);
        let watch = Some(at_most.saturating_add(WATCH_SLACK));
        let mut answer = self.look(id, watch).await;
        let mut gap = LOOK_AFTER;
        loop {
            let left = until.saturating_sub(self.clock.steady());
            match &answer {
                Ok(Some(task)) if !task.state.is_ended() && !left.is_zero() => {}
                Err(error) if error.is_transient() && gap > LOOK_AFTER && !left.is_zero() => {}
                _ => return answer,
            }
            self.clock.sleep(gap.min(left)).await;
            gap = (gap * 3 / 2).min(LOOK_AFTER_MAX);
            answer = self.look(id, None).await;
        }
    }

    async fn look(&self, id: &TaskId, watch: Option<Duration>) -> Result<Option<TaskRecord>> {
        let fetch = Fetch { ids: vec![id.clone()], watch };
        Ok(self.store.fetch(&fetch).await?.pop().flatten())
    }
}
