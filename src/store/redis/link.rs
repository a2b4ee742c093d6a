//! One connection, made when it is first needed and made again when it broke.

use std::fmt;
use std::sync::Once;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::Client;
use redis::Cmd;
use redis::ConnectionInfo;
use redis::ErrorKind;
use redis::FromRedisValue;
use redis::IntoConnectionInfo;
use redis::ProtocolVersion;
use redis::RedisError;
use redis::Value;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::store::Error;
use crate::store::Result;

use super::script::Script;

/// How long a connection may take to be made, name lookup and TLS included.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an answer may take. A slow answer of a busy server is better than a repeat that makes it
/// busier; a server that stays silent this long is treated as gone.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// After how long of silence the peer of an idle connection is probed, and how often then.
const PROBE_AFTER: Duration = Duration::from_secs(5);

/// Where a server is, and how to log in.
#[derive(Clone)]
pub(super) struct Address {
    client: Client,
    shown: String,
}

impl Address {
    /// Reads a URL of the schemes `redis`, `rediss` and `redis+unix`.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let shown = redacted(url);
        let refused = |why: String| Error::Unusable { problem: format!("{shown}: {why}") };
        let info = url.into_connection_info().map_err(|e| refused(reason(&e)))?;
        install_tls();
        let client = Client::open(tuned(info)).map_err(|e| refused(reason(&e)))?;
        Ok(Self { client, shown })
    }

    /// The client of this address, for connections that are not shared.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }
}

impl fmt::Debug for Address {
    /// The URL without what logs in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

fn tuned(info: ConnectionInfo) -> ConnectionInfo {
    let probes = TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_AFTER);
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(probes)
        .set_user_timeout(PROBE_AFTER * 3);
    let login = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
    info.set_tcp_settings(tcp).set_redis_settings(login)
}

/// Chooses the cryptography of TLS connections, unless the program chose one before.
fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _chosen_before = rustls::crypto::ring::default_provider().install_default();
    });
}

/// A URL as it may be shown: without user and password.
fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return if url.contains('@') { "a URL without scheme".into() } else { url.into() };
    };
    match rest.rfind('@') {
        Some(at) => format!("{scheme}://***{}", &rest[at..]),
        None if rest.starts_with(':') => format!("{scheme}://***"),
        None => url.into(),
    }
}

/// A connection that several calls share. It belongs to the runtime that made it.
pub(super) struct Link {
    address: Address,
    /// Counts attempts to connect. A call that waited while one failed shares its failure: else
    /// calls to a silent server would each wait for the attempts of all before them.
    attempts: AtomicU64,
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
    pub(super) fn new(address: Address) -> Self {
        Self { address, attempts: AtomicU64::new(0), live: Mutex::default() }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Calls a script, sending its text if the server does not know it.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        method: &'static str,
        script: &Script,
        call: Cmd,
    ) -> Result<T> {
        let value = match self.try_send(&call).await {
            Err(error) if error.code() == Some("NOSCRIPT") => {
                self.send(method, &script.in_full(&call)).await?
            }
            other => other.map_err(|error| explain(method, error))?,
        };
        read(method, value)
    }

    /// Sends one command and waits for its answer.
    pub(super) async fn send(&self, method: &'static str, cmd: &Cmd) -> Result<Value> {
        self.try_send(cmd).await.map_err(|error| explain(method, error))
    }

    async fn try_send(&self, cmd: &Cmd) -> std::result::Result<Value, RedisError> {
        let (number, mut connection) = self.connection().await?;
        let answer = connection.send_packed_command(cmd).await;
        let answer = answer.and_then(Value::extract_error);
        if answer.as_ref().is_err_and(breaks_connection) {
            self.forget(number).await;
        }
        answer
    }

    async fn connection(&self) -> std::result::Result<(u64, MultiplexedConnection), RedisError> {
        let attempts_before = self.attempts.load(Ordering::Relaxed);
        let mut live = self.live.lock().await;
        if let Some(connection) = &live.connection {
            return Ok((live.number, connection.clone()));
        }
        let was_tried = self.attempts.load(Ordering::Relaxed) != attempts_before;
        if let Some(error) = live.failed.as_ref().filter(|_| was_tried) {
            return Err(error.clone());
        }

        let made = self.connect().await;
        self.attempts.fetch_add(1, Ordering::Relaxed);
        live.number += 1;
        live.connection = made.as_ref().ok().cloned();
        live.failed = made.as_ref().err().cloned();
        made.map(|connection| (live.number, connection))
    }

    async fn connect(&self) -> std::result::Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let made = self.address.client.get_multiplexed_async_connection_with_config(&config);
        let late = || std::io::Error::from(std::io::ErrorKind::TimedOut).into();
        timeout(CONNECT_TIMEOUT * 2, made).await.unwrap_or_else(|_| Err(late()))
    }

    async fn forget(&self, number: u64) {
        let mut live = self.live.lock().await;
        if live.number == number {
            live.connection = None;
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// Reads an answer as what the script promises.
pub(super) fn read<T: FromRedisValue>(method: &'static str, value: Value) -> Result<T> {
    T::from_redis_value(value).map_err(|error| Error::Unusable {
        problem: format!("the answer to {method} cannot be read: {error}"),
    })
}

/// What an error of the driver means for the caller.
pub(super) fn explain(method: &'static str, error: RedisError) -> Error {
    match error.code() {
        Some("OOM") if method == "add" => return Error::Full { method, source: Box::new(error) },
        Some("NOAUTH" | "WRONGPASS" | "NOPERM" | "WRONGTYPE" | "CROSSSLOT" | "EXECABORT") => {
            return Error::Unusable { problem: reason(&error) };
        }
        Some("ERR") if !reason(&error).contains("max number of clients") => {
            return Error::Unusable { problem: reason(&error) };
        }
        Some(_) => return Error::Unavailable { method, source: Box::new(error) },
        None => {}
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed
        | ErrorKind::InvalidClientConfig
        | ErrorKind::UnexpectedReturnType => Error::Unusable { problem: reason(&error) },
        _ => Error::Unavailable { method, source: Box::new(error) },
    }
}

/// Whether the connection is of no use after `error`. One to a server that became a replica is not:
/// the next one may reach the primary.
fn breaks_connection(error: &RedisError) -> bool {
    match error.code() {
        Some(code) => matches!(code, "READONLY" | "NOAUTH" | "MASTERDOWN"),
        None => true,
    }
}

fn reason(error: &RedisError) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_logs_in() {
        for (url, shown) in [
            ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
            ("redis://:secret@host/1", "redis://***@host/1"),
            ("rediss://user:se@cret@host", "rediss://***@host"),
            ("redis://:secret", "redis://***"),
            ("user:secret@host", "a URL without scheme"),
        ] {
            assert_eq!(redacted(url), shown);
        }
    }

    #[test]
    fn a_wrong_url_is_named_and_the_password_is_not() {
        for url in ["redis://user:secret@host:port/0", "redis://:secret@host/x", "redis://:secret"]
        {
            let text = Address::parse(url).map(|address| format!("{address:?}"));
            let text = text.unwrap_or_else(|error| format!("{error} {error:?}"));

            assert!(!text.contains("secret"), "{text}");
            assert!(text.contains("redis://***"), "{text}");
        }
    }
}
