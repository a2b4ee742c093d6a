//! Private places for tasks, each as durable as its server is by default or better.

use std::sync::Arc;

use taskshed::store;
use taskshed::store::Options;
use taskshed::store::Store;
use taskshed::store::mysql::MysqlStore;
use tempfile::TempDir;

use crate::mariadb_server::MariadbServer;
use crate::redis_server::RedisServer;
use crate::report::Figure;
use crate::report::of;
use crate::work::cpu_seconds;

/// The kinds of stores, by the names that select them.
pub(crate) const KINDS: [&str; 3] = ["redis", "sqlite", "mariadb"];

/// Enough memory for a million tasks, as a server for production has.
const MARIADB: [&str; 2] = ["--innodb-buffer-pool-size=2G", "--innodb-log-file-size=512M"];

/// An empty place, which ends with this value.
pub(crate) enum Place {
    Redis(RedisServer),
    Sqlite(TempDir),
    Mariadb(Box<MariadbServer>, Vec<Arc<MysqlStore>>),
}

impl Place {
    /// A new one of a kind.
    pub(crate) fn new(kind: &str) -> Self {
        match kind {
            "redis" => Self::Redis(RedisServer::start(&[])),
            "sqlite" => Self::Sqlite(TempDir::new().unwrap()),
            "mariadb" => Self::Mariadb(Box::new(MariadbServer::start(&MARIADB)), Vec::new()),
            other => panic!("{other} is no kind of store"),
        }
    }

    /// Another store of it, as another process would open one.
    pub(crate) async fn open(&mut self) -> Arc<dyn Store> {
        match self {
            Self::Redis(_) | Self::Sqlite(_) => store::connect(&self.url()).await.unwrap(),
            Self::Mariadb(server, opened) => {
                let opening = MysqlStore::open(&server.url(), Options::default()).unwrap();
                opening.migrate().await.unwrap();
                opening.prepare().await.unwrap();
                let store = Arc::new(opening);
                opened.push(Arc::clone(&store));
                store
            }
        }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Redis(server) => server.url(),
            Self::Sqlite(dir) => format!("sqlite:{}", dir.path().join("tasks.db").display()),
            Self::Mariadb(server, _) => server.url(),
        }
    }

    /// How often steps met each other, where they do.
    pub(crate) fn repeats(&self) -> Vec<Figure> {
        let Self::Mariadb(_, opened) = self else { return Vec::new() };
        let (mut repeated, mut statements) = (0, 0);
        for store in opened {
            let steps = store.steps();
            repeated += steps.repeated;
            statements += steps.statements;
        }
        let counted = |name, count: u64| Figure::new(name, of(usize::try_from(count).unwrap()), "");
        vec![counted("statements", statements), counted("steps repeated", repeated)]
    }

    /// Steps that stores have taken: scripts that a Redis server ran, transactions of MariaDB.
    pub(crate) fn calls(&self) -> Option<f64> {
        match self {
            Self::Redis(server) => {
                let answer = server.tell("INFO commandstats");
                let scripts = answer.lines().filter(|line| line.contains("_evalsha:"));
                let calls = scripts.filter_map(|line| line.split("calls=").nth(1));
                let calls = calls.filter_map(|rest| rest.split(',').next()?.parse::<f64>().ok());
                Some(calls.sum())
            }
            Self::Sqlite(_) => None,
            Self::Mariadb(_, opened) => {
                let taken = opened.iter().map(|store| store.steps().taken);
                Some(of(usize::try_from(taken.sum::<u64>()).unwrap()))
            }
        }
    }

    /// Seconds of CPU that the server has used, if there is one and it tells.
    pub(crate) fn server_cpu(&self) -> Option<f64> {
        match self {
            Self::Redis(server) => {
                let spent = |name| info(server, "cpu", name);
                Some(spent("used_cpu_user") + spent("used_cpu_sys"))
            }
            Self::Sqlite(_) => None,
            Self::Mariadb(server, _) => Some(cpu_seconds(&server.pid())),
        }
    }

    /// Bytes that a Redis server holds.
    pub(crate) fn memory(&self) -> Option<f64> {
        match self {
            Self::Redis(server) => Some(info(server, "memory", "used_memory")),
            Self::Sqlite(_) | Self::Mariadb(..) => None,
        }
    }
}

fn info(server: &RedisServer, section: &str, name: &str) -> f64 {
    let answer = server.tell(&format!("INFO {section}"));
    let value = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.and_then(|value| value.trim().parse().ok()).unwrap()
}
