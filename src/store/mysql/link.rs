//! Connections to the server: made when they are needed, kept while they are well.

use std::fmt;
use std::future::Future;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use mysql_async::Conn;
use mysql_async::Error as Fault;
use mysql_async::OptsBuilder;
use mysql_async::Row;
use mysql_async::prelude::Queryable;
use tokio::sync::Semaphore;
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use super::address::Address;
use super::failure::TooSlow;
use super::failure::breaks_connection;

/// How long a connection may take to be made, and how long a call waits for one to be free.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a statement may take. A slow answer of a busy server is better than a repeat that makes
/// it busier; a server that stays silent this long is treated as gone.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

const SESSION: &str = include_str!("sql/session.sql");

/// A few connections that calls share, each used by one call at a time. They belong to the runtime
/// that made them.
pub(super) struct Link {
    address: Address,
    permits: Semaphore,
    idle: Mutex<Vec<Kept>>,
}

/// A connection, and the number of the namespace as it was read there.
struct Kept {
    conn: Conn,
    ns: Option<i64>,
}

/// A connection that one call uses. It is closed unless it is given back, so that a call which is
/// given up leaves nothing begun.
pub(super) struct Session<'a> {
    link: &'a Link,
    kept: Kept,
    is_used: bool,
    is_broken: bool,
    /// Frees the place last.
    _place: SemaphorePermit<'a>,
}

impl Link {
    /// A link with at most `most` connections; none is made yet.
    pub(super) fn new(address: Address, most: usize) -> Self {
        Self { address, permits: Semaphore::new(most), idle: Mutex::default() }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// A connection: one that was used before, or a new one.
    pub(super) async fn session(&self) -> Result<Session<'_>, Fault> {
        let place = within("a connection", CONNECT_TIMEOUT, async {
            self.permits.acquire().await.map_err(|error| Fault::Other(Box::new(error)))
        });
        let place = place.await?;
        let idle = self.idle().pop();
        let is_used = idle.is_some();
        let kept = match idle {
            Some(kept) => kept,
            None => Kept { conn: self.connect().await?, ns: None },
        };
        Ok(Session { link: self, kept, is_used, is_broken: false, _place: place })
    }

    async fn connect(&self) -> Result<Conn, Fault> {
        let opts = OptsBuilder::from_opts(self.address.opts()).setup(vec![SESSION]);
        within("connecting", CONNECT_TIMEOUT, Conn::new(opts)).await
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl Session<'_> {
    /// Whether a call before used it, so that it may have ended since.
    pub(super) fn is_used(&self) -> bool {
        self.is_used
    }

    /// The number of the namespace, if it was read on this connection.
    pub(super) fn ns(&self) -> Option<i64> {
        self.kept.ns
    }

    /// Notes the number of the namespace.
    pub(super) fn note_ns(&mut self, ns: i64) {
        self.kept.ns = Some(ns);
    }

    /// The version that the server gives itself.
    pub(super) fn server_version(&self) -> (u16, u16, u16) {
        self.kept.conn.server_version()
    }

    /// The rows that the last of some statements finds.
    pub(super) async fn query(&mut self, text: &str) -> Result<Vec<Row>, Fault> {
        self.query_within(ANSWER_TIMEOUT, text).await
    }

    /// The same, for statements that may take longer.
    pub(super) async fn query_within(
        &mut self,
        length: Duration,
        text: &str,
    ) -> Result<Vec<Row>, Fault> {
        // Until it is answered the connection is in the middle of something.
        let was_broken = std::mem::replace(&mut self.is_broken, true);
        let answer = within("an answer", length, last_rows(&mut self.kept.conn, text)).await;
        self.is_broken = was_broken || answer.as_ref().is_err_and(breaks_connection);
        if self.is_broken {
            // The others are as old, or lead to the same server: they are made anew.
            self.link.idle().clear();
        }
        answer
    }

    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Not to be used again: it leads to a server that is of no use.
    pub(super) fn condemn(&mut self) {
        self.is_broken = true;
        self.link.idle().clear();
    }

    /// Keeps the connection for the next call, if it is well.
    pub(super) fn give_back(self) {
        if !self.is_broken {
            self.link.idle().push(self.kept);
        }
    }
}

/// The rows that the last of some statements finds.
pub(super) async fn last_rows(conn: &mut impl Queryable, text: &str) -> Result<Vec<Row>, Fault> {
    let mut result = conn.query_iter(text).await?;
    let mut rows = Vec::new();
    while !result.is_empty() {
        rows = result.collect::<Row>().await?;
    }
    // An error of a later statement shows here, and not before.
    result.drop_result().await?;
    Ok(rows)
}

async fn within<T>(
    what: &'static str,
    length: Duration,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let seconds = length.as_secs();
    let slow = |_| Fault::Other(Box::new(TooSlow { what, seconds }));
    timeout(length, work).await.map_err(slow).and_then(|answer| answer)
}
