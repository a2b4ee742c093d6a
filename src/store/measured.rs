//! A store whose calls are counted: one measurement per call, for every store.
//!
//! Stores themselves count nothing. What an answer tells of tasks and leases is counted here, too, as
//! far as one answer tells it; an ack tells less than who sent it knows, so its sender counts that.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Clock;
use crate::domain::id::NodeName;
use crate::domain::id::ProcessId;
use crate::domain::id::QueueName;
use crate::domain::task::TaskRecord;
use crate::domain::time::Timestamp;
use crate::metrics;
use crate::metrics::Method;
use crate::metrics::Metrics;
use crate::metrics::Trouble;

use super::AckItem;
use super::Acked;
use super::Add;
use super::AddOutcome;
use super::Added;
use super::Campaign;
use super::Change;
use super::Changed;
use super::Claim;
use super::Claimed;
use super::Cluster;
use super::Declare;
use super::Error;
use super::Fetch;
use super::Finding;
use super::Gate;
use super::Hints;
use super::Keep;
use super::Kept;
use super::Leader;
use super::Leadership;
use super::Leading;
use super::Led;
use super::List;
use super::Look;
use super::Looked;
use super::Maintain;
use super::Maintained;
use super::Migrated;
use super::Page;
use super::Queue;
use super::Reclaim;
use super::Resign;
use super::Restore;
use super::Restored;
use super::Result;
use super::Stats;
use super::Store;
use super::Tasks;

/// The same store, whose calls `metrics` counts; `clock` times them.
///
/// A node measures its own calls. Use it for a [`Scheduler`](crate::Scheduler) beside a node, so that
/// its adds are counted, too.
///
/// Cost: two looks at the clock and some additions a call.
#[must_use]
pub fn measured(store: Arc<dyn Store>, metrics: Metrics, clock: Arc<dyn Clock>) -> Arc<dyn Store> {
    Arc::new(Measured { inner: store, metrics, clock })
}

struct Measured {
    inner: Arc<dyn Store>,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Measured {
    /// Makes a call and counts it. One that is given up before its answer is not counted.
    async fn call<T>(
        &self,
        method: Method,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let sent = self.clock.steady();
        let answer = call.await;
        let took = self.clock.steady().saturating_sub(sent);
        let trouble = answer.as_ref().err().map(trouble);
        self.metrics.called(method, took, trouble);
        answer
    }

    fn note_added(&self, added: &Added) {
        let mut counts = [0; 4];
        for outcome in &added.outcomes {
            counts[how(outcome) as usize] += 1;
        }
        let all = [
            metrics::Added::Created,
            metrics::Added::Replaced,
            metrics::Added::Kept,
            metrics::Added::Duplicate,
        ];
        for (how, count) in all.into_iter().zip(counts) {
            self.metrics.added(how, count);
        }
    }
}

fn how(outcome: &AddOutcome) -> metrics::Added {
    match outcome {
        AddOutcome::Created => metrics::Added::Created,
        AddOutcome::Replaced => metrics::Added::Replaced,
        AddOutcome::Kept => metrics::Added::Kept,
        AddOutcome::Duplicate(_) => metrics::Added::Duplicate,
    }
}

fn trouble(error: &Error) -> Trouble {
    match error {
        Error::Unavailable { .. } => Trouble::Unavailable,
        Error::Full { .. } => Trouble::Full,
        _ => Trouble::Other,
    }
}

#[async_trait]
impl Tasks for Measured {
    async fn add(&self, add: &Add) -> Result<Added> {
        let added = self.call(Method::Add, self.inner.add(add)).await?;
        self.note_added(&added);
        Ok(added)
    }

    async fn fetch(&self, fetch: &Fetch) -> Result<Vec<Option<TaskRecord>>> {
        self.call(Method::Fetch, self.inner.fetch(fetch)).await
    }

    async fn list(&self, list: &List) -> Result<Page> {
        self.call(Method::List, self.inner.list(list)).await
    }

