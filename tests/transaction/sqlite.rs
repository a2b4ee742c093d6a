//! Transactions of SQLite.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::Transaction;
use rusqlite::TransactionBehavior;
use taskshed::Context;
use taskshed::Scheduler;
use taskshed::Task;
use taskshed::handlers::CompleteError;
use taskshed::scheduler::Added;
use taskshed::scheduler::Result;
use taskshed::store::Existing;
use taskshed::store::Options;
use taskshed::store::Store;
use taskshed::store::sqlite::SqliteStore;
use tempfile::TempDir;

use crate::shop::Shop;

#[path = "suite.rs"]
mod suite;

/// One whose connection is never closed.
pub(crate) type Tx = Transaction<'static>;

/// A file with a shop's own table, and the shop.
pub(crate) struct Place {
    pub(crate) shop: Shop,
    dir: TempDir,
}

pub(crate) async fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&format!("sqlite:{}", dir.path().join("shop.db").display())).await;
    let place = Place { shop: Shop::new(store), dir };
    place.connect().execute_batch("CREATE TABLE effect (name TEXT NOT NULL)").unwrap();
    place
}

impl Place {
    fn connect(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("shop.db")
    }

    #[expect(clippy::unused_async, reason = "the suite awaits it elsewhere")]
    async fn begin(&self) -> Tx {
        self.begin_as(TransactionBehavior::Immediate)
    }

    /// Its connection is never closed, so that the transaction can go anywhere.
    pub(crate) fn begin_as(&self, behavior: TransactionBehavior) -> Tx {
        let connection = Box::leak(Box::new(self.connect()));
        connection.transaction_with_behavior(behavior).unwrap()
    }

    #[expect(clippy::unused_async, reason = "the suite awaits it elsewhere")]
    async fn effects(&self) -> Vec<String> {
        let connection = self.connect();
        let mut found = connection.prepare("SELECT name FROM effect ORDER BY name").unwrap();
        let names = found.query_map([], |row| row.get(0)).unwrap();
        names.map(std::result::Result::unwrap).collect()
    }

    /// Has the database refuse a task with this id.
    #[expect(clippy::unused_async, reason = "the suite awaits it elsewhere")]
    async fn refuse(&self, id: &str) {
        let trigger = format!(
            "CREATE TRIGGER refuse BEFORE INSERT ON task WHEN NEW.id = '{id}'
             BEGIN SELECT RAISE(ABORT, 'refused'); END"
        );
        self.connect().execute_batch(&trigger).unwrap();
    }
}

/// A store that is ready.
pub(crate) async fn open(url: &str) -> Arc<dyn Store> {
    let store = SqliteStore::open(url, Options::default()).unwrap();
    store.prepare().await.unwrap();
    Arc::new(store)
}

async fn effect(tx: &mut Tx, name: &str) {
    tx.execute("INSERT INTO effect (name) VALUES (?1)", [name]).unwrap();
}

async fn commit(tx: Tx) {
    tx.commit().unwrap();
}

async fn rollback(tx: Tx) {
    tx.rollback().unwrap();
}

async fn add_in(scheduler: &Scheduler, tx: &mut Tx, task: Task) -> Result<Added> {
    scheduler.add_in(tx, task)
}

async fn add_all_in<const N: usize>(
    scheduler: &Scheduler,
    tx: &mut Tx,
    tasks: [Task; N],
    existing: Existing,
) -> Result<Vec<Added>> {
    scheduler.add_all_in(tx, tasks, existing)
}

async fn complete_in(ctx: &Context, tx: &mut Tx) -> std::result::Result<(), CompleteError> {
    ctx.complete_in(tx)
}

async fn complete_in_with(
    ctx: &Context,
    tx: &mut Tx,
    result: &str,
) -> std::result::Result<(), CompleteError> {
    ctx.complete_in_with(tx, result)
}
