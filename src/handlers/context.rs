//! What a run knows of itself.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::fence;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::id::NodeName;
use crate::domain::lease::Fence;
use crate::domain::state::Verdict;
use crate::domain::task::TaskRecord;
use crate::domain::trace::TRACEPARENT;
use crate::domain::trace::TraceContext;
use crate::store::Store;

/// Why a run is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopCause {
    /// A user cancelled the task.
    Cancelled,
    /// The run took longer than its timeout.
    TimedOut,
    /// The node leaves and its drain timeout is over; the task is handed back.
    Draining,
    /// The task was replaced or removed; the outcome of this run will be refused.
    Superseded,
    /// The lease is lost, or can no longer be trusted: the task may run elsewhere. Stop at once.
    LeaseLost,
}

impl StopCause {
    /// Whether the run must end at once instead of being asked to.
    #[must_use]
    pub fn is_urgent(self) -> bool {
        self == Self::LeaseLost
    }
}

/// One run, as its handler sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Context {
    task: Arc<TaskRecord>,
    node: NodeName,
    timeout: Duration,
    stopper: Stopper,
    store: Arc<dyn Store>,
    trace: Option<Arc<TraceContext>>,
}

impl Context {
    pub(crate) fn new(
        task: Arc<TaskRecord>,
        node: NodeName,
        timeout: Duration,
        stopper: Stopper,
        store: Arc<dyn Store>,
    ) -> Self {
        Self { task, node, timeout, stopper, store, trace: None }
    }

    /// The same inside a span of its own.
    pub(crate) fn traced(mut self, context: TraceContext) -> Self {
        self.trace = Some(Arc::new(context));
        self
    }

    /// The task.
    #[must_use]
    pub fn task(&self) -> &TaskRecord {
        &self.task
    }

    /// Number of this attempt, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.task.attempt
    }

    /// Fence of this run: greater than that of any earlier run of the task.
    ///
    /// Hand it to the outside world to keep a paused old run from undoing the work of a newer one,
    /// for example `UPDATE account SET …, fence = :f WHERE id = :id AND fence <= :f`.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.task.lease.as_ref().map_or(Fence(0), |lease| lease.fence)
    }

    /// Name of the node that runs it.
    #[must_use]
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// Trace context to hand on, in the form of the W3C's `traceparent`: that of this run's span, or,
    /// where nobody takes spans, what came with the task.
    ///
    /// A task that the run adds belongs to the trace with `.metadata("traceparent", …)`.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        let own = self.trace.as_deref().map(TraceContext::as_str);
        own.or_else(|| self.task.spec.metadata.get(TRACEPARENT).map(String::as_str))
    }

    /// How long the run may take from its start.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Returns when the run is to stop, and says why. After it, the run has a few seconds; after
    /// [`StopCause::LeaseLost`] none.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and asked again.
    pub async fn stopped(&self) -> StopCause {
        self.stopper.stopped().await;
        self.stopper.cause().unwrap_or(StopCause::LeaseLost)
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    pub(super) fn stopper(&self) -> &Stopper {
        &self.stopper
    }

    /// A token that is cancelled when the run is to stop, to be passed on.
    #[must_use]
    pub fn cancellation(&self) -> &CancellationToken {
        self.stopper.token()
    }
}

/// Tells one run to stop, and the node that it completed in a transaction. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Stopper {
    orders: Arc<Orders>,
}

#[derive(Debug, Default)]
struct Orders {
    cause: OnceLock<StopCause>,
    is_stopped: AtomicBool,
    is_urgent: AtomicBool,
    /// Tells those who wait for one of these.
    given: Notify,
    /// Made when somebody asks for it: most handlers do not.
    token: OnceLock<CancellationToken>,
    completed: Mutex<Option<Box<Verdict>>>,
}

