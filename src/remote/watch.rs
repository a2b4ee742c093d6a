//! Timeouts of runs that no node sees.
//!
//! A worker that renews hears which of its tasks have timed out. What it has not handed back 30 s later
//! is taken from its claim as failed. Any node that met the claim does that; the store accepts it once
//! (T6), so two nodes that think alike do no harm.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tracing::debug;
use tracing::info;

use crate::domain::id::ClaimId;
use crate::domain::id::TaskId;
use crate::domain::lease::Fence;
use crate::domain::state::Outcome;
use crate::domain::task::TaskRecord;
use crate::domain::time::Timestamp;
use crate::store::Result;

use super::Desk;
use super::Handed;
use super::TAKEN_AFTER;
use super::claimed_at;

/// How often it is looked for runs whose time is over.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A run, and when its time is over: a steady count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TimedRun {
    pub(super) task: TaskId,
    pub(super) fence: Fence,
    timeout: Duration,
    over_at: Duration,
}

/// Claims that this node met lately. All moments are of the own steady clock.
#[derive(Debug, Default)]
pub(super) struct Watches(Mutex<BTreeMap<ClaimId, Watch>>);

#[derive(Debug)]
struct Watch {
    runs: Vec<TimedRun>,
    /// The end of the lease as this node knows it. Who prolongs it elsewhere is watched there.
    until: Duration,
}

impl Watches {
    /// Watches a claim with these runs, until its lease is over.
    pub(super) fn learn(&self, claim: &ClaimId, runs: Vec<TimedRun>, until: Duration) {
        self.watches().insert(claim.clone(), Watch { runs, until });
    }

    /// Notes that a lease was prolonged. Answers whether the claim is known here.
    pub(super) fn prolong(&self, claim: &ClaimId, until: Duration) -> bool {
        match self.watches().get_mut(claim) {
            Some(watch) => {
                watch.until = until;
                true
            }
            None => false,
        }
    }

    /// Forgets runs that are over; a claim without runs is forgotten, too.
    pub(super) fn forget<'a>(&self, claim: &ClaimId, tasks: impl IntoIterator<Item = &'a TaskId>) {
        let mut watches = self.watches();
        let Some(watch) = watches.get_mut(claim) else { return };
        for task in tasks {
            watch.runs.retain(|run| run.task != *task);
        }
        if watch.runs.is_empty() {
            watches.remove(claim);
        }
    }

    /// Forgets a claim.
    pub(super) fn drop_claim(&self, claim: &ClaimId) {
        self.watches().remove(claim);
    }

    /// The runs of a claim whose time is over.
    pub(super) fn over(&self, claim: &ClaimId, steady: Duration) -> Vec<TimedRun> {
        let watches = self.watches();
        let runs = watches.get(claim).into_iter().flat_map(|watch| &watch.runs);
        runs.filter(|run| run.over_at <= steady).cloned().collect()
    }

    /// The runs that are to be taken from their claims. Claims whose lease is over are forgotten.
    fn to_take(&self, steady: Duration) -> Vec<(ClaimId, Vec<TimedRun>)> {
        let mut watches = self.watches();
        watches.retain(|_, watch| watch.until > steady);
        let late = |watch: &Watch| {
            let runs = watch.runs.iter().filter(|run| run.over_at + TAKEN_AFTER <= steady);
            runs.cloned().collect::<Vec<_>>()
        };
        let found = watches.iter().map(|(claim, watch)| (claim.clone(), late(watch)));
        found.filter(|(_, runs)| !runs.is_empty()).collect()
    }

    fn watches(&self) -> MutexGuard<'_, BTreeMap<ClaimId, Watch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    /// Takes tasks whose time is over from their claims, for ever.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    pub async fn watch_over(&self) {
        loop {
            self.clock.sleep(LOOK_EVERY).await;
            for (claim, runs) in self.watches.to_take(self.clock.steady()) {
                if let Err(error) = self.take_away(&claim, runs).await {
                    debug!(%error, %claim, "the store gave no answer; trying again");
                }
            }
        }
    }

    async fn take_away(&self, claim: &ClaimId, runs: Vec<TimedRun>) -> Result<()> {
        let timeouts: BTreeMap<TaskId, Duration> =
            runs.iter().map(|run| (run.task.clone(), run.timeout)).collect();
        let held = self.still_held(claim, runs).await?;
        if held.is_empty() {
            return Ok(());
        }
        let now = self.store.now().await?;
        let handed = held.iter().filter_map(|task| {
            let fence = task.lease.as_ref()?.fence;
            let timeout = timeouts.get(&task.id).copied().unwrap_or_default();
            Some(Handed { task: task.id.clone(), fence, outcome: Outcome::TimedOut(timeout) })
        });
        let handed: Vec<_> = handed.collect();
        let count = handed.len();
        self.decide_and_ack(claim, handed, held, now).await?;
        info!(%claim, count, "tasks timed out and were taken from their claim");
        Ok(())
    }

    /// When the time of each task is over, seen from the store's `now`.
    pub(super) fn runs_of(&self, tasks: &[TaskRecord], now: Timestamp) -> Vec<TimedRun> {
        let steady = self.clock.steady();
        let runs = tasks.iter().filter_map(|task| {
            let fence = task.lease.as_ref()?.fence;
            let timeout = task.spec.timeout.unwrap_or(self.default_timeout);
            let left = timeout.saturating_sub(now.since(claimed_at(fence)));
            let over_at = steady.saturating_add(left);
            Some(TimedRun { task: task.id.clone(), fence, timeout, over_at })
        });
        runs.collect()
    }
}
