//! Runs handlers.
//!
//! Every run is a task of the handlers' own runtime, so a handler that blocks harms other handlers
//! and nothing else. A run passes a gate (not told to stop, not expired, its claim trusted), calls
//! its handler, watches over it if it does not end at once, and passes its verdict on to the acker.
//! Only then its slot is free: if the store is away for long, the node takes no more.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::task::TaskTracker;
use tracing::debug;
use tracing::warn;

use crate::domain::retry::Jitter;
use crate::domain::state::Deciding;
use crate::domain::state::Outcome;
use crate::domain::state::decide;
use crate::domain::trace::TraceContext;
use crate::events::Event;
use crate::handlers::Context;
use crate::handlers::Handler;
use crate::handlers::Running;
use crate::handlers::StopCause;
use crate::metrics::Ended;
use crate::store::AckItem;

use super::acker::Decided;
use super::core::Core;
use super::outcome::RunEnd;
use super::outcome::outcome;
use super::outcome::stopped;
use super::outcome::unless_committed;
use super::place::Part;
use super::place::Place;
use super::place::until_gone;
use super::run::Phase;
use super::run::Run;
use super::traced::RunSpan;
use super::traced::ack;
use super::traced::log_span;

/// How long a run may take to end after it was told to stop.
const GRACE: Duration = Duration::from_secs(6);

/// The same when the node leaves: commands are killed after 5 s, and
/// what is left of the 6 s after the drain timeout is for acks and goodbyes.
const DRAIN_GRACE: Duration = Duration::from_millis(5_250);

/// The same when its lease is lost (N3).
const URGENT_GRACE: Duration = Duration::from_millis(500);

/// The same for an exclusive task: inside the 250 ms by which trust ends early (T9).
const EXCLUSIVE_GRACE: Duration = Duration::from_millis(200);

/// How long a task waits again that came although this node has no handler for it.
const NO_HANDLER_WAIT: Duration = Duration::from_secs(5);

/// Starts runs on the handlers' runtime.
#[derive(Debug)]
pub(super) struct Runner {
    core: Arc<Core>,
    runtime: Handle,
    tracker: TaskTracker,
    verdicts: mpsc::Sender<Decided>,
}

impl Runner {
    pub(super) fn new(core: Arc<Core>, runtime: Handle, verdicts: mpsc::Sender<Decided>) -> Self {
        Self { core, runtime, tracker: TaskTracker::new(), verdicts }
    }

    /// Starts runs, which hold a claim already, in their turn.
    ///
    /// A batch crosses to the other runtime as one task and spreads there, because crossing costs
    /// more than most short runs.
    pub(super) fn start(self: &Arc<Self>, runs: Vec<Arc<Run>>) {
        let is_batch = runs.len() > 1;
        self.hand_back(self.core.line.enter(runs, self.core.clock.steady()));
        if is_batch {
            let runner = Arc::clone(self);
            self.spawn(async move { runner.start_executors() });
        } else {
            self.start_executors();
        }
    }

    /// Starts executors for what waits, by and by.
    fn start_executors(self: &Arc<Self>) {
        let starts = self.core.line.start();
        for nth in 1..=starts.executors {
            if nth == starts.executors && starts.are_more {
                // Before the last, because what a thread of the runtime spawned last no other one can
                // take over: if a handler blocks it, this must go on.
                let runner = Arc::clone(self);
                self.spawn(async move { runner.start_executors() });
            }
            self.spawn(Arc::clone(self).execute());
        }
    }

