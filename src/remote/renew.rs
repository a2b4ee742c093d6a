//! A worker prolongs its lease, and hears which of its tasks are to stop.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::id::ClaimId;
use crate::domain::id::NodeName;
use crate::domain::id::ProcessId;
use crate::domain::id::TaskId;
use crate::domain::lease::remote_grace;
use crate::domain::task::TaskRecord;
use crate::domain::time::Timestamp;
use crate::store::Claim;
use crate::store::Error;
use crate::store::Fetch;
use crate::store::Holder;
use crate::store::HolderKind;
use crate::store::Keep;
use crate::store::Result;
use crate::store::SuspectRoom;

use super::Desk;
use super::Renewed;
use super::watch::TimedRun;

impl Desk {
    /// Prolongs a lease to `lease` from the store's now, or answers `None` if it is gone.
    ///
    /// Cost: one round trip; one more for a claim that this node does not know, or of which a task has
    /// timed out.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`]: repeat it.
    pub async fn renew(&self, claim: &ClaimId, lease: Duration) -> Result<Option<Renewed>> {
        let keep = Keep { beat: None, claims: vec![claim.clone()], ttl: lease };
        let kept = self.store.keep(&keep).await?;
        if kept.lost.contains(claim) {
            self.watches.drop_claim(claim);
            return Ok(None);
        }
        if kept.unanswered.contains(claim) {
            let source = "the part of the store that keeps the claim did not answer".into();
            return Err(Error::Unavailable { method: "keep", source });
        }

        let until = self.clock.steady().saturating_add(lease);
        if !self.watches.prolong(claim, until) {
            let (tasks, now) = self.held(claim).await?;
            self.watches.learn(claim, self.runs_of(&tasks, now), until);
        }
        let over = self.watches.over(claim, self.clock.steady());
        let timed_out = self.still_held(claim, over).await?.into_iter().map(|task| task.id);
        Ok(Some(Renewed {
            expires_at: kept.now.plus(lease),
            cancelled: kept.stop.into_iter().map(|stop| stop.task).collect(),
            timed_out: timed_out.collect(),
        }))
    }

    /// The tasks that a claim holds, from a repeat of it that names no queue and so takes nothing.
    async fn held(&self, claim: &ClaimId) -> Result<(Vec<TaskRecord>, Timestamp)> {
        let lease = Duration::from_secs(1);
        let node = NodeName::parse("?").expect("one letter is a name");
        let process = ProcessId::parse("?").expect("one letter is an id");
        let repeat = Claim {
            id: claim.clone(),
            holder: Holder { node, process, kind: HolderKind::Remote },
            queues: Vec::new(),
            callbacks: Some(Arc::from([])),
            limit: 1,
            ttl: lease,
            grace: remote_grace(lease),
            ahead: Duration::ZERO,
            suspects: SuspectRoom::default(),
            wait: false,
        };
        let claimed = self.store.claim(&repeat).await?;
        Ok((claimed.tasks, claimed.now))
    }

    /// Those of the runs that their claim still holds, as far as the store knows: outcomes may have come
    /// through other nodes.
    pub(super) async fn still_held(
        &self,
        claim: &ClaimId,
        runs: Vec<TimedRun>,
    ) -> Result<Vec<TaskRecord>> {
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<TaskId> = runs.iter().map(|run| run.task.clone()).collect();
        let found = self.store.fetch(&Fetch { ids, watch: None }).await?;
        let mut held = Vec::new();
        let mut gone = Vec::new();
        for (run, task) in runs.into_iter().zip(found) {
            let is_held = |task: &TaskRecord| {
                let lease = task.lease.as_ref();
                lease.is_some_and(|lease| lease.claim_id == *claim && lease.fence == run.fence)
            };
            match task.filter(is_held) {
                Some(task) => held.push(task),
                None => gone.push(run.task),
            }
        }
        self.watches.forget(claim, &gone);
        Ok(held)
    }
}
