//! Looks at a node and gives it orders while it runs.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::NodeConfig;
use crate::domain::id::Callback;
use crate::domain::id::ProcessId;
use crate::domain::id::TaskId;
use crate::domain::lease::renew_every;
use crate::domain::time::Timestamp;
use crate::metrics::Metrics;
use crate::store::Leader;

use super::core::Core;
use super::run::Phase;

/// A node counts as out of reach of its store when it heard nothing for this long, or three renewals
/// if that is longer.
const REACHABLE_FOR: Duration = Duration::from_secs(2);

/// Looks at a node and gives it orders. Cheap to clone; outlives the node without harm.
#[derive(Clone, Debug)]
pub struct NodeHandle {
    core: Arc<Core>,
}

/// A node at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeStatus {
    /// Whether the store answered lately.
    pub reachable: bool,
    /// Whether nothing new starts, because the node is to leave or has left.
    pub draining: bool,
    /// Tasks that are claimed and whose run has not ended. While runs are short they can be more than
    /// run at once.
    pub held: usize,
    /// How far this machine's wall clock is ahead of the store's, µs.
    pub skew_us: i64,
    /// Who leads, as the store last said.
    pub leader: Option<Leader>,
    /// Runs that were told to stop and have not ended. One that stays here blocks its thread.
    pub stopping: Vec<OpenTask>,
}

/// A task of this node that is not done with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenTask {
    /// The task.
    pub task: TaskId,
    /// Its callback.
    pub callback: Callback,
    /// Whether its handler still runs; otherwise only the store's answer is missing.
    pub runs: bool,
}

impl NodeStatus {
    /// Whether the node may take work.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.reachable && !self.draining
    }
}

impl NodeHandle {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &NodeConfig {
        &self.core.config
    }

    /// Its identity.
    #[must_use]
    pub fn process(&self) -> &ProcessId {
        &self.core.process
    }

    /// What it counts, for whoever collects metrics.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.core.metrics.clone()
    }

    /// The store's now, as the node knows it: never early, and late by a fraction of a round trip.
    #[must_use]
    pub fn store_now(&self) -> Timestamp {
        self.core.store_time.now()
    }

    /// Who leads, as the store last said.
    #[must_use]
    pub fn leader(&self) -> Option<Leader> {
        self.core.seen.leader()
    }

    /// How it is. Costs a look at each open run while one is told to stop, else nothing.
    #[must_use]
    pub fn status(&self) -> NodeStatus {
        let core = &self.core;
        let told = |run: &Arc<super::run::Run>| run.stopper.cause().is_some();
        let runs = core.claims.open_runs();
        NodeStatus {
            reachable: self.is_reachable(),
            draining: core.is_draining() || core.gone.is_cancelled(),
            held: core.slots.held(),
            skew_us: core.skew_us.load(Relaxed),
            leader: core.seen.leader(),
            stopping: runs.iter().filter(|run| told(run)).map(OpenTask::of).collect(),
        }
    }

    /// Whether the node may take work: its store answered lately, and it is not to leave.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_reachable() && !self.core.is_draining()
    }

    /// Lets the node hear from its store at once instead of at its next beat.
    pub fn beat(&self) {
        self.core.beat.notify_one();
    }

    /// Lets nothing new start; the node ends when what runs has ended, or at its drain timeout.
    pub fn drain(&self) {
        self.core.drain();
    }

    /// Is cancelled when the node has found its store fit: before that nobody should use the store by
    /// way of this process. Cancelling it does nothing to the node.
    #[must_use]
    pub fn prepared(&self) -> CancellationToken {
        self.core.prepared.child_token()
    }

    /// Is cancelled when the node begins to drain. Cancelling it does nothing to the node.
    #[must_use]
    pub fn draining(&self) -> CancellationToken {
        self.core.draining.child_token()
    }

    /// Stops all runs at once, hands their tasks back, and lets the node end.
    pub fn stop_now(&self) {
        self.core.drain();
        self.core.stopping.cancel();
    }

    fn is_reachable(&self) -> bool {
        let heard_us = self.core.heard_us.load(Relaxed);
        let silent = self.core.clock.steady().saturating_sub(Duration::from_micros(heard_us));
        let allowed = REACHABLE_FOR.max(renew_every(self.core.config.lease) * 3);
        heard_us > 0 && silent <= allowed && !self.core.gone.is_cancelled()
    }
}

impl OpenTask {
    pub(super) fn of(run: &Arc<super::run::Run>) -> Self {
        Self {
            task: run.task.id.clone(),
            callback: run.task.spec.callback.clone(),
            runs: run.phase() < Phase::Ended,
        }
    }
}
