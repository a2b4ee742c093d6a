//! The roles of the contract, each method one step.

use std::any::Any;

use async_trait::async_trait;

use crate::domain::id::NodeName;
use crate::domain::id::ProcessId;
use crate::domain::id::QueueName;
use crate::store::AckItem;
use crate::store::Acked;
use crate::store::Add;
use crate::store::Added;
use crate::store::Campaign;
use crate::store::Change;
use crate::store::Changed;
use crate::store::Claim;
use crate::store::Claimed;
use crate::store::Cluster;
use crate::store::Declare;
use crate::store::Fetch;
use crate::store::Gate;
use crate::store::Hints;
use crate::store::Keep;
use crate::store::Kept;
use crate::store::Leader;
use crate::store::Leadership;
use crate::store::Leading;
use crate::store::Led;
use crate::store::List;
use crate::store::Look;
use crate::store::Looked;
use crate::store::Maintain;
use crate::store::Maintained;
use crate::store::Page;
use crate::store::Queue;
use crate::store::Reclaim;
use crate::store::Resign;
use crate::store::Restore;
use crate::store::Restored;
use crate::store::Result;
use crate::store::Stats;
use crate::store::TaskRecord;
use crate::store::Tasks;
use crate::store::sql::Ack;
use crate::store::sql::AskCluster;
use crate::store::sql::AskStats;
use crate::store::sql::Drain;
use crate::store::sql::Peek;
use crate::store::sql::SetQueue;
use crate::store::sql::Watch;

use super::MysqlStore;

#[async_trait]
impl Tasks for MysqlStore {
    async fn add(&self, add: &Add) -> Result<Added> {
        self.step(add).await
    }

    async fn fetch(&self, fetch: &Fetch) -> Result<Vec<Option<TaskRecord>>> {
        match fetch.watch {
            None => self.step(fetch).await,
            Some(_) => self.step(&Watch(fetch.clone())).await,
        }
    }

    async fn list(&self, list: &List) -> Result<Page> {
        self.step(list).await
    }

    async fn change(&self, change: &Change) -> Result<Changed> {
        self.step(change).await
    }

    async fn stats(&self) -> Result<Stats> {
        self.step(&AskStats).await
    }

    async fn restore(&self, restore: &Restore) -> Result<Restored> {
        self.step(restore).await
    }

    async fn set_queue(&self, queue: &QueueName, gate: Gate) -> Result<()> {
        self.step(&SetQueue(queue.clone(), gate)).await
    }
}

#[async_trait]
impl Queue for MysqlStore {
    async fn claim(&self, claim: &Claim) -> Result<Claimed> {
        match self.step(&Peek(claim.clone())).await? {
            Some(nothing_due) => Ok(nothing_due),
            None => self.step(claim).await,
        }
    }

    async fn keep(&self, keep: &Keep) -> Result<Kept> {
        self.step(keep).await
    }

    async fn drain(&self, node: &NodeName) -> Result<bool> {
        self.step(&Drain(node.clone())).await
    }

    async fn ack(&self, items: &[AckItem]) -> Result<Vec<Acked>> {
        self.step(&Ack(items.to_vec())).await
    }

    async fn hints(&self, _process: &ProcessId) -> Result<Option<Box<dyn Hints>>> {
        Ok(None)
    }

    fn database(&self) -> Option<&(dyn Any + Send + Sync)> {
        Some(self)
    }
}

#[async_trait]
impl Leadership for MysqlStore {
    async fn campaign(&self, campaign: &Campaign) -> Result<Leading> {
        self.step(campaign).await
    }

    async fn resign(&self, resign: &Resign) -> Result<Option<Leader>> {
        self.step(resign).await
    }

    async fn leases(&self, look: &Look) -> Result<Led<Looked>> {
        self.step(look).await
    }

    async fn reclaim(&self, reclaim: &Reclaim) -> Result<Led<u64>> {
        self.step(reclaim).await
    }

    async fn maintain(&self, maintain: &Maintain) -> Result<Led<Maintained>> {
        self.step(maintain).await
    }

    async fn declare(&self, declare: &Declare) -> Result<Led<()>> {
        self.step(declare).await
    }

    async fn cluster(&self) -> Result<Cluster> {
        self.step(&AskCluster).await
    }
}
