//! Tasks in this process: the readable reference of the contract.
//!
//! One `State` behind one mutex, and a clock that is handed in. Each method of the contract is one
//! plain function over the state and the store's now, so it is one atomic step; none of them waits.
//!
//! A task is only ever changed by taking it out of the state and putting it back: what takes it out
//! removes it from every index, and what puts it back enters it into those that it belongs to. So a
//! record is in exactly the indexes that its state implies (T10).
//!
//! # What is not here
//!
//! Durability: tasks end with the process. Records cannot be damaged, and nothing is ever repaired.

mod ack;
mod add;
mod change;
mod claim;
mod hints;
mod leader;
mod list;
mod restore;
mod state;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Clock;
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
use crate::store::Options;
use crate::store::Page;
use crate::store::Queue;
use crate::store::Reclaim;
use crate::store::Resign;
use crate::store::Restore;
use crate::store::Restored;
use crate::store::Result;
use crate::store::Severity;
use crate::store::Stats;
use crate::store::Store;
use crate::store::TaskRecord;
use crate::store::Tasks;

use state::State;

/// A store in this process. Clones share the tasks.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

impl MemoryStore {
    /// An empty store whose clock is the wall of `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, options: Options) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(options))), clock }
    }

    /// A store of its own that holds what this one holds now, as a replica does. Nobody waits for
    /// hints at it. For simulations of a failover that loses writes.
    ///
    /// Cost: grows with the tasks.
    #[must_use]
    pub fn fork(&self) -> Self {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Self { state: Arc::new(Mutex::new(state.clone())), clock: Arc::clone(&self.clock) }
    }

    /// One atomic step at the store's now; hints that it gathered are given inside it.
    fn step<T>(&self, act: impl FnOnce(&mut State, Timestamp) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.wall();
        let reply = act(&mut state, now);
        state.hinting.give();
        reply
    }
}

#[async_trait]
impl Tasks for MemoryStore {
    async fn add(&self, add: &Add) -> Result<Added> {
        Ok(self.step(|state, now| state.add(add, now)))
    }

    async fn fetch(&self, fetch: &Fetch) -> Result<Vec<Option<TaskRecord>>> {
        Ok(self.step(|state, now| state.fetch(fetch, now)))
    }

    async fn list(&self, list: &List) -> Result<Page> {
        self.step(|state, _| state.list(list))
    }

    async fn change(&self, change: &Change) -> Result<Changed> {
        Ok(self.step(|state, now| state.change(change, now)))
    }

    async fn stats(&self) -> Result<Stats> {
        Ok(self.step(|state, now| state.stats(now)))
    }

    async fn restore(&self, restore: &Restore) -> Result<Restored> {
        Ok(self.step(|state, now| state.restore(restore, now)))
    }

    async fn set_queue(&self, queue: &QueueName, gate: Gate) -> Result<()> {
        self.step(|state, _| state.set_queue(queue, gate));
        Ok(())
    }
}

#[async_trait]
impl Queue for MemoryStore {
    async fn claim(&self, claim: &Claim) -> Result<Claimed> {
        Ok(self.step(|state, now| state.claim(claim, now)))
    }

    async fn keep(&self, keep: &Keep) -> Result<Kept> {
        Ok(self.step(|state, now| state.keep(keep, now)))
    }

    async fn drain(&self, node: &NodeName) -> Result<bool> {
        Ok(self.step(|state, _| state.drain(node)))
    }

    async fn ack(&self, items: &[AckItem]) -> Result<Vec<Acked>> {
        Ok(self.step(|state, now| state.ack(items, now)))
    }

    async fn hints(&self, process: &ProcessId) -> Result<Option<Box<dyn Hints>>> {
        Ok(Some(Box::new(self.step(|state, _| state.hinting.listen(process)))))
    }
}

#[async_trait]
impl Leadership for MemoryStore {
    async fn campaign(&self, campaign: &Campaign) -> Result<Leading> {
        Ok(self.step(|state, now| state.campaign(campaign, now)))
    }

    async fn resign(&self, resign: &Resign) -> Result<Option<Leader>> {
        Ok(self.step(|state, now| state.resign(resign, now)))
    }

    async fn leases(&self, look: &Look) -> Result<Led<Looked>> {
        Ok(self.step(|state, now| state.leases(look, now)))
    }

    async fn reclaim(&self, reclaim: &Reclaim) -> Result<Led<u64>> {
        Ok(self.step(|state, now| state.reclaim(reclaim, now)))
    }

    async fn maintain(&self, maintain: &Maintain) -> Result<Led<Maintained>> {
        Ok(self.step(|state, now| state.maintain(maintain, now)))
    }

    async fn declare(&self, declare: &Declare) -> Result<Led<()>> {
        Ok(self.step(|state, now| state.declare(declare, now)))
    }

    async fn cluster(&self) -> Result<Cluster> {
        Ok(self.step(|state, now| state.cluster(now)))
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn apart(&self) -> Arc<dyn Store> {
        Arc::new(self.clone())
    }

    async fn migrate(&self) -> Result<Migrated> {
        Ok(Migrated::default())
    }

    async fn prepare(&self) -> Result<()> {
        Ok(())
    }

    async fn now(&self) -> Result<Timestamp> {
        Ok(self.clock.wall())
    }

    async fn check(&self, _lease: Duration) -> Result<Vec<Finding>> {
        Ok(vec![Finding {
            severity: Severity::Advice,
            topic: "durability",
            found: "tasks live in this process and end with it".into(),
            advice: "use sqlite:PATH or redis://HOST:PORT/DB for tasks that must survive".into(),
        }])
    }
}
