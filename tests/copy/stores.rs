//! The stores that must be alike.

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use taskshed::clock::ManualClock;
use taskshed::store::Options;
use taskshed::store::Store;
use taskshed::store::connect::in_memory;

/// All kinds, the model of the others first.
pub(crate) const KINDS: &[Kind] = &[
    Kind::Memory,
    #[cfg(feature = "redis")]
    Kind::Cluster,
    #[cfg(feature = "sqlite")]
    Kind::Sqlite,
    #[cfg(feature = "redis")]
    Kind::Redis,
    #[cfg(feature = "mysql")]
    Kind::Mariadb,
];

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    #[cfg(feature = "redis")]
    Cluster,
    #[cfg(feature = "sqlite")]
    Sqlite,
    #[cfg(feature = "redis")]
    Redis,
    #[cfg(feature = "mysql")]
    Mariadb,
}

impl Kind {
    /// An empty store in a namespace of its own that goes by `clock`.
    pub(crate) async fn fresh(self, clock: &ManualClock) -> Arc<dyn Store> {
        let shared = Arc::new(clock.clone());
        let store: Arc<dyn Store> = match self {
            Self::Memory => in_memory(shared, options()),
            #[cfg(feature = "sqlite")]
            Self::Sqlite => {
                use taskshed::store::sqlite::SqliteStore;

                let url = format!("sqlite:{}", FOLDER.path().join("tasks.db").display());
                Arc::new(SqliteStore::open(&url, options()).unwrap().with_clock(shared))
            }
            #[cfg(feature = "redis")]
            Self::Cluster => {
                use taskshed::store::redis::ClusterStore;

                let store = ClusterStore::open(&CLUSTER.url(3), options()).unwrap();
                Arc::new(store.with_clock(shared))
            }
            #[cfg(feature = "redis")]
            Self::Redis => {
                use taskshed::store::redis::RedisStore;

                let store = RedisStore::open(&REDIS.url(), options()).unwrap();
                Arc::new(store.with_clock(shared))
            }
            #[cfg(feature = "mysql")]
            Self::Mariadb => {
                use taskshed::store::mysql::MysqlStore;

                let store = MysqlStore::open(&MARIADB.url(), options()).unwrap();
                Arc::new(store.with_clock(shared))
            }
        };
        store.migrate().await.unwrap();
        store.prepare().await.unwrap();
        store
    }
}

#[cfg(feature = "sqlite")]
static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::TempDir::new().unwrap());

#[cfg(feature = "redis")]
static REDIS: LazyLock<crate::redis_server::RedisServer> =
    LazyLock::new(|| crate::redis_server::RedisServer::start(&[]));

#[cfg(feature = "redis")]
static CLUSTER: LazyLock<crate::redis_cluster::RedisCluster> =
    LazyLock::new(|| crate::redis_cluster::RedisCluster::start(0, &[]));

#[cfg(feature = "mysql")]
static MARIADB: LazyLock<crate::mariadb_server::MariadbServer> =
    LazyLock::new(|| crate::mariadb_server::MariadbServer::start(&[]));

fn options() -> Options {
    static COUNT: AtomicU64 = AtomicU64::new(0);

    let namespace = format!("n{}", COUNT.fetch_add(1, Ordering::Relaxed));
    Options { namespace: namespace.parse().unwrap(), ..Options::default() }
}