impl Stopper {
    /// Tells the run to stop. The first cause stays, but a lost lease later makes it urgent.
    pub fn stop(&self, cause: StopCause) {
        let _first_stays = self.orders.cause.set(cause);
        self.orders.stop();
        if cause.is_urgent() {
            self.orders.give(&self.orders.is_urgent);
        }
    }

    /// Tells the run to stop, and to end at once.
    pub fn abort(&self, cause: StopCause) {
        self.stop(cause);
        self.orders.give(&self.orders.is_urgent);
    }

    /// Why the run is to stop, if it is.
    #[must_use]
    pub fn cause(&self) -> Option<StopCause> {
        self.orders.cause.get().copied()
    }

    /// Returns when the run is to stop.
    pub async fn stopped(&self) {
        self.orders.wait_for(&self.orders.is_stopped).await;
    }

    /// Returns when the run must end at once.
    pub async fn urgent(&self) {
        self.orders.wait_for(&self.orders.is_urgent).await;
    }

    fn token(&self) -> &CancellationToken {
        self.orders.token()
    }

    /// Notes that the run completed with this verdict, if a transaction of its handler's commits.
    pub(super) fn note_completed(&self, verdict: Verdict) {
        *self.completed() = Some(Box::new(verdict));
    }

    /// Notes that a later transaction found the task not leased to the run.
    pub(super) fn forget_completed(&self) {
        *self.completed() = None;
    }

    /// What became of the task, if the transaction in which the run completed was committed.
    pub(crate) fn completed_in_transaction(&self) -> Option<Verdict> {
        self.completed().as_deref().cloned()
    }

    /// Whether the run completed in a transaction, which may have been committed or not.
    pub(crate) fn has_completed_in_transaction(&self) -> bool {
        self.completed().is_some()
    }

    fn completed(&self) -> MutexGuard<'_, Option<Box<Verdict>>> {
        self.orders.completed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Orders {
    /// Tells the run to stop. Of this and a [`Orders::token`] at the same moment at least one sees the
    /// other.
    fn stop(&self) {
        self.give(&self.is_stopped);
        fence(SeqCst);
        if let Some(token) = self.token.get() {
            token.cancel();
        }
    }

    fn give(&self, order: &AtomicBool) {
        order.store(true, SeqCst);
        self.given.notify_waiters();
    }

    /// Returns when an order was given. It asks to be told before it looks, so that it either sees the
    /// order or is told of it.
    async fn wait_for(&self, order: &AtomicBool) {
        loop {
            let told = self.given.notified();
            if order.load(SeqCst) {
                return;
            }
            told.await;
        }
    }

    fn token(&self) -> &CancellationToken {
        let token = self.token.get_or_init(CancellationToken::new);
        fence(SeqCst);
        if self.is_stopped.load(SeqCst) {
            token.cancel();
        }
        token
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn an_order_reaches_who_asks_before_and_who_asks_after_it() {
        let stopper = Stopper::default();
        let early = stopper.token().clone();
        assert!(!early.is_cancelled());

        stopper.stop(StopCause::Cancelled);
        stopper.stop(StopCause::LeaseLost);

        early.cancelled().await;
        stopper.stopped().await;
        stopper.urgent().await;
        assert_eq!(stopper.cause(), Some(StopCause::Cancelled));
    }

    #[test]
    fn who_waits_for_an_order_is_told_when_it_is_given_and_of_no_other() {
        let stopper = Stopper::default();
        let mut stopped = pin!(stopper.stopped());
        let mut urgent = pin!(stopper.urgent());
        assert_eq!(stopped.as_mut().now_or_never(), None);
        assert_eq!(urgent.as_mut().now_or_never(), None);

        stopper.stop(StopCause::Cancelled);
        assert_eq!(stopped.now_or_never(), Some(()));
        assert_eq!(urgent.as_mut().now_or_never(), None);

        stopper.abort(StopCause::Draining);
        assert_eq!(urgent.now_or_never(), Some(()));
    }
}
