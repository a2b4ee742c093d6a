//! The HTTP API of a node: JSON in, JSON out, problem documents for errors.
//!
//! Thin: it reads what was sent, hands it to a [`Scheduler`], and writes the answer. It holds no rule
//! that a user of the library would miss. [`serve`] runs on the caller's runtime, which must not be
//! that of the handlers, so that a blocked handler does not fail the probes.
//!
//! # Who may ask
//!
//! With tokens, whoever has one of them, as far as its role goes; each change leaves a line under the
//! target `audit`. Without tokens the API belongs on a loopback address, and a browser on the same
//! machine must not be turned against it: requests for host names that are not this machine's are
//! refused. Requests from pages of other sites always are.

mod again;
mod api;
mod audit;
mod auth;
mod body;
mod guard;
mod log;
mod named;
mod openapi;
mod problem;
mod router;
mod routes;
mod serve;
mod tls;
mod traced;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::config::Token;
use crate::events::Events;
use crate::metrics::Metrics;
use crate::remote::Desk;
use crate::scheduler::Scheduler;
use crate::traces::Traces;

pub use body::BODY_BYTES_MAX;
pub use router::router;
pub use serve::CLOSE_WITHIN;
pub use serve::HEAD_WITHIN;
pub use serve::serve;
pub use tls::Tls;
#[cfg(feature = "cli")]
pub(crate) use wire::read_task;

use self::again::Replies;
use self::auth::Auth;
use self::log::Log;

/// Longest `?wait=` that is accepted.
pub const WAIT_MAX: Duration = Duration::from_secs(600);

/// Whether this node may be sent work, as `/readyz` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Readiness {
    /// It reached its store lately and takes tasks.
    Ready,
    /// It has not reached its store lately.
    StoreAway,
    /// It finishes what runs and leaves.
    Draining,
}

/// What the API of one node serves. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    scheduler: Scheduler,
    desk: Desk,
    events: Events,
    metrics: Metrics,
    traces: Option<Arc<dyn Traces>>,
    log: Log,
    clock: Arc<dyn Clock>,
    readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
    closing: CancellationToken,
    auth: Auth,
    /// Whether any host name is taken for this machine's.
    any_host: bool,
    tls: Option<Arc<Tls>>,
    replies: Replies,
    /// Whoever waits is answered.
    leaving: CancellationToken,
    /// The store may be asked.
    prepared: CancellationToken,
}

impl Api {
    /// An API on what `scheduler` does, which is always ready.
    #[must_use]
    pub fn new(scheduler: Scheduler) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let events = Events::default();
        let prepared = CancellationToken::new();
        prepared.cancel();
        Self {
            desk: Desk::new(scheduler.store(), Arc::clone(&clock)).events(events.clone()),
            events,
            metrics: Metrics::default(),
            traces: None,
            log: Log::default(),
            scheduler,
            clock,
            readiness: Arc::new(|| Readiness::Ready),
            closing: CancellationToken::new(),
            auth: Auth::default(),
            any_host: false,
            tls: None,
            replies: Replies::default(),
            leaving: CancellationToken::new(),
            prepared,
        }
    }

    /// Times requests by `clock` instead of the machine's, for tests that own time.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.desk = self.desk.clock(Arc::clone(&clock));
        self.clock = clock;
        self
    }

    /// Shows what is told on `events`, and tells there what happens through the API.
    #[must_use]
    pub fn events(mut self, events: Events) -> Self {
        self.desk = self.desk.events(events.clone());
        self.events = events;
        self
    }

    /// Shows what `metrics` counts, and counts there what remote workers do.
    #[must_use]
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.desk = self.desk.metrics(metrics.clone());
        self.metrics = metrics;
        self
    }

    /// Tells `traces` of each add, puts tasks beneath that, and tells of what remote workers do.
    #[must_use]
    pub fn traces(mut self, traces: Arc<dyn Traces>) -> Self {
        self.desk = self.desk.traces(Arc::clone(&traces));
        self.traces = Some(traces);
        self
    }

    /// Lets in only who has one of these tokens. Without any, everybody may do everything.
    #[must_use]
    pub fn tokens(mut self, tokens: &[Token]) -> Self {
        self.auth = Auth::new(tokens);
        self
    }

    /// Answers requests for any host name, also without tokens. Then a page in a browser that can reach
    /// the API may use it.
    #[must_use]
    pub fn any_host(mut self) -> Self {
        self.any_host = true;
        self
    }

    /// Answers whoever waits for a task as soon as `leaving` is cancelled, because the node drains.
    #[must_use]
    pub fn leaving(mut self, leaving: CancellationToken) -> Self {
        self.leaving = leaving;
        self
    }

    /// Says that the store is away, and asks it nothing, until `prepared` is cancelled because the store
    /// was found fit.
    #[must_use]
    pub fn prepared(mut self, prepared: CancellationToken) -> Self {
        self.prepared = prepared;
        self
    }

    /// Speaks TLS with this certificate.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(Arc::new(tls));
        self
    }

    /// Gives remote workers this long for a task without a timeout of its own; an hour unless set.
    #[must_use]
    pub fn default_timeout(mut self, length: Duration) -> Self {
        self.desk = self.desk.default_timeout(length);
        self
    }

    /// Asks `readiness` at each request of `/readyz`; it must answer at once.
    #[must_use]
    pub fn readiness(mut self, readiness: impl Fn() -> Readiness + Send + Sync + 'static) -> Self {
        self.readiness = Arc::new(readiness);
        self
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("scheduler", &self.scheduler).finish_non_exhaustive()
    }
}
