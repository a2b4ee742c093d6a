//! The servers that peers and ours use in turn: fresh for each run, and with the same settings.

use crate::mariadb_server::MariadbServer;
use crate::redis_server::RedisServer;
use crate::speed_report::of;

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
        match self {
            Self::Redis(server) => {
                let answer = server.tell("INFO cpu");
                let spent = |name| {
                    let value = answer.lines().find_map(|line| line.strip_prefix(name));
                    value.and_then(|value| value.trim().parse::<f64>().ok()).unwrap()
                };
                spent("used_cpu_user:") + spent("used_cpu_sys:")
            }
            Self::Mariadb(server) => {
                let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid()));
                let stat = stat.unwrap();
                let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
                let ticks = fields[11..13].iter().map(|ticks| ticks.parse::<usize>().unwrap());
                of(ticks.sum()) / 100.0
            }
        }
    }
}
