//! Private places for tasks, each as durable as its server is by default or better.

use std::sync::Arc;

use taskshed::store;
use taskshed::store::Options;
use taskshed::store::Store;
use taskshed::store::mysql::MysqlStore;
use tempfile::TempDir;

use crate::mariadb_server::MariadbServer;
use crate::redis_server::RedisServer;

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
            Self::Redis(server) => store::connect(&server.url()).await.unwrap(),
            Self::Sqlite(dir) => {
                let path = dir.path().join("tasks.db");
                store::connect(&format!("sqlite:{}", path.display())).await.unwrap()
            }
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

    /// How often steps met each other, where they do.
    pub(crate) fn repeats(&self) -> String {
        let Self::Mariadb(_, opened) = self else { return String::new() };
        let (mut taken, mut repeated, mut statements) = (0, 0, 0);
        for store in opened {
            let steps = store.steps();
            taken += steps.taken;
            repeated += steps.repeated;
            statements += steps.statements;
        }
        format!(", {repeated} of {taken} steps with {statements} statements repeated")
    }
}
