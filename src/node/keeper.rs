//! Keeps leases, and the node's place in the cluster.
//!
//! The keeper has a thread, a runtime and a store connection of its own, so neither busy nor blocked
//! handlers make it late. One call beats for the node and prolongs all its claims. Calls are made
//! every quarter of the lease, at most a second apart, and twice as often while one is unanswered;
//! a slow answer does not hold the next call up, because it may never come.
//!
//! From the same thread a watchdog ends trust: when the store was silent for too long it stops
//! exclusive runs (T9), also while a call hangs.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing::warn;

use crate::domain::id::ClaimId;
use crate::domain::lease::Term;
use crate::domain::lease::renew_every;
use crate::domain::lease::trusted_for;
use crate::events::Event;
use crate::store::BATCH_MAX;
use crate::store::Beat;
use crate::store::Error;
use crate::store::Keep;
use crate::store::Kept;
use crate::store::Store;

use super::core::Core;
use super::outage::Outage;
use super::place::Ending;
use super::place::Part;
use super::place::Place;

/// Most rounds of calls that are unanswered at once.
const ROUNDS_IN_FLIGHT_MAX: usize = 4;

/// A wall clock this far from the store's is worth a warning: users read its times in logs.
const SKEW_WARNED_US: i64 = 1_000_000;

/// How long the last word of a leaving node may take.
pub(super) const LEAVE_TIMEOUT: Duration = Duration::from_millis(200);

/// The loop that beats and renews.
#[derive(Debug)]
pub(super) struct Keeper {
    core: Arc<Core>,
    store: Arc<dyn Store>,
    outage: Outage,
    has_joined: bool,
    warned_of_skew: bool,
}

/// Calls that were made together, and what the store said to the last of them.
struct Round {
    sent: Duration,
    kept: Result<Kept, Error>,
    claims: Vec<ClaimId>,
}

type Rounds = FuturesUnordered<BoxFuture<'static, Round>>;

impl Keeper {
    /// Starts the keeper's thread, which ends with `stop`, after a last word if the node drains.
    ///
    /// # Errors
    ///
    /// If the system has no more threads.
    pub(super) fn start(core: Arc<Core>, stop: CancellationToken) -> io::Result<Ending> {
        let place = core.place.clone();
        let store = core.store.apart();
        let outage = Outage::new("keep");
        let keeper = Self { core, store, outage, has_joined: false, warned_of_skew: false };
        if let Place::Together(gate) = place {
            return Ok(Ending::task(&*gate, Part::Keeper, keeper.run(stop)));
        }

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new()
            .name("taskshed-keeper".into())
            .spawn(move || runtime.block_on(keeper.run(stop)))?;
        Ok(Ending::Thread(thread))
    }