    async fn change(&self, change: &Change) -> Result<Changed> {
        self.call(Method::Change, self.inner.change(change)).await
    }

    async fn stats(&self) -> Result<Stats> {
        self.call(Method::Stats, self.inner.stats()).await
    }

    async fn restore(&self, restore: &Restore) -> Result<Restored> {
        self.call(Method::Restore, self.inner.restore(restore)).await
    }

    async fn set_queue(&self, queue: &QueueName, gate: Gate) -> Result<()> {
        self.call(Method::SetQueue, self.inner.set_queue(queue, gate)).await
    }
}

#[async_trait]
impl Queue for Measured {
    async fn claim(&self, claim: &Claim) -> Result<Claimed> {
        let claimed = self.call(Method::Claim, self.inner.claim(claim)).await?;
        // Without a queue it is a look at what a claim holds.
        if !claim.queues.is_empty() {
            self.metrics.claimed(claimed.tasks.len());
        }
        Ok(claimed)
    }

    fn claim_max(&self) -> usize {
        self.inner.claim_max()
    }

    async fn keep(&self, keep: &Keep) -> Result<Kept> {
        let kept = self.call(Method::Keep, self.inner.keep(keep)).await?;
        let not_kept = kept.lost.len() + kept.unanswered.len();
        self.metrics.renewed(keep.claims.len().saturating_sub(not_kept));
        Ok(kept)
    }

    async fn drain(&self, node: &NodeName) -> Result<bool> {
        self.call(Method::Drain, self.inner.drain(node)).await
    }

    async fn ack(&self, items: &[AckItem]) -> Result<Vec<Acked>> {
        self.call(Method::Ack, self.inner.ack(items)).await
    }

    async fn hints(&self, process: &ProcessId) -> Result<Option<Box<dyn Hints>>> {
        self.call(Method::Hints, self.inner.hints(process)).await
    }

    fn database(&self) -> Option<&(dyn Any + Send + Sync)> {
        self.inner.database()
    }
}

#[async_trait]
impl Leadership for Measured {
    async fn campaign(&self, campaign: &Campaign) -> Result<Leading> {
        self.call(Method::Campaign, self.inner.campaign(campaign)).await
    }

    async fn resign(&self, resign: &Resign) -> Result<Option<Leader>> {
        self.call(Method::Resign, self.inner.resign(resign)).await
    }

    async fn leases(&self, look: &Look) -> Result<Led<Looked>> {
        self.call(Method::Leases, self.inner.leases(look)).await
    }

    async fn reclaim(&self, reclaim: &Reclaim) -> Result<Led<u64>> {
        self.call(Method::Reclaim, self.inner.reclaim(reclaim)).await
    }

    async fn maintain(&self, maintain: &Maintain) -> Result<Led<Maintained>> {
        self.call(Method::Maintain, self.inner.maintain(maintain)).await
    }

    async fn declare(&self, declare: &Declare) -> Result<Led<()>> {
        self.call(Method::Declare, self.inner.declare(declare)).await
    }

    async fn cluster(&self) -> Result<Cluster> {
        self.call(Method::Cluster, self.inner.cluster()).await
    }
}

#[async_trait]
impl Store for Measured {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn part(&self, name: &str) -> usize {
        self.inner.part(name)
    }

    fn apart(&self) -> Arc<dyn Store> {
        measured(self.inner.apart(), self.metrics.clone(), Arc::clone(&self.clock))
    }

    async fn migrate(&self) -> Result<Migrated> {
        self.call(Method::Migrate, self.inner.migrate()).await
    }

    async fn prepare(&self) -> Result<()> {
        self.call(Method::Prepare, self.inner.prepare()).await
    }

    async fn now(&self) -> Result<Timestamp> {
        self.call(Method::Now, self.inner.now()).await
    }

    async fn check(&self, lease: Duration) -> Result<Vec<Finding>> {
        self.call(Method::Check, self.inner.check(lease)).await
    }
}
