//! Transactions of SQLite that cannot take part, and those that come too late.

use rusqlite::Connection;
use rusqlite::TransactionBehavior;
use taskshed::domain::state::TaskState;
use taskshed::scheduler::Error;
use taskshed::store;

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