    async fn run(mut self, stop: CancellationToken) {
        let every = renew_every(self.core.config.lease);
        let mut rounds = Rounds::new();
        let mut due_at = self.core.clock.steady();
        loop {
            let now = self.core.clock.steady();
            if now >= due_at && rounds.len() < ROUNDS_IN_FLIGHT_MAX {
                let wait = if rounds.is_empty() { every } else { every / 2 };
                due_at = now + wait;
                self.send(&rounds);
            }
            let next_end = self.distrust(now);
            let wake_at = next_end.map_or(due_at, |end| end.min(due_at));
            let wait = wake_at.saturating_sub(now).max(Duration::from_millis(1));
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(round) = rounds.next() => due_at = self.learn(round, due_at),
                () = self.core.beat.notified() => due_at = self.core.clock.steady(),
                () = self.core.clock.sleep(wait) => {}
            }
        }
        if self.core.is_draining() {
            self.leave(rounds).await;
        }
    }

    /// Beats and prolongs all claims: one call for each thousand of them.
    fn send(&self, rounds: &Rounds) {
        let mut claims = self.core.claims.to_keep();
        let mut beat = Some(self.beat(false));
        loop {
            let rest = claims.split_off(claims.len().min(BATCH_MAX));
            let keep = Keep { beat: beat.take(), claims, ttl: self.core.config.lease };
            let (core, store) = (Arc::clone(&self.core), Arc::clone(&self.store));
            rounds.push(Box::pin(async move {
                let sent = core.clock.steady();
                let kept = store.keep(&keep).await;
                Round { sent, kept, claims: keep.claims }
            }));
            if rest.is_empty() {
                return;
            }
            claims = rest;
        }
    }

    /// Learns from an answer. Answers when the next call is due: after a failure sooner.
    fn learn(&mut self, round: Round, due_at: Duration) -> Duration {
        let arrived = self.core.clock.steady();
        let kept = match round.kept {
            Ok(kept) => kept,
            Err(error) => {
                self.outage.note(&error);
                return due_at.min(arrived + self.soon());
            }
        };

        self.outage.over();
        self.core.observe(kept.now, round.sent);
        self.core.heard(arrived);
        // Before trust is prolonged, or a run that waits for it starts under a lost lease (T9).
        let (claim_count, lost_count) = self.core.claims.lose(&kept.lost);
        self.core.metrics.lost(claim_count);
        let mut claims = round.claims;
        claims.retain(|claim| !kept.unanswered.contains(claim));
        self.core.claims.trust(&claims, round.sent + trusted_for(self.core.config.lease));
        if lost_count > 0 {
            warn!(count = lost_count, "leases are lost; their runs are stopped");
        }
        self.core.claims.stop(&kept.stop);
        if kept.drain && !self.core.is_draining() {
            info!(node = %self.core.config.name, "the node was told to drain");
            self.core.drain();
        }
        self.core.seen.note(round.sent, kept.now, kept.leader.as_ref());
        self.note_skew(kept.leader.map(|leader| leader.term));
        if !self.has_joined {
            self.has_joined = true;
            info!(node = %self.core.config.name, "the node joined the cluster");
            self.core.events.tell(Event::Joined { node: self.core.config.name.clone() });
        }
        if kept.unanswered.is_empty() { due_at } else { due_at.min(arrived + self.soon()) }
    }

    /// When to try again after a call that did not go well.
    fn soon(&self) -> Duration {
        renew_every(self.core.config.lease) / 2
    }

    /// Stops exclusive runs whose claims are not trusted any more. Answers when to look next.
    fn distrust(&self, steady: Duration) -> Option<Duration> {
        let (stopped_count, next_end) = self.core.claims.distrust(steady);
        if stopped_count > 0 {
            warn!(
                count = stopped_count,
                "the store was silent for too long; exclusive runs are stopped"
            );
        }
        next_end
    }

    fn note_skew(&mut self, term: Option<Term>) {
        let skew_us = self.core.store_time.skew_us();
        self.core.metrics.beat(skew_us, term);
        self.core.skew_us.store(skew_us, std::sync::atomic::Ordering::Relaxed);
        let is_far = skew_us.abs() > SKEW_WARNED_US;
        if is_far && !self.warned_of_skew {
            warn!(skew_us, "this machine's clock is far from the store's, which decides");
        }
        self.warned_of_skew = is_far;
    }

    /// Tells the cluster that the node is gone, so that nobody waits for its next beat. Calls that are
    /// under way come first: a beat that a server takes after the last word brings the node back.
    async fn leave(&self, mut rounds: Rounds) {
        let keep =
            Keep { beat: Some(self.beat(true)), claims: Vec::new(), ttl: self.core.config.lease };
        let last_word = async {
            while rounds.next().await.is_some() {}
            self.store.keep(&keep).await.is_ok()
        };
        let left = tokio::select! {
            biased;
            left = last_word => left,
            () = self.core.clock.sleep(LEAVE_TIMEOUT) => false,
        };
        info!(node = %self.core.config.name, told = left, "the node left the cluster");
        self.core.events.tell(Event::Left { node: self.core.config.name.clone() });
    }

    fn beat(&self, leaving: bool) -> Beat {
        let config = &self.core.config;
        // Whoever counts on it to serve a queue would wait in vain for one that claims nothing.
        let served = if self.core.runs_tasks() { &config.queues[..] } else { &[] };
        Beat {
            node: config.name.clone(),
            process: self.core.process.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            queues: served.iter().map(|queue| queue.queue.clone()).collect(),
            callbacks: self.core.callbacks.clone(),
            concurrency: config.concurrency,
            running: self.core.slots.used(),
            draining: self.core.is_draining(),
            skew_us: self.core.skew_us.load(std::sync::atomic::Ordering::Relaxed),
            leaving,
        }
    }
}
