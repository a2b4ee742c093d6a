//! Where a server is, and how to log in.

use std::fmt;
use std::sync::Arc;
use std::sync::Once;
use std::time::Duration;

use redis::Client;
use redis::ConnectionAddr;
use redis::ConnectionInfo;
use redis::IntoConnectionInfo;
use redis::ProtocolVersion;
use redis::RedisError;
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;

use crate::store::Error;
use crate::store::Result;

use super::cluster::Primaries;
use super::failure::reason;
use super::sentinel::Sentinels;
use super::url::Login;
use super::url::Parts;
use super::url::redacted;

/// After how long of silence the peer of an idle connection is probed, and how often then.
const PROBE_AFTER: Duration = Duration::from_secs(5);

/// Port of a sentinel that names none.
const SENTINEL_PORT: u16 = 26379;

/// Where the server that takes writes is, or who knows, and how to log in.
#[derive(Clone)]
pub(super) struct Address {
    place: Place,
    shown: Arc<str>,
}

#[derive(Clone)]
enum Place {
    /// Always the same server.
    Server(Arc<Client>),
    /// The one that Sentinel names.
    Watched(Arc<Sentinels>),
    /// The one that serves a slot of a Redis Cluster.
    Slot(Arc<Primaries>, u16),
}

impl Address {
    /// Reads a URL of the schemes `redis`, `rediss`, `redis+unix`, `redis+sentinel` and
    /// `rediss+sentinel`.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let shown = redacted(url);
        install_tls();
        let place = match Parts::of(url) {
            Some(parts) if parts.scheme.ends_with("+sentinel") => watched(parts),
            _ => server(url),
        };
        let place = place.map_err(|why| Error::Unusable { problem: format!("{shown}: {why}") })?;
        Ok(Self { place, shown: shown.into() })
    }

    /// Where a slot of a cluster is served.
    pub(super) fn of_slot(primaries: Arc<Primaries>, slot: u16, shown: Arc<str>) -> Self {
        Self { place: Place::Slot(primaries, slot), shown }
    }

    /// The server that takes writes, for one more connection to it.
    pub(super) async fn primary(&self) -> std::result::Result<Client, RedisError> {
        match &self.place {
            Place::Server(client) => Ok(Client::clone(client)),
            Place::Watched(sentinels) => sentinels.primary().await,
            Place::Slot(primaries, slot) => primaries.of_slot(*slot).await,
        }
    }

    /// Whether it is another server after a failover, so that its role is to be asked.
    pub(super) fn moves(&self) -> bool {
        !matches!(self.place, Place::Server(_))
    }

    /// The sentinels, if there are any.
    pub(super) fn sentinels(&self) -> Option<&Sentinels> {
        match &self.place {
            Place::Watched(sentinels) => Some(sentinels),
            Place::Server(_) | Place::Slot(..) => None,
        }
    }

    /// Whether it is part of a Redis Cluster.
    pub(super) fn is_clustered(&self) -> bool {
        matches!(self.place, Place::Slot(..))
    }
}

impl fmt::Debug for Address {
    /// The URL without what logs in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// `[user:password@]host:port[/db]`
fn server(url: &str) -> std::result::Result<Place, String> {
    let info = url.into_connection_info().map_err(|error| reason(&error))?;
    Ok(Place::Server(Arc::new(client(info)?)))
}

/// `[user:password@]sentinel:port[,…]/name[/db][?sentinel_user=…&sentinel_password=…]`
fn watched(mut parts: Parts<'_>) -> std::result::Result<Place, String> {
    let user = parts.take("sentinel_user");
    let password = parts.take("sentinel_password");
    if let Some(unknown) = parts.unknown() {
        return Err(format!("unknown setting {unknown:?}"));
    }
    let (name, db) = parts.path.split_once('/').unwrap_or((parts.path, ""));
    if name.is_empty() {
        return Err("names no primary: sentinel:port,sentinel:port/NAME".into());
    }
    if user.is_some() && password.is_none() {
        return Err("has sentinel_user and no sentinel_password".into());
    }
    let sentinels = parts.servers(Login::Other { user, password }, SENTINEL_PORT, "")?;
    let sentinels = sentinels.into_iter().map(client).collect::<std::result::Result<_, _>>()?;
    let server = parts.servers(Login::OfUrl, SENTINEL_PORT, db)?.remove(0);
    Ok(Place::Watched(Arc::new(Sentinels::new(sentinels, name.to_owned(), tuned(server)))))
}

pub(super) fn client(info: ConnectionInfo) -> std::result::Result<Client, String> {
    Client::open(tuned(info)).map_err(|error| reason(&error))
}

/// The same kind of address at another host and port.
pub(super) fn moved(like: &ConnectionAddr, host: String, port: u16) -> ConnectionAddr {
    match like {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    }
}

pub(super) fn tuned(info: ConnectionInfo) -> ConnectionInfo {
    let probes = TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_AFTER);
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(probes)
        .set_user_timeout(PROBE_AFTER * 3);
    let login = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
    info.set_tcp_settings(tcp).set_redis_settings(login)
}

/// Chooses the cryptography of TLS connections, unless the program chose one before.
pub(super) fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _chosen_before = rustls::crypto::ring::default_provider().install_default();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        let text = Address::parse(url).map(|address| format!("{address:?}"));
        text.unwrap_or_else(|error| format!("{error} {error:?}"))
    }

    #[test]
    fn a_wrong_url_is_named_and_the_password_is_not() {
        for url in [
            "redis://user:secret@host:port/0",
            "redis://:secret@host/x",
            "redis://:secret",
            "redis+sentinel://:secret@host:port/m",
            "redis+sentinel://:secret@host/",
            "redis+sentinel://:secret@host/m/x",
            "redis+sentinel://:secret@host/m?colour=1",
            "redis+sentinel://:secret@host/m?sentinel_user=me",
        ] {
            let refused = Address::parse(url).map(|_| ()).unwrap_err();
            let text = format!("{refused} {refused:?}");

            assert!(!text.contains("secret"), "{text}");
            assert!(text.contains("://***"), "{text}");
        }
    }

    #[test]
    fn another_server_is_reached_in_the_same_way() {
        let at = |url: &str| {
            let like = url.into_connection_info().unwrap();
            moved(like.addr(), "there".into(), 7)
        };

        assert_eq!(at("redis://here"), ConnectionAddr::Tcp("there".into(), 7));
        for (url, unsafely) in [("rediss://here", false), ("rediss://here/#insecure", true)] {
            let ConnectionAddr::TcpTls { host, port, insecure, .. } = at(url) else {
                panic!("{url} is reached without TLS");
            };
            assert_eq!((host.as_str(), port, insecure), ("there", 7, unsafely));
        }
    }

    #[test]
    fn sentinels_are_named_with_their_own_login() {
        let url = "redis+sentinel://me:secret@a:1,b/m/2?sentinel_password=other%20secret";

        assert_eq!(shown(url), "redis+sentinel://***@a:1,b/m/2?***");
        let address = Address::parse(url).unwrap();
        assert!(address.moves());
        assert_eq!(address.sentinels().map(Sentinels::count), Some(2));
    }
}
