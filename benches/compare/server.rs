//! The servers that peers and ours use in turn: fresh for each run, and with the same settings.

use crate::mariadb_server::MariadbServer;
use crate::redis_server::RedisServer;
use crate::spent;

/// A server that ends with this value.
pub(crate) enum Server {
    /// In memory, as `redis-server` is without a configuration, and without snapshots.
    Redis(RedisServer),
    /// Each commit is on disk.
    Mariadb(Box<MariadbServer>),
}

impl Server {
    pub(crate) fn redis() -> Self {
        Self::Redis(RedisServer::start(&[]))
    }

    pub(crate) fn mariadb() -> Self {
        let options = ["--innodb-buffer-pool-size=2G", "--innodb-log-file-size=512M"];
        Self::Mariadb(Box::new(MariadbServer::start(&options)))
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Redis(server) => server.url(),
            Self::Mariadb(server) => server.url(),
        }
    }

    /// Seconds of CPU that it has used.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        spent::by(&match self {
            Self::Redis(server) => server.pid().to_string(),
            Self::Mariadb(server) => server.pid(),
        })
    }
}
