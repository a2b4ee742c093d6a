//! One connection, made when it is first needed and made again when it broke.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::Cmd;
use redis::FromRedisValue;
use redis::RedisError;
use redis::Value;
use redis::aio::MultiplexedConnection;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::store::Result;

use super::address::Address;
use super::failure::breaks_connection;
use super::failure::explain;
use super::failure::has_moved;
use super::failure::read;
use super::fitness;
use super::fitness::Demand;
use super::script::Script;

/// How long a connection may take to be made, name lookup and TLS included.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an answer may take. A slow answer of a busy server is better than a repeat that makes it
/// busier; a server that stays silent this long is treated as gone.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that several calls share. It belongs to the runtime that made it.
pub(super) struct Link {
    address: Address,
    demand: Demand,
    /// Counts attempts to connect. A call that waited while one failed shares its failure: else
    /// calls to a silent server would each wait for the attempts of all before them.
    attempts: AtomicU64,
    /// Whether the next call is to use a new connection.
    is_given_up: AtomicBool,
    live: Mutex<Live>,
}

#[derive(Default)]
struct Live {
    /// Counts connections, so that a call drops only the one that failed it.
    number: u64,
    connection: Option<MultiplexedConnection>,
    /// Why the last attempt to connect failed.
    failed: Option<RedisError>,
}

impl Link {
    /// A link to a server that must be as `demand` says; no connection is made yet.
    pub(super) fn new(address: Address, demand: Demand) -> Self {
        Self {
            address,
            demand,
            attempts: AtomicU64::new(0),
            is_given_up: AtomicBool::new(false),
            live: Mutex::default(),
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Lets the next call use a new connection, because one is not waited for any longer.
    pub(super) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Relaxed);
    }

    /// Calls a script, sending its text if the server does not know it, and once more if another
    /// server serves its keys by now.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        method: &'static str,
        script: &Script,
        call: Cmd,
    ) -> Result<T> {
        let answer = match self.try_run(script, &call).await {
            Err(error) if has_moved(&error) => self.try_run(script, &call).await,
            other => other,
        };
        read(method, answer.map_err(|error| explain(method, error))?)
    }

    async fn try_run(&self, script: &Script, call: &Cmd) -> std::result::Result<Value, RedisError> {
        match self.try_send(call).await {
            Err(error) if is_unknown(&error) => self.try_send(&script.in_full(call)).await,
            other => other,
        }
    }

    /// Sends one command and waits for its answer.
    pub(super) async fn send(&self, method: &'static str, cmd: &Cmd) -> Result<Value> {
        self.try_send(cmd).await.map_err(|error| explain(method, error))
    }

    async fn try_send(&self, cmd: &Cmd) -> std::result::Result<Value, RedisError> {
        let (number, mut connection) = self.connection().await?;
        let answer = connection.send_packed_command(cmd).await;
        self.heed(number, answer.and_then(Value::extract_error)).await
    }

    /// Sends two commands that nothing comes between, and answers what each was answered; an error
    /// if either was one.
    pub(super) async fn try_both(
        &self,
        first: &Cmd,
        second: &Cmd,
    ) -> std::result::Result<(Value, Value), RedisError> {
        let (number, mut connection) = self.connection().await?;
        let mut both = redis::pipe();
        both.add_command(first.clone()).add_command(second.clone());
        let answers = connection.send_packed_commands(&both, 0, 2).await.and_then(|values| {
            let mut values = values.into_iter().map(Value::extract_error);
            let mut next = || values.next().unwrap_or(Ok(Value::Nil));
            Ok((next()?, next()?))
        });
        self.heed(number, answers).await
    }

    /// Drops the connection if the answer says that it is of no use any more.
    async fn heed<T>(
        &self,
        number: u64,
        answer: std::result::Result<T, RedisError>,
    ) -> std::result::Result<T, RedisError> {
        if answer.as_ref().is_err_and(breaks_connection) {
            let mut live = self.live.lock().await;
            if live.number == number {
                live.connection = None;
            }
        }
        answer
    }

    async fn connection(&self) -> std::result::Result<(u64, MultiplexedConnection), RedisError> {
        let attempts_before = self.attempts.load(Ordering::Relaxed);
        let mut live = self.live.lock().await;
        if self.is_given_up.swap(false, Ordering::Relaxed) {
            live.connection = None;
        }
        if let Some(connection) = &live.connection {
            return Ok((live.number, connection.clone()));
        }
        let was_tried = self.attempts.load(Ordering::Relaxed) != attempts_before;
        if let Some(error) = live.failed.as_ref().filter(|_| was_tried) {
            return Err(error.clone());
        }

        let late = || std::io::Error::from(std::io::ErrorKind::TimedOut).into();
        let made =
            timeout(CONNECT_TIMEOUT * 2, self.connect()).await.unwrap_or_else(|_| Err(late()));
        self.attempts.fetch_add(1, Ordering::Relaxed);
        live.number += 1;
        live.connection = made.as_ref().ok().cloned();
        live.failed = made.as_ref().err().cloned();
        made.map(|connection| (live.number, connection))
    }

    /// Connects to the server that takes writes, and sees that it is as it must be.
    async fn connect(&self) -> std::result::Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let client = self.address.primary().await?;
        let mut made = client.get_multiplexed_async_connection_with_config(&config).await?;
        fitness::see(&mut made, self.demand).await?;
        Ok(made)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// Whether the server does not know the script yet.
pub(super) fn is_unknown(error: &RedisError) -> bool {
    error.code() == Some("NOSCRIPT")
}
