//! Takes due tasks.
//!
//! A claim asks for tasks for free slots, a moment ahead of their `run_at`, and for no more than half
//! of all that may be taken, so that while there is more work the next one is under way as the last
//! is read. While runs are short, tasks are claimed before slots are free, see [`line`](super::line).
//! Between claims the loop sleeps until just before the next task, until it is hinted at new work, or
//! until a slot is free again.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use tracing::warn;

use crate::domain::lease::node_grace;
use crate::domain::lease::renew_every;
use crate::domain::lease::trusted_for;
use crate::domain::task::TaskRecord;
use crate::store::BATCH_MAX;
use crate::store::Claim;
use crate::store::Claimed;

use super::ahead::Ahead;
use super::claims::HeldClaim;
use super::core::Core;
use super::hints::HintBox;
use super::order::QueueOrder;
use super::outage::Outage;
use super::pace::CLAIM_AHEAD;
use super::pace::Pace;
use super::run::Run;
use super::runner::Runner;
use super::slots::Slots;

/// Most claims that are under way at once.
const CLAIMS_IN_FLIGHT_MAX: usize = 2;

/// A claim of so few is not halved: two calls for them would cost more than they bring.
const HALVED_ABOVE: usize = 32;

/// How long a node stays free for a task that must run alone: the store reserves it for as long.
const ISOLATED_FOR: Duration = Duration::from_secs(30);

/// The loop that claims.
#[derive(Debug)]
pub(super) struct Claimer {
    core: Arc<Core>,
    runner: Arc<Runner>,
    ahead: Ahead,
    pace: Pace,
    order: QueueOrder,
    /// Until then nothing is claimed unless the node is idle: a steady count.
    isolated_until: Option<Duration>,
    /// Whether the last claim may bring a task that must run alone.
    is_alone: bool,
}

/// A claim that was answered.
struct Answered {
    /// Steady count from before the request was first sent.
    sent: Duration,
    claimed: Claimed,
}

impl Claimer {
    pub(super) fn new(core: Arc<Core>, runner: Arc<Runner>, ahead: Ahead) -> Self {
        let pace = Pace::new(core.config.wake);
        let order = QueueOrder::new(&core.config);
        Self { core, runner, ahead, pace, order, isolated_until: None, is_alone: false }
    }

    /// Claims until `stop`. Claims that are under way are waited for, so that their tasks can be
    /// handed back. `hints` are asked for anew whenever they break.
    pub(super) async fn run(mut self, hints: Arc<HintBox>, stop: CancellationToken) {
        let core = Arc::clone(&self.core);
        let mut asked = FuturesUnordered::new();
        while !stop.is_cancelled() || !asked.is_empty() {
            self.pace.set_hints(hints.come());
            let under_way = asked.len();
            tokio::select! {
                biased;
                Some(end) = asked.next() => self.take(end),
                () = stop.cancelled(), if !stop.is_cancelled() => {}
                late = core.line.late(&*core.clock), if core.slots.are_exceeded() => {
                    debug!(count = late.len(), "tasks for which no slot became free are handed back");
                    self.runner.hand_back(late);
                }
                () = self.wait(&hints, under_way), if !stop.is_cancelled() => {
                    asked.push(ask(Arc::clone(&core), self.wish(), stop.clone()));
                }
            }
        }
    }

    /// Returns when it is time to claim, beside claims that are `under_way`.
    ///
    /// While there is more work than one claim can take, the next one is made as soon as half of
    /// what may be taken is free again, so that the store works while the node reads.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and asked again.
    async fn wait(&mut self, hints: &HintBox, under_way: usize) {
        let beyond = || self.core.line.beyond(self.core.clock.steady());
        self.core.slots.stretch(if self.pace.has_backlog() { beyond() } else { 0 });
        if under_way > 0 {
            if under_way >= CLAIMS_IN_FLIGHT_MAX || !self.pace.is_busy() || self.is_alone {
                std::future::pending::<()>().await;
            }
            self.core.slots.wait_until(Slots::are_mostly_free).await;
            return;
        }

        self.wait_for_room().await;
        let length = self.pace.wait(self.core.store_time.now(), self.core.dice.fraction());
        if length.is_zero() {
            return;
        }

        let (held, suspects) = (self.core.slots.held(), self.core.slots.suspects());
        let is_held_up = self.pace.is_held_up();
        // A store does not name each task for which this node had no room.
        let has_room =
            |slots: &Slots| slots.suspects() < suspects || (is_held_up && slots.held() < held);
        tokio::select! {
            biased;
            () = hints.hinted(), if self.pace.wants_hints() => self.pace.hint(),
            () = self.core.slots.wait_until(has_room) => self.pace.hint(),
            () = self.core.clock.sleep(length) => {}
        }
        self.wait_for_room().await;
    }

