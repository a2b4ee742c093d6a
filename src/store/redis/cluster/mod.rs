//! Tasks in a Redis Cluster: a namespace in several partitions, each in one slot.
//!
//! Each partition is a [`RedisStore`] of its own, connected to the server that serves its slot. What
//! is here spreads calls over them and puts the answers together; it decides nothing.
//!
//! # What is promised where
//!
//! * A task lives in the partition of its id; ids with the same `{tag}` share one.
//! * A batch, a change of many ids or of a group is atomic in each partition, not over all of them. A
//!   call that fails half-way is repeated by its caller, and what was done before answers the same.
//! * A unique key is kept in its own partition: a fresh id is drawn to fit, and a chosen id that
//!   does not fit is refused.
//! * A claim takes from one partition. There the order of the contract holds; which partition is asked
//!   goes round among those that have something due, so between partitions the order is loose.
//! * A paused queue is paused in all partitions before that is answered.
//! * Leaders are elected in partition 0. A new one raises its term in each other one first.
//!
//! # When a partition is away
//!
//! The others go on. Claims leave it out, beats and renewals tell which claims it did not answer for,
//! and a call that needs it says which one is missing.

mod asking;
mod board;
mod claim;
mod doctor;
mod hints;
mod leadership;
mod primaries;
mod queue;
mod slot;
mod tasks;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::domain::durability::Durability;
use crate::domain::time::Timestamp;
use crate::store::Error;
use crate::store::Finding;
use crate::store::Migrated;
use crate::store::Options;
use crate::store::Result;
use crate::store::Store;
use crate::store::error::BoxError;

use super::RedisStore;
use super::Share;
use super::address;
use super::address::Address;
use super::check;
use super::keys;
use super::lanes::PATIENCE;
use super::url::Login;
use super::url::Parts;
use super::url::redacted;
use board::Board;
pub(super) use primaries::Primaries;

/// Partitions of a namespace whose URL does not say how many: enough for each of several primaries
/// to get some, and few enough that a beat in each costs little.
const PARTITIONS: usize = 8;

/// Most partitions of a namespace.
const PARTITIONS_MAX: usize = 64;

/// How much longer than the first partition the others may take, before replicas are waited for: one
/// that hangs must not hold up the others, and one that is busy must not count as away.
const REST_WITHIN: Duration = Duration::from_millis(250);

/// Port of a server whose URL names none.
const PORT: u16 = 6379;

/// Writes of one partition that may wait for replicas at once.
const LANES: usize = 4;

/// A store in a Redis or Valkey Cluster.
pub struct ClusterStore {
    parts: Vec<RedisStore>,
    place: Place,
    options: Options,
    clock: Option<Arc<dyn Clock>>,
    board: Arc<Board>,
    /// How much longer than the first partition the others may take.
    rest_within: Duration,
}

/// Where the cluster is.
#[derive(Clone)]
struct Place {
    primaries: Arc<Primaries>,
    shown: Arc<str>,
}

impl ClusterStore {
    /// A store at `url`: `redis+cluster://` or `rediss+cluster://`, some servers of the cluster, and
    /// how many partitions the namespace has or is to get. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`Error::Unusable`] if the URL cannot be read; the password is not in the message.
    pub fn open(url: &str, options: Options) -> Result<Self> {
        address::install_tls();
        let shown = redacted(url);
        let read = Parts::of(url).ok_or_else(|| "is no URL".to_owned()).and_then(read);
        let (primaries, partitions) =
            read.map_err(|why| Error::Unusable { problem: format!("{shown}: {why}") })?;
        let place = Place { primaries: Arc::new(primaries), shown: shown.into() };
        let board = Arc::new(Board::new(partitions, Arc::new(SystemClock)));
        Ok(Self::at(place, options, None, board))
    }

