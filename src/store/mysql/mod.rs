//! Tasks in MariaDB or MySQL: every method of the contract is one transaction.
//!
//! The steps are those that all SQL stores share. A step that meets another one (a deadlock, a wait
//! for a row that was too long, a row that both wanted to write first) is rolled back and taken
//! anew. Transactions run at READ COMMITTED and lock the rows that they write from.
//!
//! A claim that finds less than it asks for also holds the index entry after its last one, because
//! the server locks what it looks at. Another claim that runs then passes that task by; its
//! answer has `more`, or says when to ask again.
//!
//! # What is not here
//!
//! Hints: the server cannot wake its clients, so nodes poll. Galera: it locks rows on one server
//! alone and finds conflicts at the commit; `doctor` says so.

mod address;
mod check;
mod failure;
mod join;
mod link;
mod python;
mod roles;
mod schema;
mod tx;

use std::fmt;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
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
use crate::store::sql::Answer;
use crate::store::sql::Fronts;
use crate::store::sql::Step;
use crate::store::sql::Trouble;

use address::Address;
use failure::explain;
use failure::trouble;
use join::Place;
use link::Link;
use link::Session;
use schema::SCHEMA;
use tx::About;
use tx::MysqlTx;

pub use mysql_async;

pub(super) use python::PythonTable;

/// Most connections of a store. Steps are short, and more of them at once meet each other more.
const CONNECTIONS: usize = 8;

/// Most connections of a store that was taken apart: it keeps leases, and hands back.
const CONNECTIONS_APART: usize = 2;

/// How often a step is taken before its caller hears that others were always in the way.
const TRIES: u32 = 8;

/// The first pause before a step is taken again; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(2);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_millis(100);

const BEGIN: &str = include_str!("sql/begin.sql");
const COMMIT: &str = include_str!("sql/commit.sql");
const ROLLBACK: &str = include_str!("sql/rollback.sql");
const NOW: &str = include_str!("sql/now.sql");

/// A store in a database of a MariaDB or MySQL server.
pub struct MysqlStore {
    link: Link,
    options: Options,
    clock: Option<Arc<dyn Clock>>,
    counts: Arc<Counts>,
    fronts: Arc<Fronts>,
    place: Place,
}

/// What [`Steps`] shows.
#[derive(Debug, Default)]
struct Counts {
    taken: AtomicU64,
    repeated: AtomicU64,
    statements: AtomicU64,
}

/// How often steps were taken since a store was opened, by it and by what was taken apart from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// All, repeats among them.
    pub taken: u64,
    /// Those that met another one and were taken again.
    pub repeated: u64,
    /// The statements of all steps, without begin and commit.
    pub statements: u64,
}

impl MysqlStore {
    /// A store at `url`: `mysql://USER:PASSWORD@HOST[:PORT]/DATABASE`, with settings `ssl-mode`,
    /// `ssl-ca` and `socket`. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`Error::Unusable`] if the URL cannot be read, or if replicas are asked for; the password is
    /// not in the message.
    pub fn open(url: &str, options: Options) -> Result<Self> {
        let address = Address::parse(url)?;
        if let Durability::Replicated(_) = options.durability {
            let problem = format!(
                "{address:?}: a commit does not wait for replicas for sure; use durability = \
                 \"fsync\" instead of \"{}\"",
                options.durability
            );
            return Err(Error::Unusable { problem });
        }
        let link = Link::new(address, CONNECTIONS);
        Ok(Self {
            link,
            options,
            clock: None,
            counts: Arc::default(),
            fronts: Arc::default(),
            place: Place::default(),
        })
    }

    /// The same store by another clock than the server's, so that tests own time.
    ///
    /// Claims from a lane of which many tasks were taken may pass by tasks of the past until that clock has
    /// moved by 100 ms.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// How often steps were taken, and how often again.
    pub fn steps(&self) -> Steps {
        Steps {
            taken: self.counts.taken.load(Ordering::Relaxed),
            repeated: self.counts.repeated.load(Ordering::Relaxed),
            statements: self.counts.statements.load(Ordering::Relaxed),
        }
    }

    /// Takes a step, again if it met another one.
    async fn step<S: Step>(&self, step: &S) -> Result<S::Reply> {
        let mut tries = 0;
        loop {
            self.counts.taken.fetch_add(1, Ordering::Relaxed);
            let taken = Box::pin(self.attempt(step)).await;
            if taken.is_err() && !S::READS {
                self.fronts.forget();
            }
            let source = match taken {
                Ok(reply) => return Ok(reply),
                Err(Trouble::Refused(error)) => return Err(error),
                Err(Trouble::Again(source)) => source,
            };
            tries += 1;
            if tries == TRIES {
                return Err(Error::Unavailable { method: S::METHOD, source });
            }
            self.counts.repeated.fetch_add(1, Ordering::Relaxed);
            SystemClock.sleep(pause(tries)).await;
        }
    }

