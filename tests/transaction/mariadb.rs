//! Transactions of MariaDB, by its default isolation and by the weaker one.

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use mysql_async::IsolationLevel;
use mysql_async::Opts;
use mysql_async::OptsBuilder;
use mysql_async::Pool;
use mysql_async::Transaction;
use mysql_async::TxOpts;
use mysql_async::prelude::Queryable;
use taskshed::Context;
use taskshed::Scheduler;
use taskshed::Task;
use taskshed::handlers::CompleteError;
use taskshed::scheduler::Added;
use taskshed::scheduler::Result;
use taskshed::store::Existing;
use taskshed::store::Options;
use taskshed::store::Store;
use taskshed::store::mysql::MysqlStore;

use crate::mariadb_server::MariadbServer;
use crate::shop::Shop;

static SERVER: LazyLock<MariadbServer> =
    LazyLock::new(|| MariadbServer::start(&["--max-connections=500"]));

static COUNT: AtomicU64 = AtomicU64::new(0);

/// One whose connection goes back to the pool.
pub(crate) type Tx = Transaction<'static>;

/// A database with a shop's own table, and the shop.
pub(crate) struct Place {
    pub(crate) shop: Shop,
    pub(crate) url: String,
    pool: Pool,
    isolation: IsolationLevel,
}

impl Place {
    pub(crate) async fn new(isolation: IsolationLevel) -> Self {
        let url = SERVER.database(&format!("d{}", COUNT.fetch_add(1, Ordering::Relaxed))).await;
        let store = open(&url).await;
        let pool = pool(&url, "SET innodb_lock_wait_timeout = 20");
        let place = Self { shop: Shop::new(store), url, pool, isolation };
        place.tell("CREATE TABLE effect (name VARCHAR(64) NOT NULL) ENGINE = InnoDB").await;
        place
    }

    pub(crate) async fn begin(&self) -> Tx {
        let mut opts = TxOpts::default();
        opts.with_isolation_level(self.isolation);
        self.pool.start_transaction(opts).await.unwrap()
    }

    pub(crate) async fn effects(&self) -> Vec<String> {
        let mut conn = self.pool.get_conn().await.unwrap();
        conn.query("SELECT name FROM effect ORDER BY name").await.unwrap()
    }

    /// Has the database refuse a task with this id.
    pub(crate) async fn refuse(&self, id: &str) {
        self.tell(&format!(
            "CREATE TRIGGER refuse BEFORE INSERT ON task FOR EACH ROW
             IF NEW.id = '{id}' THEN SIGNAL SQLSTATE '45000'; END IF"
        ))
        .await;
    }

    pub(crate) async fn tell(&self, text: &str) {
        self.pool.get_conn().await.unwrap().query_drop(text).await.unwrap();
    }
}

/// A store that is ready.
pub(crate) async fn open(url: &str) -> Arc<dyn Store> {
    let store = MysqlStore::open(url, Options::default()).unwrap();
    store.migrate().await.unwrap();
    store.prepare().await.unwrap();
    Arc::new(store)
}

fn pool(url: &str, setup: &str) -> Pool {
    let opts = OptsBuilder::from_opts(Opts::from_url(url).unwrap()).setup(vec![setup]);
    Pool::new(opts)
}

pub(crate) async fn effect(tx: &mut Tx, name: &str) {
    tx.exec_drop("INSERT INTO effect (name) VALUES (?)", (name,)).await.unwrap();
}

pub(crate) async fn commit(tx: Tx) {
    tx.commit().await.unwrap();
}

pub(crate) async fn rollback(tx: Tx) {
    tx.rollback().await.unwrap();
}

pub(crate) async fn add_in(scheduler: &Scheduler, tx: &mut Tx, task: Task) -> Result<Added> {
    scheduler.add_in(tx, task).await
}

pub(crate) async fn add_all_in<const N: usize>(
    scheduler: &Scheduler,
    tx: &mut Tx,
    tasks: [Task; N],
    existing: Existing,
) -> Result<Vec<Added>> {
    scheduler.add_all_in(tx, tasks, existing).await
}

pub(crate) async fn complete_in(
    ctx: &Context,
    tx: &mut Tx,
) -> std::result::Result<(), CompleteError> {
    ctx.complete_in(tx).await
}

pub(crate) async fn complete_in_with(
    ctx: &Context,
    tx: &mut Tx,
    result: &str,
) -> std::result::Result<(), CompleteError> {
    ctx.complete_in_with(tx, result).await
}
