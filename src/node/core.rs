//! What the loops of one node share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::NodeConfig;
use crate::domain::declared::Declared;
use crate::domain::id::Callback;
use crate::domain::id::ProcessId;
use crate::domain::time::Timestamp;
use crate::events::Events;
use crate::handlers::Handlers;
use crate::leader::Seen;
use crate::metrics::Metrics;
use crate::metrics::Runs;
use crate::store::Holder;
use crate::store::HolderKind;
use crate::store::Store;
use crate::traces::Traces;

use super::claims::Claims;
use super::dice::Dice;
use super::line::Line;
use super::place::Bell;
use super::place::Place;
use super::run::Run;
use super::slots::Slots;
use super::store_time::StoreTime;

/// One node: its settings, its view of the store, and its orders.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) store: Arc<dyn Store>,
    pub(super) config: NodeConfig,
    pub(super) process: ProcessId,
    pub(super) handlers: Handlers,
    /// Names of the handlers.
    pub(super) callbacks: Arc<[Callback]>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: Events,
    pub(super) metrics: Metrics,
    /// Takes spans, if anybody does.
    pub(super) traces: Option<Arc<dyn Traces>>,
    /// What is counted of the runs of each of `callbacks`, in their order.
    pub(super) runs: Vec<Arc<Runs>>,
    /// The same of those that have no handler here.
    pub(super) other_runs: Arc<Runs>,
    pub(super) store_time: StoreTime,
    pub(super) place: Place,
    /// Wakes who waits for a `run_at`.
    pub(super) bell: Bell,
    pub(super) dice: Dice,
    pub(super) slots: Slots,
    /// What runs, and what waits for that.
    pub(super) line: Line<Arc<Run>>,
    pub(super) claims: Claims,
    /// The schedules that its file declares, if it has a say in them.
    pub(super) declared: Option<Arc<Declared>>,
    /// Who leads, as the store last said.
    pub(super) seen: Seen,
    /// Makes the keeper beat at once.
    pub(super) beat: Notify,
    /// When the keeper last heard from the store: a steady count in µs, 0 for never.
    pub(super) heard_us: AtomicU64,
    /// The skew that was last measured, µs.
    pub(super) skew_us: AtomicI64,
    /// The store was found fit for the node.
    pub(super) prepared: CancellationToken,
    /// Nothing new starts from here on. Set by [`Core::drain`].
    pub(super) draining: CancellationToken,
    /// The same, for those who look at it for each task.
    pub(super) is_draining: AtomicBool,
    /// No hint is taken any more.
    pub(super) deaf: CancellationToken,
    /// No claim is under way, nor will one be.
    pub(super) claimed_out: CancellationToken,
    /// What runs is to end at once.
    pub(super) stopping: CancellationToken,
    /// The node has left.
    pub(super) gone: CancellationToken,
}

impl Core {
    /// Who this node is when it claims.
    pub(super) fn holder(&self) -> Holder {
        Holder {
            node: self.config.name.clone(),
            process: self.process.clone(),
            kind: HolderKind::Node,
        }
    }

    /// Whether it claims tasks at all.
    pub(super) fn runs_tasks(&self) -> bool {
        self.config.runs_tasks && !self.callbacks.is_empty()
    }

    /// What is counted of the runs of `callback`.
    pub(super) fn runs_of(&self, callback: &Callback) -> &Runs {
        match self.callbacks.binary_search(callback) {
            Ok(at) => &self.runs[at],
            Err(_) => &self.other_runs,
        }
    }

    /// Learns the store's clock from a reply that just arrived to a request sent at `sent`.
    pub(super) fn observe(&self, now: Timestamp, sent: Duration) {
        if self.store_time.observe(now, sent, self.clock.steady()) {
            self.bell.ring();
        }
    }

    /// Whether nothing new may start.
    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Relaxed)
    }

    /// Lets nothing new start, and the cluster know it.
    pub(super) fn drain(&self) {
        self.is_draining.store(true, Relaxed);
        self.draining.cancel();
        self.claims.look_again();
        self.beat.notify_one();
    }

    /// Notes that the store answered the keeper at the steady count `steady`.
    pub(super) fn heard(&self, steady: Duration) {
        self.heard_us.store(u64::try_from(steady.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }
}
