//! Takes due tasks.
//!
//! One claim at a time: for as many tasks as there are free slots, a moment ahead of their `run_at`.
//! Between claims the loop sleeps until just before the next task, until it is hinted at new work, or
//! until a slot is free again.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::debug;
use tracing::warn;

use crate::domain::lease::node_grace;
use crate::domain::lease::renew_every;
use crate::domain::lease::trusted_for;
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
}

/// A claim that was answered.
struct Answered {
    claim: Claim,
    /// Steady count from before the request was first sent.
    sent: Duration,
    claimed: Claimed,
}

impl Claimer {
    pub(super) fn new(core: Arc<Core>, runner: Arc<Runner>, ahead: Ahead) -> Self {
        let pace = Pace::new(core.config.wake);
        let order = QueueOrder::new(&core.config);
        Self { core, runner, ahead, pace, order, isolated_until: None }
    }

    /// Claims until `stop`. A claim that is under way is waited for, so that its tasks can be handed
    /// back. `hints` are asked for anew whenever they break.
    pub(super) async fn run(mut self, hints: Arc<HintBox>, stop: CancellationToken) {
        loop {
            self.pace.set_hints(hints.come());
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wait(&hints) => {}
            }
            if let Some(answered) = self.claim(&stop).await {
                self.take(answered).await;
            }
        }
    }

    /// Returns when it is time to claim.
    async fn wait(&mut self, hints: &HintBox) {
        self.wait_for_room().await;
        let length = self.pace.wait(self.core.store_time.now(), self.core.dice.fraction());
        if length.is_zero() {
            return;
        }

        let (held, suspects) = (self.core.slots.held(), self.core.slots.suspects());
        let is_held_up = self.pace.is_held_up();
        // A store does not name the tasks for which this node had no room.
        let has_room =
            |slots: &Slots| slots.suspects() < suspects || (is_held_up && slots.held() < held);
        tokio::select! {
            () = hints.hinted(), if self.pace.wants_hints() => self.pace.hint(),
            () = self.core.slots.wait_until(has_room) => self.pace.hint(),
            () = self.core.clock.sleep(length) => {}
        }
        self.wait_for_room().await;
    }

    /// Returns when there is a free slot; while a task waits to run alone, when all are free.
    async fn wait_for_room(&mut self) {
        if let Some(until) = self.isolated_until {
            let left = until.saturating_sub(self.core.clock.steady());
            tokio::select! {
                () = self.core.slots.wait_until(|slots| slots.held() == 0) => {}
                () = self.core.clock.sleep(left) => {}
            }
            self.isolated_until = None;
            self.pace.hint();
        }
        self.core.slots.wait_until(|slots| slots.free() > 0).await;
    }

    /// Makes one claim and repeats it, under the same id, until it is answered or its lease would be
    /// over, or the node is to stop.
    async fn claim(&self, stop: &CancellationToken) -> Option<Answered> {
        let claim = self.wish();
        let mut outage = Outage::new("claim");
        let sent = self.core.clock.steady();
        loop {
            let sent_again = self.core.clock.steady();
            match self.core.store.claim(&claim).await {
                Ok(claimed) => {
                    let arrived = self.core.clock.steady();
                    if self.core.store_time.observe(claimed.now, sent_again, arrived) {
                        self.ahead.look_again();
                    }
                    outage.over();
                    return Some(Answered { claim, sent, claimed });
                }
                Err(error) => {
                    tokio::select! {
                        () = stop.cancelled() => return None,
                        () = outage.wait(&self.core, &error) => {}
                    }
                }
            }
            if self.core.clock.steady() >= sent + claim.ttl {
                debug!("a claim is given up; if it had an effect its lease ends by itself");
                return None;
            }
        }
    }

    fn wish(&self) -> Claim {
        let core = &self.core;
        let lease = core.config.lease;
        Claim {
            id: core.dice.claim_id(&*core.clock),
            holder: core.holder(),
            queues: self.order.draw(&core.dice),
            callbacks: Some(core.callbacks.clone()),
            limit: core.slots.free().clamp(1, BATCH_MAX),
            ttl: lease,
            grace: node_grace(lease),
            ahead: CLAIM_AHEAD,
            suspects: core.slots.suspect_room(),
            wait: self.pace.wants_hints(),
        }
    }

    /// Holds what was claimed and starts it, now or at its `run_at`.
    async fn take(&mut self, answered: Answered) {
        let Answered { claim, sent, claimed } = answered;
        self.pace.learn(claim.limit, &claimed);
        for id in &claimed.corrupt {
            warn!(task.id = %id, "a record cannot be read and was set aside");
        }
        if claimed.isolate {
            self.isolated_until = Some(self.core.clock.steady() + ISOLATED_FOR);
        }
        if claimed.tasks.is_empty() {
            return;
        }

        let count = claimed.tasks.len();
        debug!(count, more = claimed.more, "tasks were claimed");
        self.core.slots.take(count);
        let trusted_until = sent + trusted_for(claim.ttl);
        let held = HeldClaim::new(claim.id, count, trusted_until);
        let mut runs = Vec::with_capacity(count);
        for task in claimed.tasks {
            self.core.slots.note_suspect(task.crashes);
            runs.push(Run::new(task, Arc::clone(&held)));
        }
        self.core.claims.hold(held, runs.clone());

        let left = trusted_until.saturating_sub(self.core.clock.steady());
        if left < renew_every(claim.ttl) {
            self.core.beat.notify_one();
        }
        self.start(runs).await;
    }

    async fn start(&self, runs: Vec<Arc<Run>>) {
        let now = self.core.store_time.now();
        let (due, later): (Vec<_>, Vec<_>) =
            runs.into_iter().partition(|run| run.task.run_at <= now);
        if !due.is_empty() {
            self.runner.start(due);
        }
        if later.is_empty() {
            return;
        }
        for run in self.ahead.wait(later) {
            self.runner.release(run).await;
        }
    }
}