    /// Returns when there is room for some tasks; while one waits to run alone, when nothing runs.
    async fn wait_for_room(&mut self) {
        if let Some(until) = self.isolated_until {
            let left = until.saturating_sub(self.core.clock.steady());
            tokio::select! {
                biased;
                () = self.core.slots.wait_until(|slots| slots.held() == 0) => {}
                () = self.core.clock.sleep(left) => {}
            }
            self.isolated_until = None;
            self.pace.hint();
        }
        self.core.slots.wait_until(Slots::want_some).await;
    }

    /// A new claim, with slots reserved for all that it may bring.
    fn wish(&mut self) -> Claim {
        let core = &self.core;
        let lease = core.config.lease;
        let most = (core.slots.room() / 2).max(HALVED_ABOVE).min(core.store.claim_max());
        let limit = core.slots.free().min(most).clamp(1, BATCH_MAX);
        // A hint is for a node that has a slot for what is hinted at.
        let wait = self.pace.wants_hints() && !core.slots.would_exceed(limit);
        let suspects = core.slots.suspect_room();
        core.slots.reserve(limit);
        self.is_alone = suspects.idle;
        Claim {
            id: core.dice.claim_id(&*core.clock),
            holder: core.holder(),
            queues: self.order.draw(&core.dice),
            callbacks: Some(core.callbacks.clone()),
            limit,
            ttl: lease,
            grace: node_grace(lease),
            ahead: CLAIM_AHEAD,
            suspects,
            wait,
        }
    }

    /// Holds what was claimed and starts it, now or at its `run_at`.
    fn take(&mut self, (claim, answered): (Claim, Option<Answered>)) {
        let count = answered.as_ref().map_or(0, |answered| answered.claimed.tasks.len());
        self.core.slots.take(count, claim.limit);
        let Some(Answered { sent, claimed }) = answered else { return };
        self.pace.learn(claim.limit, &claimed);
        if !self.pace.has_backlog() && !claim.wait && self.pace.wants_hints() {
            // The next claim, for which there is a slot, asks for hints.
            self.pace.hint();
        }
        for id in &claimed.corrupt {
            warn!(task.id = %id, "a record cannot be read and was set aside");
        }
        if claimed.isolate {
            self.isolated_until = Some(self.core.clock.steady() + ISOLATED_FOR);
        }
        if claimed.tasks.is_empty() {
            return;
        }

        debug!(count, more = claimed.more, "tasks were claimed");
        let trusted_until = sent + trusted_for(claim.ttl);
        let times = (sent, self.core.clock.steady());
        let held = HeldClaim::new(claim.id, count, trusted_until, times);
        let mut runs = Vec::with_capacity(count);
        for mut task in claimed.tasks {
            self.core.slots.note_suspect(task.crashes);
            self.share_callback(&mut task);
            runs.push(Run::new(task, Arc::clone(&held)));
        }
        self.core.claims.hold(held, runs.clone());

        let left = trusted_until.saturating_sub(self.core.clock.steady());
        if left < renew_every(claim.ttl) {
            self.core.beat.notify_one();
        }
        self.start(runs);
    }

    /// Lets all runs share the words for their callback.
    fn share_callback(&self, task: &mut TaskRecord) {
        let callbacks = &self.core.callbacks;
        let known = callbacks.binary_search(&task.spec.callback).map(|index| &callbacks[index]);
        if let (Ok(known), Some(spec)) = (known, Arc::get_mut(&mut task.spec)) {
            spec.callback = known.clone();
        }
    }

    fn start(&self, runs: Vec<Arc<Run>>) {
        let now = self.core.store_time.now();
        let (due, later): (Vec<_>, Vec<_>) =
            runs.into_iter().partition(|run| run.task.run_at <= now);
        if !due.is_empty() {
            self.runner.start(due);
        }
        if !later.is_empty() {
            self.runner.hand_back(self.ahead.wait(later));
        }
    }
}

/// Makes one claim and repeats it, under the same id, until it is answered or its lease would be
/// over, or the node is to stop.
async fn ask(core: Arc<Core>, claim: Claim, stop: CancellationToken) -> (Claim, Option<Answered>) {
    let mut outage = Outage::new("claim");
    let sent = core.clock.steady();
    loop {
        let sent_again = core.clock.steady();
        match core.store.claim(&claim).await {
            Ok(claimed) => {
                core.observe(claimed.now, sent_again);
                outage.over();
                return (claim, Some(Answered { sent, claimed }));
            }
            Err(error) => {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return (claim, None),
                    () = outage.wait(&core, &error) => {}
                }
            }
        }
        if core.clock.steady() >= sent + claim.ttl {
            debug!("a claim is given up; if it had an effect its lease ends by itself");
            return (claim, None);
        }
    }
}
