//! Tasks in Redis: every method of the contract is one script, which the server runs as one step.
//!
//! `keys` lists what is kept where, the scripts in `lua/` say what they guard. No policy lives
//! there: acks and reclaims carry finished verdicts, and scripts never decode a spec (their JSON
//! turns `[]` into `{}` and rounds large integers).
//!
//! # What is not here
//!
//! Repeats: a call that failed is repeated by its caller. Redis Cluster is refused for now.

mod check;
mod hints;
mod keys;
mod leadership;
mod link;
mod queue;
mod record;
mod script;
mod tasks;
mod verdict;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use redis::Cmd;

use crate::clock::Clock;
use crate::domain::time::Timestamp;
use crate::domain::time::as_us;
use crate::store::Error;
use crate::store::Finding;
use crate::store::Options;
use crate::store::Result;
use crate::store::Store;

use link::Address;
use link::Link;
use script::Script;

/// A store in a Redis or Valkey server.
pub struct RedisStore {
    link: Link,
    prefix: String,
    options: Options,
    clock: Option<Arc<dyn Clock>>,
}

impl RedisStore {
    /// A store at `url`: `redis://`, `rediss://` (TLS) or `redis+unix://`. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`Error::Unusable`] if the URL cannot be read; the password is not in the message.
    pub fn open(url: &str, options: Options) -> Result<Self> {
        Ok(Self::at(Address::parse(url)?, options, None))
    }

    /// The same store by another clock than the server's, so that tests own time.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    fn at(address: Address, options: Options, clock: Option<Arc<dyn Clock>>) -> Self {
        let prefix = keys::prefix(&options.namespace);
        Self { link: Link::new(address), prefix, options, clock }
    }

    /// A call of a script with the now that it is to use.
    fn call(&self, script: &Script) -> Cmd {
        let mut call = script.call(&self.prefix);
        match &self.clock {
            Some(clock) => call.arg(clock.wall().as_us()),
            None => call.arg(""),
        };
        call
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
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
        Arc::new(Self::at(address, self.options.clone(), self.clock.clone()))
    }

    async fn prepare(&self) -> Result<()> {
        check::prepare(&self.link).await?;
        let key = self.key("schema");
        let mut write = redis::cmd("SET");
        write.arg(&key).arg(keys::SCHEMA).arg("NX").arg("GET");
        let found: Option<String> =
            link::read("prepare", self.link.send("prepare", &write).await?)?;
        match found {
            Some(found) if found != keys::SCHEMA.to_string() => {
                Err(Error::Schema { found, wanted: keys::SCHEMA })
            }
            _ => Ok(()),
        }
    }

    async fn now(&self) -> Result<Timestamp> {
        if let Some(clock) = &self.clock {
            return Ok(clock.wall());
        }
        let answer = self.link.send("now", &redis::cmd("TIME")).await?;
        let (seconds, micros): (i64, i64) = link::read("now", answer)?;
        Ok(Timestamp::from_us(seconds * 1_000_000 + micros))
    }

    async fn check(&self) -> Result<Vec<Finding>> {
        check::check(&self.link, &self.key("corrupt")).await
    }
}