    /// The same store by another clock than the servers', so that tests own time.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self::at(self.place, self.options, Some(clock), self.board)
    }

    fn at(
        place: Place,
        options: Options,
        clock: Option<Arc<dyn Clock>>,
        board: Arc<Board>,
    ) -> Self {
        let of = board.count();
        let part = |partition| {
            let slot = slot::slot_of(&keys::prefix(&options.namespace, partition));
            let (primaries, shown) = (Arc::clone(&place.primaries), Arc::clone(&place.shown));
            let address = Address::of_slot(primaries, slot, shown);
            let share = Share { partition, of, lanes: LANES };
            RedisStore::at(address, options.clone(), clock.clone(), share)
        };
        let parts = (0..of).map(part).collect();
        let rest_within = match options.durability {
            Durability::Replicated(_) => REST_WITHIN + PATIENCE,
            Durability::Memory | Durability::Fsync => REST_WITHIN,
        };
        Self { parts, place, options, clock, board, rest_within }
    }

    fn count(&self) -> usize {
        self.parts.len()
    }

    fn partition_of(&self, name: &str) -> usize {
        slot::partition_of(name, self.count())
    }

    /// Which places of a list each partition is for.
    fn split<'a>(&self, names: impl Iterator<Item = &'a str>) -> BTreeMap<usize, Vec<usize>> {
        let mut places: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, name) in names.enumerate() {
            places.entry(self.partition_of(name)).or_default().push(at);
        }
        places
    }

    /// One call to each partition.
    fn each<'a, F, T>(&'a self, call: impl Fn(&'a RedisStore) -> F) -> Vec<(usize, F)>
    where
        F: Future<Output = Result<T>> + 'a,
    {
        self.parts.iter().map(call).enumerate().collect()
    }

    /// The answers of all partitions that were asked.
    ///
    /// # Errors
    ///
    /// The first one, with the number of its partition.
    async fn all<T, F>(&self, calls: Vec<(usize, F)>) -> Result<Vec<(usize, T)>>
    where
        F: Future<Output = Result<T>>,
    {
        let answers = asking::all(calls).await;
        for (part, answer) in &answers {
            self.heed(*part, answer);
        }
        let answers = answers.into_iter();
        answers
            .map(|(part, answer)| Ok((part, answer.map_err(|error| self.of_part(part, error))?)))
            .collect()
    }

    /// Notes whether a partition answers.
    fn heed<T>(&self, part: usize, answer: &Result<T>) {
        match answer {
            Err(Error::Unavailable { .. }) => self.board.away(part),
            _ => self.board.back(part),
        }
    }

    /// The good answers that come soon, at least one.
    ///
    /// # Errors
    ///
    /// If none comes: the first error, with the number of its partition.
    async fn soon<T, F>(&self, calls: Vec<(usize, F)>) -> Result<Vec<(usize, T)>>
    where
        F: Future<Output = Result<T>>,
    {
        let asked: Vec<usize> = calls.iter().map(|(part, _)| *part).collect();
        let answers = asking::soon(calls, self.rest_within).await;
        let late = asked.into_iter().filter(|part| answers.iter().all(|(come, _)| come != part));
        for part in late {
            self.parts[part].give_up();
            self.board.away(part);
        }
        let (mut good, mut failed) = (Vec::with_capacity(answers.len()), None);
        for (part, answer) in answers {
            self.heed(part, &answer);
            match answer {
                Ok(answer) => good.push((part, answer)),
                Err(error) => failed = failed.or(Some(self.of_part(part, error))),
            }
        }
        match failed {
            Some(error) if good.is_empty() => Err(error),
            _ => Ok(good),
        }
    }

    /// An error of a partition, with its number.
    fn of_part(&self, partition: usize, error: Error) -> Error {
        let named = |source| Box::new(Missing { partition, of: self.count(), source });
        match error {
            Error::Unavailable { method, source } => {
                Error::Unavailable { method, source: named(source) }
            }
            Error::Full { method, source } => Error::Full { method, source: named(source) },
            other => other,
        }
    }
}

/// A partition that did not do as asked.
#[derive(Debug, thiserror::Error)]
#[error("partition {partition} of {of}")]
struct Missing {
    partition: usize,
    of: usize,
    source: BoxError,
}

/// `[user:password@]host[:port][,…][?partitions=N]`
fn read(mut parts: Parts<'_>) -> std::result::Result<(Primaries, usize), String> {
    let partitions = match parts.take("partitions") {
        None => PARTITIONS,
        Some(text) => match text.parse() {
            Ok(count @ 1..=PARTITIONS_MAX) => count,
            _ => return Err(format!("partitions must be from 1 to {PARTITIONS_MAX}")),
        },
    };
    if let Some(unknown) = parts.unknown() {
        return Err(format!("unknown setting {unknown:?}"));
    }
    if !matches!(parts.path, "" | "0") {
        return Err("a cluster has no other database than 0".into());
    }
    let servers = parts.servers(Login::OfUrl, PORT, "")?;
    let servers = servers.into_iter().map(address::tuned).collect();
    Ok((Primaries::new(servers), partitions))
}

impl fmt::Debug for ClusterStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterStore")
            .field("address", &self.place.shown)
            .field("namespace", &self.options.namespace)
            .field("partitions", &self.count())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for ClusterStore {
    fn name(&self) -> &'static str {
        "redis-cluster"
    }

    fn part(&self, name: &str) -> usize {
        self.partition_of(name)
    }

    fn apart(&self) -> Arc<dyn Store> {
        let (place, options, clock) =
            (self.place.clone(), self.options.clone(), self.clock.clone());
        Arc::new(Self::at(place, options, clock, Arc::clone(&self.board)))
    }

    async fn migrate(&self) -> Result<Migrated> {
        self.note_schema("migrate").await?;
        Ok(Migrated::default())
    }

    async fn prepare(&self) -> Result<()> {
        self.all(self.each(|part| check::prepare(&part.link))).await?;
        self.note_schema("prepare").await
    }

    async fn now(&self) -> Result<Timestamp> {
        let answers = self.soon(self.each(RedisStore::now)).await?;
        Ok(answers[0].1)
    }

    async fn check(&self, lease: Duration) -> Result<Vec<Finding>> {
        self.look_over(lease).await
    }
}

impl ClusterStore {
    /// Notes how the namespace is kept, first where it is decided by who comes first.
    async fn note_schema(&self, method: &'static str) -> Result<()> {
        let first = self.parts[0].note_schema(method).await;
        first.map_err(|error| self.of_part(0, error))?;
        self.all(self.each(|part| part.note_schema(method))).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(url: &str) -> std::result::Result<ClusterStore, String> {
        ClusterStore::open(url, Options::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_url_names_servers_and_partitions() {
        let store = opened("rediss+cluster://me:secret@a:1,b,[::1]:2/?partitions=3").unwrap();

        assert_eq!(store.count(), 3);
        assert!(!format!("{store:?}").contains("secret"), "{store:?}");
        assert_eq!(opened("redis+cluster://a").unwrap().count(), PARTITIONS);
    }

    #[test]
    fn a_wrong_url_is_named_and_the_password_is_not() {
        for (url, sign) in [
            ("redis+cluster://:secret@a:port", "port"),
            ("redis+cluster://:secret@a/1", "database"),
            ("redis+cluster://:secret@a?partitions=0", "from 1 to 64"),
            ("redis+cluster://:secret@a?partitions=65", "from 1 to 64"),
            ("redis+cluster://:secret@a?colour=1", "colour"),
        ] {
            let refused = opened(url).unwrap_err();
            assert!(refused.contains(sign) && !refused.contains("secret"), "{refused}");
        }
    }
}
