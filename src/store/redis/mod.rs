//! Tasks in Redis: each call is one script, which the server runs as one step.
//!
//! `keys` lists what is kept where, the scripts in `lua/` say what they guard. No policy lives
//! there: acks and reclaims carry finished verdicts, and scripts never decode a spec (their JSON
//! turns `[]` into `{}` and rounds large integers).
//!
//! # What is not here
//!
//! Repeats: a call that failed is repeated by its caller.

mod add;
mod address;
mod answers;
mod check;
mod cluster;
mod failure;
mod fitness;
mod hints;
mod keys;
mod lanes;
mod leadership;
mod link;
mod python;
mod queue;
mod record;
mod restore;
mod script;
mod sentinel;
mod tasks;
mod url;
mod verdict;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::Cmd;
use redis::FromRedisValue;

use crate::clock::Clock;
use crate::domain::durability::Durability;
use crate::domain::time::Timestamp;
use crate::domain::time::as_us;
use crate::store::Finding;
use crate::store::Migrated;
use crate::store::Options;
use crate::store::Result;
use crate::store::Store;

pub use cluster::ClusterStore;
pub(super) use python::PythonQueue;

use address::Address;
use answers::Answers;
use check::Wishes;
use fitness::Demand;
use lanes::LANES;
use lanes::Lanes;
use link::Link;
use script::Script;

/// A store in a Redis or Valkey server.
pub struct RedisStore {
    /// For reads, and for writes that need not wait for replicas.
    link: Link,
    /// For writes that do.
    lanes: Option<Lanes>,
    prefix: String,
    share: Share,
    options: Options,
    clock: Option<Arc<dyn Clock>>,
    answers: Answers,
}

/// Which of the partitions of a namespace a store keeps.
#[derive(Clone, Copy, Debug)]
struct Share {
    partition: usize,
    /// How many there are.
    of: usize,
    /// How many writes may wait for replicas at once.
    lanes: usize,
}

impl Share {
    /// All of it.
    const WHOLE: Self = Self { partition: 0, of: 1, lanes: LANES };
}

impl RedisStore {
    /// A store at `url`: `redis://`, `rediss://` (TLS), `redis+unix://` or `redis+sentinel://`.
    /// Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`Error::Unusable`](crate::store::Error::Unusable) if the URL cannot be read; the password is not in the message.
    pub fn open(url: &str, options: Options) -> Result<Self> {
        Ok(Self::at(Address::parse(url)?, options, None, Share::WHOLE))
    }

    /// The same store by another clock than the server's, so that tests own time.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    fn at(address: Address, options: Options, clock: Option<Arc<dyn Clock>>, share: Share) -> Self {
        let prefix = keys::prefix(&options.namespace, share.partition);
        let fsync = options.durability == Durability::Fsync;
        let demand = Demand { primary: address.moves(), fsync };
        let lanes = match options.durability {
            Durability::Memory | Durability::Fsync => None,
            Durability::Replicated(replicas) => {
                Some(Lanes::new(share.lanes, &address, demand, replicas))
            }
        };
        let link = Link::new(address, demand);
        Self { link, lanes, prefix, share, options, clock, answers: Answers::default() }
    }

    /// A call of a script with the now that it is to use.
    fn call(&self, script: &Script) -> Cmd {
        let mut call = script.call(&self.prefix, self.lanes.is_some());
        match &self.clock {
            Some(clock) => call.arg(clock.wall().as_us()),
            None => call.arg(""),
        };
        call
    }

    /// Calls a script, and waits until what it wrote is as durable as it is to be.
    async fn run<T: FromRedisValue>(
        &self,
        method: &'static str,
        script: &Script,
        call: Cmd,
    ) -> Result<T> {
        match &self.lanes {
            Some(lanes) if script.writes() => lanes.run(method, script, &call).await,
            _ => self.link.run(method, script, call).await,
        }
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Writes the schema version if there is none; refuses another one.
    async fn note_schema(&self, method: &'static str) -> Result<()> {
        let layout = keys::layout(self.share.of);
        let mut call = self.call(&script::PREPARE);
        call.arg(&layout);
        let found: String = self.run(method, &script::PREPARE, call).await?;
        if found == layout { Ok(()) } else { Err(keys::refused(&found, self.share.of)) }
    }

    /// Lets the next calls use new connections: one that was not waited for any longer may hang.
    fn give_up(&self) {
        self.link.give_up();
        if let Some(lanes) = &self.lanes {
            lanes.give_up();
        }
    }

    fn keep_cancelled_us(&self) -> i64 {
        as_us(self.options.keep_cancelled)
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("address", &self.link)
            .field("namespace", &self.options.namespace)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for RedisStore {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn apart(&self) -> Arc<dyn Store> {
        let address = self.link.address().clone();
        Arc::new(Self::at(address, self.options.clone(), self.clock.clone(), self.share))
    }

    async fn migrate(&self) -> Result<Migrated> {
        self.note_schema("migrate").await?;
        Ok(Migrated::default())
    }

    async fn prepare(&self) -> Result<()> {
        check::prepare(&self.link).await?;
        self.note_schema("prepare").await
    }

    async fn now(&self) -> Result<Timestamp> {
        if let Some(clock) = &self.clock {
            return Ok(clock.wall());
        }
        let answer = self.link.send("now", &redis::cmd("TIME")).await?;
        let (seconds, micros): (i64, i64) = failure::read("now", answer)?;
        Ok(Timestamp::from_us(seconds * 1_000_000 + micros))
    }

    async fn check(&self, lease: Duration) -> Result<Vec<Finding>> {
        let fails_over = self.link.address().moves();
        let clustered = self.link.address().is_clustered();
        let wishes = Wishes { durability: self.options.durability, fails_over, clustered, lease };
        check::check(&self.link, &self.key("corrupt"), wishes).await
    }
}