    /// Runs work on the handlers' runtime.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Place::Together(gate) = &self.core.place {
            let work = until_gone(&self.core.gone, work);
            self.tracker.spawn_on(gate.admit(Part::Handlers, work), &self.runtime);
        } else {
            self.tracker.spawn_on(work, &self.runtime);
        }
    }

    /// Hands runs that were not started back, from outside the runtime.
    pub(super) fn hand_back(self: &Arc<Self>, runs: Vec<Arc<Run>>) {
        for run in runs {
            let runner = Arc::clone(self);
            self.spawn(async move {
                if let Some(ending) = runner.end(run, Outcome::Released.into()) {
                    ending.await;
                }
            });
        }
    }

    /// Executes one run after the other, until none waits.
    async fn execute(self: Arc<Self>) {
        let mut next = self.core.line.begin();
        while let Some(run) = next {
            let end = match self.gate(&run).await {
                Ok(started_at) => self.call(&run, started_at).await,
                Err(outcome) => outcome.into(),
            };
            let took = end.took.unwrap_or_default();
            if let Some(ending) = self.end(run, end) {
                ending.await;
            }
            next = self.core.line.next(took);
            if next.is_some() {
                // Handlers that never wait would else keep this thread from all that is behind them.
                tokio::task::consume_budget().await;
            }
        }
    }

    /// Lets a run start, now by the steady count, or says what becomes of it instead.
    async fn gate(&self, run: &Run) -> Result<Duration, Outcome> {
        let now = match self.look(run) {
            Some(allowed) => allowed?,
            // Boxed, because most runs need not wait and should not carry its size.
            None => Box::pin(self.wait_for_trust(run)).await?,
        };

        let is_first = run.task.attempts_over() == 0 && run.task.crashes == 0;
        match run.task.expires_at {
            Some(expires_at) if is_first && expires_at <= self.core.store_time.at(now) => {
                Err(Outcome::Expired)
            }
            _ => Ok(now),
        }
    }

    /// Whether a run may start now; nothing if that depends on trust in its claim.
    ///
    /// The run is marked as started *before* trust is checked: who stops runs whose trust ends sees
    /// either the mark, or a moment at which the check fails (T9).
    fn look(&self, run: &Run) -> Option<Result<Duration, Outcome>> {
        run.enter(Phase::Started);
        if let Some(told) = run.stopper.cause() {
            return Some(Err(stopped(told, Duration::ZERO)));
        }
        if self.core.is_draining() {
            return Some(Err(Outcome::Released));
        }
        let now = self.core.clock.steady();
        if run.claim.is_trusted(now) {
            return Some(Ok(now));
        }
        run.enter(Phase::Waiting);
        None
    }

    /// Looks again whenever something has changed.
    async fn wait_for_trust(&self, run: &Run) -> Result<Duration, Outcome> {
        loop {
            let changed = run.claim.changed();
            tokio::pin!(changed);
            if let Some(allowed) = self.look(run) {
                return allowed;
            }
            tokio::select! {
                biased;
                () = run.stopper.stopped() => {}
                () = changed => {}
            }
        }
    }

    /// Calls the handler, if there is one.
    async fn call(&self, run: &Arc<Run>, started_at: Duration) -> CallEnd {
        let Some(handler) = self.core.handlers.find(&run.task.spec.callback) else {
            warn!(task.id = %run.task.id, "a task came for which there is no handler");
            return Outcome::Snoozed(NO_HANDLER_WAIT).into();
        };
        let timeout = self.timeout(run, &**handler);
        let lag = self.core.store_time.at(started_at).since(run.task.run_at);
        let counted = self.core.runs_of(&run.task.spec.callback);
        counted.began(lag);
        if self.core.events.has_listeners() {
            let run = run.name(&self.core.config.name);
            self.core.events.tell(Event::Started { run, lag });
        }

        let span = RunSpan::begin(&self.core, run);
        let mut context = Context::new(
            Arc::clone(&run.task),
            self.core.config.name.clone(),
            timeout,
            run.stopper.clone(),
            Arc::clone(&self.core.store),
        );
        if let Some(traced) = span.as_deref().and_then(RunSpan::context) {
            context = context.traced(traced.clone());
        }
        let log = log_span(run, span.as_deref());
        let mut guarded = Guarded::start(&**handler, context, log);
        let at_once = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut guarded).poll(cx))).await;
        let end = match at_once {
            Poll::Ready(end) => end,
            // Boxed, because most runs end at once and should not carry its size.
            Poll::Pending => Box::pin(self.watch_over(run, &mut guarded, timeout)).await,
        };

        let ended_at = self.core.clock.steady();
        let took = ended_at.saturating_sub(started_at);
        counted.ended(took);
        let mut outcome = outcome(end, run.stopper.cause(), timeout);
        if run.stopper.has_completed_in_transaction() {
            outcome = unless_committed(outcome);
        }
        let traced = span.and_then(|span| span.end(&outcome)).map(Box::new);
        CallEnd { outcome, took: Some(took), ended_at: Some(ended_at), traced, log: guarded.log }
    }

    /// Waits for a handler that did not end at its first poll; only now timers are worth their cost.
    async fn watch_over(&self, run: &Run, guarded: &mut Guarded, timeout: Duration) -> RunEnd {
        tokio::select! {
            biased;
            end = &mut *guarded => return end,
            () = run.stopper.stopped() => {}
            () = self.core.clock.sleep(timeout) => run.stopper.stop(StopCause::TimedOut),
        }

        // Boxed, because a run that waits should not carry the size of being told to stop.
        Box::pin(self.wind_down(run, guarded)).await
    }

    /// Waits for a handler that was told to stop, and no longer than it may take.
    async fn wind_down(&self, run: &Run, guarded: &mut Guarded) -> RunEnd {
        let grace = match run.stopper.cause() {
            Some(StopCause::Draining) => DRAIN_GRACE,
            _ => GRACE,
        };
        tokio::select! {
            biased;
            end = &mut *guarded => end,
            () = self.urgent_grace(run) => guarded.abort(),
            () = self.core.clock.sleep(grace) => guarded.abort(),
        }
    }

    /// Returns a moment after the run was told to end at once.
    async fn urgent_grace(&self, run: &Run) {
        run.stopper.urgent().await;
        let grace = match run.stopper.cause() {
            Some(StopCause::Draining) => Duration::ZERO,
            _ if run.task.spec.exclusive => EXCLUSIVE_GRACE,
            _ => URGENT_GRACE,
        };
        self.core.clock.sleep(grace).await;
    }

    fn timeout(&self, run: &Run, handler: &dyn Handler) -> Duration {
        let own = run.task.spec.timeout.or_else(|| handler.timeout());
        own.unwrap_or(self.core.config.default_timeout)
    }

    /// Decides what becomes of the task, passes that on, and frees the slot; if something must be waited
    /// for, answers what does the rest. A run that goes on for long should not carry its size.
    fn end(&self, run: Arc<Run>, end: CallEnd) -> Option<Waiting<'_>> {
        if matches!(end.outcome, Outcome::Released) && self.core.is_draining() {
            return Some(Box::pin(async move {
                // The hint of what is handed back is for others.
                self.core.deaf.cancelled().await;
                if let Some(passed_on) = self.pass_on(run, end) {
                    passed_on.await;
                }
            }));
        }
        self.pass_on(run, end)
    }

    /// Passes on what becomes of a task and frees its slot; if there is no room for that yet, answers what
    /// waits for it.
    fn pass_on(&self, run: Arc<Run>, end: CallEnd) -> Option<Waiting<'_>> {
        let CallEnd { outcome, took, ended_at, traced, log } = end;
        let crashes = run.task.crashes;
        let inside = log.as_deref().map(tracing::Span::enter);
        run.enter(Phase::Ended);
        debug!(task.id = %run.task.id, ?outcome, "a run ended");
        drop(inside);
        let ended = Ended::from(&outcome);
        let needs_die = matches!(outcome, Outcome::Failed(_) | Outcome::TimedOut(_));
        let deciding = Deciding {
            now: self.core.store_time.at(ended_at.unwrap_or_else(|| self.core.clock.steady())),
            jitter: if needs_die { self.core.dice.jitter() } else { Jitter::NONE },
            node: &self.core.config.name,
        };
        let item = AckItem {
            claim: run.claim.id.clone(),
            task: run.task.id.clone(),
            fence: run.fence(),
            spec: Arc::clone(&run.task.spec),
            verdict: decide(&run.task, outcome, &deciding),
        };

        let ack = traced.and_then(|run_span| ack(&self.core, &run_span, &item, run.task.attempt));
        match self.verdicts.try_send(Decided { item, run, ended, took, ack }) {
            Ok(()) | Err(TrySendError::Closed(_)) => {
                self.core.slots.give_back(crashes);
                None
            }
            Err(TrySendError::Full(decided)) => Some(Box::pin(async move {
                let _only_fails_when_the_node_is_gone = self.verdicts.send(decided).await;
                self.core.slots.give_back(crashes);
            })),
        }
    }
}

