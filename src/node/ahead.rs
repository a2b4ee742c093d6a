//! Tasks that were claimed a little ahead of their `run_at`.
//!
//! They wait in a heap for one precise alarm on a thread of its own, so that neither the round trip
//! of the claim nor a coarse timer shows as lag. The alarm only ever compares `run_at` with the
//! store's clock as this node knows it, which is never early (T8). If that clock is set back, they go back
//! to the store, where users can move them and other nodes see them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use crate::domain::time::Timestamp;

use super::core::Core;
use super::pace::CLAIM_AHEAD;
use super::place::Bell;
use super::place::Ending;
use super::place::Part;
use super::place::Place;
use super::run::Run;
use super::runner::Runner;

/// A task that is due later than this was claimed before the store's clock was set back.
const WAIT_MAX: Duration = CLAIM_AHEAD.saturating_add(Duration::from_secs(1));

/// Tasks that wait for their `run_at`. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Ahead {
    heap: Arc<Mutex<Heap>>,
    core: Arc<Core>,
}

#[derive(Debug, Default)]
struct Heap {
    waiting: BinaryHeap<Reverse<Waiting>>,
    order: u64,
    is_closed: bool,
}

/// Ordered by `run_at`, then as claimed.
#[derive(Debug)]
struct Waiting {
    key: (Timestamp, u64),
    run: Arc<Run>,
}

impl Ahead {
    /// Nothing waits yet.
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { heap: Arc::default(), core }
    }

    /// Starts the thread that starts what has become due.
    ///
    /// # Errors
    ///
    /// If the system has no more threads.
    pub(super) fn watch(&self, runner: Arc<Runner>) -> io::Result<Ending> {
        let ahead = self.clone();
        if let Place::Together(gate) = &self.core.place {
            return Ok(Ending::task(&**gate, Part::Alarm, ahead.watch_as_task(runner)));
        }

        let watch = move || {
            while let Some(next) = ahead.start_due(&runner) {
                if let Bell::Thread(alarm) = &ahead.core.bell {
                    alarm.wait(next);
                }
            }
        };
        let thread = thread::Builder::new().name("taskshed-alarm".into()).spawn(watch)?;
        Ok(Ending::Thread(thread))
    }

    async fn watch_as_task(self, runner: Arc<Runner>) {
        while let Some(next) = self.start_due(&runner) {
            self.core.bell.wait(&*self.core.clock, next).await;
        }
    }

    /// Lets runs wait for their `run_at`. Answers those that came after [`Ahead::close`].
    pub(super) fn wait(&self, runs: Vec<Arc<Run>>) -> Vec<Arc<Run>> {
        let mut heap = self.lock();
        if heap.is_closed {
            return runs;
        }
        let before = heap.earliest();
        for run in runs {
            heap.order += 1;
            let key = (run.task.run_at, heap.order);
            heap.waiting.push(Reverse(Waiting { key, run }));
        }
        let is_sooner = heap.earliest() != before;
        drop(heap);
        if is_sooner {
            self.core.bell.ring();
        }
        Vec::new()
    }

    /// Ends the thread; hands back what still waits.
    pub(super) fn close(&self) -> Vec<Arc<Run>> {
        let mut heap = self.lock();
        heap.is_closed = true;
        let waiting = heap.take_all().collect();
        drop(heap);
        self.core.bell.ring();
        waiting
    }

    /// Starts what is due. Answers the steady count to wait for, or `None` at the end.
    ///
    /// What has turned out to be far off is handed back: the store's clock was set back, and it would
    /// hold a slot for as long, where nobody could cancel it.
    #[expect(clippy::option_option, reason = "the end, and no next moment, are different things")]
    fn start_due(&self, runner: &Arc<Runner>) -> Option<Option<Duration>> {
        let mut heap = self.lock();
        if heap.is_closed {
            return None;
        }
        let store_time = &self.core.store_time;
        let now = store_time.now();
        let mut due = Vec::new();
        while heap.earliest().is_some_and(|run_at| run_at <= now) {
            due.extend(heap.waiting.pop().map(|Reverse(waiting)| waiting.run));
        }
        let far = heap.take_after(now.plus(WAIT_MAX));
        let next = heap.earliest().map(|run_at| store_time.steady_at(run_at));
        drop(heap);
        if !due.is_empty() {
            runner.start(due);
        }
        runner.hand_back(far);
        Some(next)
    }

    fn lock(&self) -> MutexGuard<'_, Heap> {
        self.heap.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heap {
    fn take_all(&mut self) -> impl Iterator<Item = Arc<Run>> + use<> {
        std::mem::take(&mut self.waiting).into_iter().map(|Reverse(waiting)| waiting.run)
    }

    fn earliest(&self) -> Option<Timestamp> {
        self.waiting.peek().map(|Reverse(waiting)| waiting.key.0)
    }

    /// Takes all out, if the earliest is due after some moment.
    fn take_after(&mut self, at: Timestamp) -> Vec<Arc<Run>> {
        if self.earliest().is_none_or(|run_at| run_at <= at) {
            return Vec::new();
        }
        self.take_all().collect()
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}
