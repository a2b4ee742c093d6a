//! Where a server is, and how to log in.

use std::fmt;
use std::sync::Once;
use std::time::Duration;

use redis::Client;
use redis::ConnectionInfo;
use redis::IntoConnectionInfo;
use redis::ProtocolVersion;
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;

use crate::store::Error;
use crate::store::Result;

use super::failure::reason;

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

    /// The server that takes writes, for one more connection to it.
    pub(super) fn primary(&self) -> &Client {
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
