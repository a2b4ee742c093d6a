//! Writes that count only when replicas have them.
//!
//! `WAIT` blocks its connection until the replicas have all that was written before, and counts only
//! for writes of its own connection: asked on another one it answers at once, falsely. So a write and
//! its `WAIT` go out together, on a connection that nobody else uses meanwhile; there are a few of
//! them, beside the one for reads, which never waits.
//!
//! A repeat that finds its work done changes nothing, and newer servers then answer for the last
//! write of the connection that had an effect, which may be older than the work. So each call begins
//! with a write of its own, the *mark*, which the prelude of the scripts makes.

use std::num::NonZeroU8;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::Cmd;
use redis::FromRedisValue;
use redis::RedisError;
use redis::Value;
use tokio::sync::Mutex;
use tokio::sync::MutexGuard;

use crate::store::Error;
use crate::store::Result;

use super::address::Address;
use super::failure::explain;
use super::failure::has_moved;
use super::failure::read;
use super::fitness::Demand;
use super::link::Link;
use super::link::is_unknown;
use super::script::Script;

/// Most writes that wait for replicas at once.
pub(super) const LANES: usize = 8;

/// How long replicas may take: longer than a burst of writes keeps them busy, and no longer than it
/// takes until the next renewal of a lease would wait behind it.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Connections for writes.
pub(super) struct Lanes {
    all: Vec<Lane>,
    replicas: NonZeroU8,
    /// Which one is waited for when all are busy.
    next: AtomicUsize,
}

/// A connection that one call uses at a time.
struct Lane {
    link: Link,
    turn: Mutex<()>,
}

impl Lanes {
    /// So many lanes to a server on which a write counts when that many replicas have it.
    pub(super) fn new(
        count: usize,
        address: &Address,
        demand: Demand,
        replicas: NonZeroU8,
    ) -> Self {
        let lane = || Lane { link: Link::new(address.clone(), demand), turn: Mutex::default() };
        let all = std::iter::repeat_with(lane).take(count).collect();
        Self { all, replicas, next: AtomicUsize::new(0) }
    }

    /// Lets the next calls use new connections.
    pub(super) fn give_up(&self) {
        self.all.iter().for_each(|lane| lane.link.give_up());
    }

    /// Calls a script and waits for the replicas.
    ///
    /// # Errors
    ///
    /// Also if too few of them have it in time. The server has it then, and a repeat finds it there.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        method: &'static str,
        script: &Script,
        call: &Cmd,
    ) -> Result<T> {
        let mut wait = redis::cmd("WAIT");
        wait.arg(self.replicas.get()).arg(PATIENCE.as_millis().to_string());

        let (turn, link) = self.free().await;
        let answers = match try_run(link, script, call, &wait).await {
            Err(error) if has_moved(&error) => try_run(link, script, call, &wait).await,
            other => other,
        };
        drop(turn);

        let (value, count) = answers.map_err(|error| explain(method, error))?;
        let count: u64 = read(method, count)?;
        if count < u64::from(self.replicas.get()) {
            let told = format!("{count} of {} replicas have the write", self.replicas);
            return Err(Error::Unavailable { method, source: told.into() });
        }
        read(method, value)
    }

    /// A lane that nobody uses, or the next one in turn.
    async fn free(&self) -> (MutexGuard<'_, ()>, &Link) {
        for lane in &self.all {
            if let Ok(turn) = lane.turn.try_lock() {
                return (turn, &lane.link);
            }
        }
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let lane = &self.all[next % self.all.len()];
        (lane.turn.lock().await, &lane.link)
    }
}

/// Makes a call and waits, sending the script's text if the server does not know it.
async fn try_run(
    link: &Link,
    script: &Script,
    call: &Cmd,
    wait: &Cmd,
) -> std::result::Result<(Value, Value), RedisError> {
    match link.try_both(call, wait).await {
        Err(error) if is_unknown(&error) => link.try_both(&script.in_full(call), wait).await,
        other => other,
    }
}
