//! The roles of the contract, each method one step.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::id::NodeName;
use crate::domain::id::ProcessId;
use crate::domain::id::QueueName;
use crate::domain::time::Timestamp;
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
use crate::store::Finding;
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
use crate::store::Migrated;
use crate::store::Page;
use crate::store::Queue;
use crate::store::Reclaim;
use crate::store::Resign;
use crate::store::Restore;
use crate::store::Restored;
use crate::store::Result;
use crate::store::Stats;
use crate::store::Store;
use crate::store::TaskRecord;
use crate::store::Tasks;
use crate::store::sql::Ack;
use crate::store::sql::AskCluster;
use crate::store::sql::AskStats;
use crate::store::sql::Drain;
use crate::store::sql::Peek;
use crate::store::sql::SetQueue;
use crate::store::sql::Watch;

use super::SCHEMA;
use super::SqliteStore;
use super::check;
use super::link::Link;

#[async_trait]
impl Tasks for SqliteStore {
    async fn add(&self, add: &Add) -> Result<Added> {
        self.writer.step(add.clone()).await
    }

    async fn fetch(&self, fetch: &Fetch) -> Result<Vec<Option<TaskRecord>>> {
        match fetch.watch {
            None => self.writer.step(fetch.clone()).await,
            Some(_) => self.writer.step(Watch(fetch.clone())).await,
        }
    }

    async fn list(&self, list: &List) -> Result<Page> {
        self.writer.step(list.clone()).await
    }

    async fn change(&self, change: &Change) -> Result<Changed> {
        self.writer.step(change.clone()).await
    }

    async fn stats(&self) -> Result<Stats> {
        self.writer.step(AskStats).await
    }

    async fn restore(&self, restore: &Restore) -> Result<Restored> {
        self.writer.step(restore.clone()).await
    }

    async fn set_queue(&self, queue: &QueueName, gate: Gate) -> Result<()> {
        self.writer.step(SetQueue(queue.clone(), gate)).await
    }
}

#[async_trait]
impl Queue for SqliteStore {
    async fn claim(&self, claim: &Claim) -> Result<Claimed> {
        match self.writer.step(Peek(claim.clone())).await? {
            Some(nothing_due) => Ok(nothing_due),
            None => self.writer.step(claim.clone()).await,
        }
    }

    async fn keep(&self, keep: &Keep) -> Result<Kept> {
        self.writer.step(keep.clone()).await
    }

    async fn drain(&self, node: &NodeName) -> Result<bool> {
        self.writer.step(Drain(node.clone())).await
    }

    async fn ack(&self, items: &[AckItem]) -> Result<Vec<Acked>> {
        self.writer.step(Ack(items.to_vec())).await
    }

    async fn hints(&self, _process: &ProcessId) -> Result<Option<Box<dyn Hints>>> {
        Ok(None)
    }

    fn database(&self) -> Option<&(dyn Any + Send + Sync)> {
        Some(self)
    }
}

#[async_trait]
impl Leadership for SqliteStore {
    async fn campaign(&self, campaign: &Campaign) -> Result<Leading> {
        self.writer.step(campaign.clone()).await
    }

    async fn resign(&self, resign: &Resign) -> Result<Option<Leader>> {
        self.writer.step(resign.clone()).await
    }

    async fn leases(&self, look: &Look) -> Result<Led<Looked>> {
        self.writer.step(look.clone()).await
    }

    async fn reclaim(&self, reclaim: &Reclaim) -> Result<Led<u64>> {
        self.writer.step(reclaim.clone()).await
    }

    async fn maintain(&self, maintain: &Maintain) -> Result<Led<Maintained>> {
        self.writer.step(maintain.clone()).await
    }

    async fn declare(&self, declare: &Declare) -> Result<Led<()>> {
        self.writer.step(declare.clone()).await
    }

    async fn cluster(&self) -> Result<Cluster> {
        self.writer.step(AskCluster).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn apart(&self) -> Arc<dyn Store> {
        Arc::new(self.again())
    }

    async fn migrate(&self) -> Result<Migrated> {
        let made = self.writer.alone("migrate", Link::prepare).await?;
        let steps = if made { vec![format!("made the tables of schema {SCHEMA}")] } else { vec![] };
        Ok(Migrated { steps })
    }

    async fn prepare(&self) -> Result<()> {
        self.writer.alone("prepare", Link::prepare).await.map(|_| ())
    }

    async fn now(&self) -> Result<Timestamp> {
        Ok(self.home.clock.wall())
    }

    async fn check(&self, _lease: Duration) -> Result<Vec<Finding>> {
        self.writer.alone("check", check::check).await
    }
}
