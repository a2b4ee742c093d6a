//! Transactions of SQLite that cannot take part, and those that come too late.

use rusqlite::Connection;
use rusqlite::TransactionBehavior;
use taskshed::domain::state::TaskState;
use taskshed::scheduler::Error;
use taskshed::store;
use taskshed::store::Options;
use taskshed::store::Store;
use taskshed::store::sqlite::SqliteStore;

use crate::shop::Shop;
use crate::shop::task;
use crate::sqlite::Tx;
use crate::sqlite::place;

fn refused(tx: &mut Tx, scheduler: &taskshed::Scheduler) -> String {
    let refused = scheduler.add_in(tx, task("a")).unwrap_err();
    assert!(matches!(refused, Error::Store(store::Error::Foreign { .. })), "{refused:?}");
    refused.to_string()
}

/// Only the file of the store will do, not one that has it attached: a machine that dies in a commit
/// could otherwise keep half of it.
#[tokio::test]
async fn a_transaction_on_another_file_is_refused() {
    let place = place().await;
    let scheduler = &place.shop.scheduler;
    let other = Box::leak(Box::new(Connection::open_in_memory().unwrap()));
    let attach = format!("ATTACH '{}' AS shop", place.path().display());
    other.execute_batch(&attach).unwrap();

    let mut tx = other.transaction().unwrap();
    let said = refused(&mut tx, scheduler);

    let ours = place.path().display().to_string();
    assert!(said.contains(&format!("begun on memory, and tasks are kept in {ours}")), "{said}");
    drop(tx);
    assert_eq!(place.shop.find("a").await, None);
}

#[tokio::test]
async fn a_transaction_that_is_over_is_refused() {
    let place = place().await;
    let mut tx = place.begin_as(TransactionBehavior::Immediate);
    tx.execute_batch("COMMIT").unwrap();

    let said = refused(&mut tx, &place.shop.scheduler);

    assert!(said.ends_with("it is over; begin another one"), "{said}");
    assert_eq!(place.shop.find("a").await, None);
}

/// The file of a program that was there first is shared only if that says so.
#[tokio::test]
async fn a_file_with_tables_of_a_program_is_shared_if_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.db");
    let url = format!("sqlite:{}", path.display());
    let mut connection = Connection::open(&path).unwrap();
    connection
        .execute_batch("CREATE TABLE orders (id INTEGER); INSERT INTO orders VALUES (1)")
        .unwrap();
    let store = || SqliteStore::open(&url, Options::default()).unwrap();

    let refused = store().prepare().await.unwrap_err().to_string();
    let (_, remedy) = refused.split_once("share it by ").unwrap();
    connection.execute_batch(remedy.strip_suffix(" before").unwrap()).unwrap();
    let shop = Shop::new(crate::sqlite::open(&url).await);
    let mut tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    tx.execute("INSERT INTO orders VALUES (2)", []).unwrap();
    shop.scheduler.add_in(&mut tx, task("a")).unwrap();
    tx.commit().unwrap();

    assert_eq!(shop.state("a").await, Some(TaskState::Scheduled));
    store().prepare().await.unwrap();
    let count: i64 =
        connection.query_row("SELECT count(*) FROM orders", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 2);
}

/// Nothing is written to a file that has a table with a name of ours.
#[tokio::test]
async fn a_file_with_a_table_of_the_same_name_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.db");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE lease (house TEXT)").unwrap();
    connection.execute_batch("PRAGMA application_id = 1953720420").unwrap();

    let url = format!("sqlite:{}", path.display());
    let refused = SqliteStore::open(&url, Options::default()).unwrap().prepare().await;

    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("table lease already exists"), "{refused}");
    let count: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 1);
}

/// A link to the file, and a table of the connection's own with the name of one of ours, mislead
/// nobody.
#[tokio::test]
async fn a_file_is_known_by_what_it_is() {
    let place = place().await;
    let link = place.path().with_file_name("link.db");
    std::os::unix::fs::symlink(place.path(), &link).unwrap();
    let mut connection = Connection::open(&link).unwrap();
    connection.execute_batch("CREATE TEMP TABLE task (id TEXT)").unwrap();

    let mut tx = connection.transaction().unwrap();
    place.shop.scheduler.add_in(&mut tx, task("a")).unwrap();
    tx.commit().unwrap();

    assert_eq!(place.shop.state("a").await, Some(TaskState::Scheduled));
}

/// A transaction that only read so far cannot write after somebody else did.
#[tokio::test]
async fn a_transaction_that_writes_too_late_is_told_to_begin_so() {
    let place = place().await;
    let scheduler = &place.shop.scheduler;
    let mut tx = place.begin_as(TransactionBehavior::Deferred);
    tx.query_row("SELECT count(*) FROM effect", [], |row| row.get::<_, i64>(0)).unwrap();
    scheduler.add(task("b")).await.unwrap();

    let refused = scheduler.add_in(&mut tx, task("a")).unwrap_err();

    let is_transient = matches!(&refused, Error::Store(store::Error::Unavailable { source, .. })
        if source.to_string().contains("begin IMMEDIATE"));
    assert!(is_transient, "{refused:?}");
}