/// How a run ended.
struct CallEnd {
    outcome: Outcome,
    /// How long its handler took, if it was called.
    took: Option<Duration>,
    /// The steady count at which it ended.
    ended_at: Option<Duration>,
    /// Where its ack belongs, if anybody takes spans.
    traced: Option<Box<TraceContext>>,
    /// Under which its log lines stand.
    log: Option<Box<tracing::Span>>,
}

impl From<Outcome> for CallEnd {
    /// The end of a run whose handler was not called.
    fn from(outcome: Outcome) -> Self {
        Self { outcome, took: None, ended_at: None, traced: None, log: None }
    }
}

/// What is to be waited for.
type Waiting<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Runs a handler to its end without a node around it: nobody stops it, and no timeout strikes.
pub(crate) async fn run_alone(handler: &dyn Handler, context: Context) -> Outcome {
    let timeout = context.timeout();
    outcome(Guarded::start(handler, context, None).await, None, timeout)
}

/// A handler's future whose panics are caught, also the one of its start and of its drop.
struct Guarded {
    work: Work,
    /// Under which log lines of the handler stand.
    log: Option<Box<tracing::Span>>,
}

enum Work {
    Runs(Running),
    /// It panicked before it began. A box, because few do.
    Refused(Box<RunEnd>),
    Gone,
}

