//! The HTTP API of a node: JSON in, JSON out, problem documents for errors.
//!
//! Thin: it reads what was sent, hands it to a [`Scheduler`], and writes the answer. It holds no rule
//! that a user of the library would miss. [`serve`] runs on the caller's runtime, which must not be
//! that of the handlers, so that a blocked handler does not fail the probes.
//!
//! # Who may ask
//!
//! Without authentication the API belongs on a loopback address, and a browser on the same machine
//! must not be turned against it: requests from pages of other sites, and requests for host names
//! that are not this machine's, are refused.

mod api;
mod body;
mod guard;
mod problem;
mod router;
mod wire;

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::events::Events;
use crate::remote::Desk;
use crate::scheduler::Scheduler;

pub use body::BODY_BYTES_MAX;
pub use router::router;

/// Longest `?wait=` that is accepted.
pub const WAIT_MAX: Duration = Duration::from_secs(600);

/// How long requests under way may take to end once the server is to close.
pub const CLOSE_WITHIN: Duration = Duration::from_secs(5);

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
    clock: Arc<dyn Clock>,
    readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
    closing: CancellationToken,
}

impl Api {
    /// An API on what `scheduler` does, which is always ready.
    #[must_use]
    pub fn new(scheduler: Scheduler) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Self {
            desk: Desk::new(scheduler.store(), Arc::clone(&clock)),
            scheduler,
            clock,
            readiness: Arc::new(|| Readiness::Ready),
            closing: CancellationToken::new(),
        }
    }

    /// Times requests by `clock` instead of the machine's, for tests that own time.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.desk = self.desk.clock(Arc::clone(&clock));
        self.clock = clock;
        self
    }

    /// Tells the runs of remote workers on `events`.
    #[must_use]
    pub fn events(mut self, events: Events) -> Self {
        self.desk = self.desk.events(events);
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

/// Serves the API on `listener` until `shutdown` is over.
///
/// Then it takes no more requests, lets those under way end within [`CLOSE_WITHIN`], answers whoever
/// waits for a task, and returns.
///
/// # Errors
///
/// If the listener breaks for good.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (closing, clock, desk) = (api.closing.clone(), Arc::clone(&api.clock), api.desk.clone());
    let told = closing.clone();
    let listener = listener.tap_io(|stream| {
        let _only_slower_without = stream.set_nodelay(true);
    });
    let server = axum::serve(listener, router(api)).with_graceful_shutdown(async move {
        shutdown.await;
        told.cancel();
    });
    let over = async {
        closing.cancelled().await;
        clock.sleep(CLOSE_WITHIN).await;
    };
    let served = async {
        let ended = server.into_future().await;
        desk.settled().await;
        ended
    };

    tokio::select! {
        ended = served => ended,
        () = desk.watch_over() => Ok(()),
        () = over => Ok(()),
    }
}
