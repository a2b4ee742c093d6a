//! A worker takes tasks, and may wait for them.

use std::panic::resume_unwind;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use tracing::warn;

use crate::domain::id::ProcessId;
use crate::domain::lease::remote_grace;
use crate::domain::state::Outcome;
use crate::events::Event;
use crate::store::BATCH_MAX;
use crate::store::Claim;
use crate::store::Claimed;
use crate::store::Error;
use crate::store::Holder;
use crate::store::HolderKind;
use crate::store::Result;
use crate::store::SuspectRoom;

use super::Desk;
use super::Given;
use super::Handed;
use super::Wish;
use super::hinted::Hinted;
use super::name;
use super::pace::Pace;

impl Desk {
    /// Takes due tasks for a worker, or waits for them, at most as long as `wait` and until `over`.
    ///
    /// Repeating a claim with the id that the worker chose returns the tasks that it still holds,
    /// through any node.
    ///
    /// Cost: one round trip. While it waits: one at each hint and at each next `run_at`, at least one in
    /// about five seconds, and a connection for hints; on a store without hints two a second.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if the store does not answer at first, or not at the end of the wait.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future claims nothing more. What a call under way brings is handed back at once,
    /// unless the worker chose the claim's id and may repeat it.
    pub async fn claim(
        &self,
        wish: &Wish,
        wait: Duration,
        over: &CancellationToken,
    ) -> Result<Given> {
        let until = self.clock.steady().saturating_add(wait);
        let is_repeatable = wish.claim_id.is_some();
        let mut claim = self.asks_for(wish);
        let asked_at = self.clock.steady();
        let claimed = self.take(&claim, is_repeatable).await?;
        if wait.is_zero() || !claimed.tasks.is_empty() {
            return Ok(self.given(wish, claimed, asked_at));
        }

        let mut hinted = Hinted::listen(&*self.store, &claim.holder.process).await;
        let mut pace = Pace::default();
        loop {
            claim.wait = hinted.come();
            let asked_at = self.clock.steady();
            let answer = self.take(&claim, is_repeatable).await;
            let left = until.saturating_sub(self.clock.steady());
            let is_over = left.is_zero() || over.is_cancelled();
            let nothing = match answer {
                Ok(claimed) if !claimed.tasks.is_empty() => {
                    return Ok(self.given(wish, claimed, asked_at));
                }
                Ok(_) if is_over => return Ok(Given::Nothing),
                Err(error) if is_over || !error.is_transient() => return Err(error),
                answer => answer.ok(),
            };
            let length = pace.wait(nothing.as_ref(), hinted.come(), self.fraction());
            tokio::select! {
                () = hinted.next() => pace.hint(),
                () = over.cancelled() => {}
                () = self.clock.sleep(length.min(left)) => {}
            }
        }
    }

    fn asks_for(&self, wish: &Wish) -> Claim {
        // One identity per worker: what it holds is shown together, and a suspect that waits for it
        // to become idle knows it again.
        let process = ProcessId::parse(wish.worker.as_str()).expect("a name is an id");
        let limit = wish.limit.clamp(1, BATCH_MAX);
        Claim {
            id: wish.claim_id.clone().unwrap_or_else(|| self.fresh_id()),
            holder: Holder { node: wish.worker.clone(), process, kind: HolderKind::Remote },
            queues: wish.queues.clone(),
            callbacks: wish.callbacks.clone(),
            limit,
            ttl: wish.lease,
            grace: remote_grace(wish.lease),
            ahead: Duration::ZERO,
            suspects: SuspectRoom { two: (limit / 8).max(1), three: 1, idle: false },
            wait: false,
        }
    }

    /// Makes one claim; one more if a suspect waits for a worker that turns out to be idle (N4).
    async fn take(&self, claim: &Claim, is_repeatable: bool) -> Result<Claimed> {
        let claimed = self.take_once(claim, is_repeatable).await?;
        if !claimed.isolate || !claimed.tasks.is_empty() {
            return Ok(claimed);
        }
        let cluster = self.store.cluster().await?;
        let holds = cluster.nodes.iter().any(|node| {
            node.kind == HolderKind::Remote && node.node == claim.holder.node && node.running > 0
        });
        if holds {
            return Ok(claimed);
        }
        let suspects = SuspectRoom { idle: true, ..claim.suspects };
        self.take_once(&Claim { suspects, ..claim.clone() }, is_repeatable).await
    }

    /// Makes one claim, in a task of its own, so that its reply finds somebody also when nobody waits
    /// for it any more.
    async fn take_once(&self, claim: &Claim, is_repeatable: bool) -> Result<Claimed> {
        let (told, asked) = oneshot::channel();
        let (desk, claim) = (self.clone(), claim.clone());
        let call = self.tracker.spawn(async move {
            let answer = desk.store.claim(&claim).await;
            if let Err(Ok(claimed)) = told.send(answer)
                && !is_repeatable
            {
                desk.put_back(claimed).await;
            }
        });
        let claimed = match asked.await {
            Ok(answer) => answer?,
            Err(gone) => match call.await.map_err(JoinError::try_into_panic) {
                Err(Ok(panic)) => resume_unwind(panic),
                _ => return Err(Error::Unavailable { method: "claim", source: Box::new(gone) }),
            },
        };
        for id in &claimed.corrupt {
            warn!(task.id = %id, "a record cannot be read and was set aside");
        }
        Ok(claimed)
    }

    /// Hands back what nobody will run: its client went away while the claim was under way.
    async fn put_back(&self, claimed: Claimed) {
        let Some(claim) = claimed.tasks.first().and_then(|task| task.lease.as_ref()) else {
            return;
        };
        let claim = claim.claim_id.clone();
        let handed = claimed.tasks.iter().filter_map(|task| {
            let fence = task.lease.as_ref()?.fence;
            Some(Handed { task: task.id.clone(), fence, outcome: Outcome::Released })
        });
        let handed: Vec<_> = handed.collect();
        let count = handed.len();
        match self.decide_and_ack(&claim, handed, claimed.tasks, claimed.now).await {
            Ok(_) => debug!(count, "a client went away; its tasks were put back"),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                warn!(
                    count,
                    error, "a client went away; its tasks wait for the end of their lease"
                );
            }
        }
    }

    /// Watches over what was claimed, and tells of it.
    fn given(&self, wish: &Wish, claimed: Claimed, asked_at: Duration) -> Given {
        let leases = claimed.tasks.iter().filter_map(|task| task.lease.as_ref());
        if leases.clone().any(|lease| lease.node != wish.worker) {
            return Given::Foreign;
        }
        let Some(lease) = leases.clone().next() else { return Given::Nothing };
        let left = lease.expires_at.since(claimed.now);
        self.watches.learn(
            &lease.claim_id,
            self.runs_of(&claimed.tasks, claimed.now),
            self.clock.steady().saturating_add(left),
        );
        self.tell_claimed(&claimed.tasks, asked_at);
        let others = self.metrics.others();
        for task in &claimed.tasks {
            others.began(claimed.now.since(task.run_at));
        }
        if self.events.has_listeners() {
            for task in &claimed.tasks {
                let lag = claimed.now.since(task.run_at);
                if let Some(run) = name(task) {
                    self.events.tell(Event::Started { run, lag });
                }
            }
        }
        Given::Tasks(claimed.tasks)
    }
}