impl Guarded {
    fn start(handler: &dyn Handler, context: Context, log: Option<Box<tracing::Span>>) -> Self {
        let inside = log.as_deref().map(tracing::Span::enter);
        let work = match catch_unwind(AssertUnwindSafe(|| handler.run(context))) {
            Ok(running) => Work::Runs(running),
            Err(panic) => Work::Refused(Box::new(panicked(&*panic))),
        };
        drop(inside);
        Self { work, log }
    }

    /// Drops the future, and with it the run.
    fn abort(&mut self) -> RunEnd {
        let _inside = self.log.as_deref().map(tracing::Span::enter);
        let work = std::mem::replace(&mut self.work, Work::Gone);
        match catch_unwind(AssertUnwindSafe(|| drop(work))) {
            Ok(()) => RunEnd::Aborted,
            Err(panic) => panicked(&*panic),
        }
    }
}

impl Future for Guarded {
    type Output = RunEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<RunEnd> {
        let Self { work, log } = &mut *self;
        let running = match work {
            Work::Runs(running) => running,
            Work::Refused(_) | Work::Gone => {
                return Poll::Ready(match std::mem::replace(work, Work::Gone) {
                    Work::Refused(end) => *end,
                    _ => RunEnd::Aborted,
                });
            }
        };
        let inside = log.as_deref().map(tracing::Span::enter);
        let polled = catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx)));
        drop(inside);
        let end = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => RunEnd::Returned(result),
            Err(panic) => panicked(&*panic),
        };

        match self.abort() {
            RunEnd::Panicked(message) => Poll::Ready(RunEnd::Panicked(message)),
            _ => Poll::Ready(end),
        }
    }
}

fn panicked(panic: &(dyn Any + Send)) -> RunEnd {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    RunEnd::Panicked(text.unwrap_or("no message").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_work<W>(_: impl Fn(Arc<Runner>) -> W) -> usize {
        size_of::<W>()
    }

    /// A runtime rounds the size of a task up to a multiple of 128 bytes; with this, each run that
    /// sleeps stays below one.
    #[test]
    fn a_run_that_sleeps_is_small() {
        let size = size_of_work(Runner::execute);
        assert!(size <= 264, "{size} bytes");
    }
}
