//! The claims that this node holds, and how far it trusts them.
//!
//! The store's clock decides when a lease ends. The node only stops trusting it *earlier*, by its
//! own steady count from before the request was sent that gave or prolonged it. Outside trust no run
//! starts (T9); runs of `exclusive` tasks are stopped, before the store may give their tasks away
//! (N3); other runs go on, because a store that is away for a while must not cost an hour's work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::domain::id::ClaimId;
use crate::handlers::StopCause;
use crate::store::Stop;
use crate::store::StopReason;

use super::run::Phase;
use super::run::Run;

/// A claim of this node.
#[derive(Debug)]
pub(super) struct HeldClaim {
    pub(super) id: ClaimId,
    /// Steady counts from before it was asked for and after it was answered.
    pub(super) asked_at: Duration,
    pub(super) answered_at: Duration,
    trusted_until_us: AtomicU64,
    is_lost: AtomicBool,
    unacked: AtomicUsize,
    changed: Notify,
}

impl HeldClaim {
    /// A claim of `count` tasks that is trusted until the steady count `trusted_until`; it was asked
    /// for and answered at the steady counts `times`.
    pub(super) fn new(
        id: ClaimId,
        count: usize,
        trusted_until: Duration,
        times: (Duration, Duration),
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            asked_at: times.0,
            answered_at: times.1,
            trusted_until_us: AtomicU64::new(whole_us(trusted_until)),
            is_lost: AtomicBool::new(false),
            unacked: AtomicUsize::new(count),
            changed: Notify::new(),
        })
    }

    /// Whether a run of it may start when the steady count shows `steady`.
    pub(super) fn is_trusted(&self, steady: Duration) -> bool {
        whole_us(steady) < self.trusted_until_us.load(SeqCst) && !self.is_lost()
    }

    /// Whether the store said that it is gone.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(SeqCst)
    }

    /// Ends when the claim was prolonged or lost after this call, or may have been.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Wakes who waits for a change.
    pub(super) fn look_again(&self) {
        self.changed.notify_waiters();
    }

    fn trusted_until(&self) -> Duration {
        Duration::from_micros(self.trusted_until_us.load(SeqCst))
    }
}

/// All claims of a node of which a task is not acked yet.
#[derive(Debug, Default)]
pub(super) struct Claims {
    held: Mutex<BTreeMap<ClaimId, Held>>,
    emptied: Notify,
}

#[derive(Debug)]
struct Held {
    claim: Arc<HeldClaim>,
    runs: Vec<Arc<Run>>,
}

impl Claims {
    /// Keeps a claim from now on.
    pub(super) fn hold(&self, claim: Arc<HeldClaim>, runs: Vec<Arc<Run>>) {
        self.lock().insert(claim.id.clone(), Held { claim, runs });
    }

    /// The claims to prolong.
    pub(super) fn to_keep(&self) -> Vec<ClaimId> {
        let held = self.lock();
        held.values()
            .filter(|held| !held.claim.is_lost())
            .map(|held| held.claim.id.clone())
            .collect()
    }

    /// Prolongs the trust in `ids` until the steady count `until`.
    pub(super) fn trust(&self, ids: &[ClaimId], until: Duration) {
        let held = self.lock();
        for held in ids.iter().filter_map(|id| held.get(id)) {
            held.claim.trusted_until_us.fetch_max(whole_us(until), SeqCst);
            held.claim.look_again();
        }
    }

    /// Stops all runs of claims that the store gave up (N3). Answers how many claims that is news of had
    /// runs under way, and how many runs were.
    pub(super) fn lose(&self, ids: &[ClaimId]) -> (usize, usize) {
        let held = self.lock();
        let (mut cut, mut stopped) = (0, 0);
        for held in ids.iter().filter_map(|id| held.get(id)) {
            let was_lost = held.claim.is_lost.swap(true, SeqCst);
            let before = stopped;
            for run in held.runs.iter().filter(|run| run.phase() < Phase::Ended) {
                run.stopper.stop(StopCause::LeaseLost);
                stopped += 1;
            }
            cut += usize::from(!was_lost && stopped > before);
            held.claim.look_again();
        }
        (cut, stopped)
    }

    /// Stops the runs that a user cancelled, replaced or removed.
    pub(super) fn stop(&self, stops: &[Stop]) {
        let held = self.lock();
        for stop in stops {
            let runs = held.get(&stop.claim).map_or(&[][..], |held| &held.runs);
            if let Some(run) = runs.iter().find(|run| run.task.id == stop.task) {
                run.stopper.stop(match stop.reason {
                    StopReason::Cancelled => StopCause::Cancelled,
                    StopReason::Superseded => StopCause::Superseded,
                });
            }
        }
    }

    /// Stops the started runs of exclusive tasks whose claims are not trusted any more (T9, N3).
    /// Answers how many it stopped, and the steady count at which trust in some claim ends next.
    pub(super) fn distrust(&self, steady: Duration) -> (usize, Option<Duration>) {
        let held = self.lock();
        let mut stopped = 0;
        let mut next_end = None;
        for held in held.values() {
            if held.claim.is_trusted(steady) {
                let end = held.claim.trusted_until();
                next_end = Some(next_end.map_or(end, |next: Duration| next.min(end)));
                continue;
            }
            for run in &held.runs {
                let is_open = run.task.spec.exclusive && run.phase() == Phase::Started;
                if is_open && run.stopper.cause() != Some(StopCause::LeaseLost) {
                    run.stopper.stop(StopCause::LeaseLost);
                    stopped += 1;
                }
            }
        }
        (stopped, next_end)
    }

    /// Notes that the store answered for these runs; a claim leaves with its last one.
    pub(super) fn acked(&self, runs: &[Arc<Run>]) {
        let mut done = Vec::new();
        for run in runs {
            run.enter(Phase::Acked);
            if run.claim.unacked.fetch_sub(1, SeqCst) == 1 {
                done.push(&run.claim.id);
            }
        }
        if done.is_empty() {
            return;
        }

        let mut held = self.lock();
        let mut over = Vec::with_capacity(done.len());
        over.extend(done.into_iter().filter_map(|id| held.remove(id)));
        let is_empty = held.is_empty();
        drop(held);
        if is_empty {
            self.emptied.notify_one();
        }
    }

    /// Returns when no claim is held. One waiter at a time.
    pub(super) async fn wait_until_empty(&self) {
        while !self.lock().is_empty() {
            self.emptied.notified().await;
        }
    }

    /// The runs for which the store has not answered.
    pub(super) fn open_runs(&self) -> Vec<Arc<Run>> {
        let held = self.lock();
        let runs = held.values().flat_map(|held| &held.runs);
        runs.filter(|run| run.phase() < Phase::Acked).cloned().collect()
    }

    /// Makes all runs that wait for trust look again.
    pub(super) fn look_again(&self) {
        self.lock().values().for_each(|held| held.claim.look_again());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ClaimId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn whole_us(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}