    async fn attempt<S: Step>(&self, step: &S) -> Answer<S::Reply> {
        let (mut session, now) = self.begin::<S>().await?;
        let taken = self.take(step, &mut session, now).await;
        if !S::READS && !session.is_broken() {
            let end = if taken.is_ok() { COMMIT } else { ROLLBACK };
            let ended = session.query(end).await;
            // A rollback that fails leaves a broken connection, at whose end the server rolls back.
            if taken.is_ok() {
                ended.map_err(|fault| trouble(S::METHOD, fault))?;
            }
        }
        session.give_back();
        taken
    }

    async fn take<S: Step>(
        &self,
        step: &S,
        session: &mut Session<'_>,
        now: Timestamp,
    ) -> Answer<S::Reply> {
        let ns = self.ns(S::METHOD, session).await?;
        let about = About {
            method: S::METHOD,
            ns,
            options: &self.options,
            fronts: &self.fronts,
            statements: &self.counts.statements,
        };
        step.take(&mut MysqlTx::new(session, about, now)).await
    }

    /// The number of the namespace. Each connection reads it once: a server that took the place of
    /// another one may have given it another number.
    async fn ns(&self, method: &'static str, session: &mut Session<'_>) -> Result<i64> {
        if let Some(ns) = session.ns() {
            return Ok(ns);
        }
        let name = &self.options.namespace;
        let ns = schema::namespace(session, method, name).await?.ok_or_else(|| {
            let source = format!("no namespace {name} here: not the database that was prepared");
            Error::Unavailable { method, source: source.into() }
        })?;
        session.note_ns(ns);
        Ok(ns)
    }

    /// A connection with a transaction that was begun, or for reads, and the store's now. Nothing
    /// was written yet, so a connection that ended while nobody used it costs another try alone.
    async fn begin<S: Step>(&self) -> Answer<(Session<'_>, Timestamp)> {
        let failed = |fault| trouble(S::METHOD, fault);
        loop {
            let mut session = self.link.session().await.map_err(failed)?;
            let begun = session.query(if S::READS { NOW } else { BEGIN }).await;
            let rows = match begun {
                Err(_) if session.is_used() && session.is_broken() => continue,
                other => other.map_err(failed)?,
            };
            let now = if S::READS {
                let now = tx::number(rows).map(Timestamp::from_us);
                now.ok_or_else(|| tx::unreadable(S::METHOD))?
            } else {
                match tx::begun(S::METHOD, rows) {
                    Ok(now) => now,
                    Err(error) => {
                        session.condemn();
                        return Err(error.into());
                    }
                }
            };
            let now = self.clock.as_ref().map_or(now, |clock| clock.wall());
            return Ok((session, now));
        }
    }

    /// A connection for what is no step.
    async fn session(&self, method: &'static str) -> Result<Session<'_>> {
        self.link.session().await.map_err(|fault| explain(method, fault))
    }
}

/// How long to wait before the next try: longer each time, and never as long as the other one.
fn pause(tries: u32) -> Duration {
    let most = PAUSE.saturating_mul(1 << tries.min(16)).min(PAUSE_MAX);
    let dice = RandomState::new().hash_one(tries) % 1024;
    most.mul_f64(f64::from(u32::try_from(dice).unwrap_or(0)) / 1024.0)
}

impl fmt::Debug for MysqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MysqlStore")
            .field("address", &self.link)
            .field("namespace", &self.options.namespace)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for MysqlStore {
    fn name(&self) -> &'static str {
        "mysql"
    }

    fn apart(&self) -> Arc<dyn Store> {
        Arc::new(Self {
            link: Link::new(self.link.address().clone(), CONNECTIONS_APART),
            options: self.options.clone(),
            clock: self.clock.clone(),
            counts: Arc::clone(&self.counts),
            fronts: Arc::clone(&self.fronts),
            place: Place::default(),
        })
    }

    async fn migrate(&self) -> Result<Migrated> {
        schema::migrate(&self.link).await
    }

    async fn prepare(&self) -> Result<()> {
        let mut session = self.session("prepare").await?;
        check::refuse(&mut session, self.options.durability).await?;
        schema::verify(&mut session).await?;
        schema::settle(&mut session, &self.options.namespace).await?;
        session.give_back();
        Ok(())
    }

    async fn now(&self) -> Result<Timestamp> {
        if let Some(clock) = &self.clock {
            return Ok(clock.wall());
        }
        let mut session = self.session("now").await?;
        let answer = session.query(NOW).await.map_err(|fault| explain("now", fault))?;
        session.give_back();
        tx::number(answer).map(Timestamp::from_us).ok_or_else(|| tx::unreadable("now"))
    }

    async fn check(&self, _lease: Duration) -> Result<Vec<Finding>> {
        let mut session = self.session("check").await?;
        let found = check::check(&mut session).await?;
        session.give_back();
        Ok(found)
    }
}
