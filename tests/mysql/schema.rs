//! Tables are made by a command, once, whoever else is at work.

use futures_util::future::join_all;
use mysql_async::prelude::Queryable;
use taskshed::store::Error;
use taskshed::store::Migrated;
use taskshed::store::Store;
use taskshed::store::Tasks;

use super::MariadbServer;
use super::fixture::add_one;
use super::fixture::find;
use super::fixture::is_unavailable;
use super::fixture::open;
use super::fixture::operator;
use super::fixture::ready;
use super::fixture::tell;

#[tokio::test]
async fn an_empty_database_is_refused_with_the_command_that_makes_tables() {
    let server = MariadbServer::start(&[]);
    let store = open(&server);

    let refused = store.prepare().await.unwrap_err();

    assert!(matches!(refused, Error::Schema { .. }), "{refused:?}");
    assert!(refused.to_string().contains("taskshed migrate --store URL"), "{refused}");
    assert_eq!(store.migrate().await.unwrap().steps.len(), 1);
    assert_eq!(store.migrate().await.unwrap(), Migrated::default());
    store.prepare().await.unwrap();
}

#[tokio::test]
async fn of_migrations_at_the_same_time_one_takes_each_step() {
    let server = MariadbServer::start(&[]);
    let stores: Vec<_> = (0..6).map(|_| open(&server)).collect();

    let migrated = join_all(stores.iter().map(Store::migrate)).await;

    let steps: usize = migrated.into_iter().map(|migrated| migrated.unwrap().steps.len()).sum();
    assert_eq!(steps, 1);
}

/// A migration that was killed between its tables and its version.
#[tokio::test]
async fn an_interrupted_migration_is_taken_up_again() {
    let server = MariadbServer::start(&[]);
    let store = ready(&server).await;
    add_one(&store, "a").await.unwrap();
    tell(&server, "DROP TABLE fence").await;
    tell(&server, "UPDATE schema_version SET version = 0").await;

    assert_eq!(store.migrate().await.unwrap().steps.len(), 1);

    store.prepare().await.unwrap();
    assert!(find(&store, "a").await.is_some(), "tasks stay");
}

/// A statement that fails after others of the same request did not is not passed over.
#[tokio::test]
async fn a_migration_that_cannot_make_a_table_fails() {
    let server = MariadbServer::start(&["--lock-wait-timeout=1"]);
    let store = open(&server);
    let mut holder = operator(&server).await;
    holder.query_drop("CREATE TABLE lease (a INT)").await.unwrap();
    holder.query_drop("LOCK TABLES lease WRITE").await.unwrap();

    let refused = store.migrate().await;
    assert!(is_unavailable(&refused), "{refused:?}");
    assert!(matches!(store.prepare().await, Err(Error::Schema { .. })), "no version was set");

    holder.query_drop("DROP TABLE lease").await.unwrap();
    drop(holder);
    assert_eq!(store.migrate().await.unwrap().steps.len(), 1);
    store.prepare().await.unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let server = MariadbServer::start(&[]);
    let store = ready(&server).await;
    tell(&server, "UPDATE schema_version SET version = 99").await;

    for refused in [store.prepare().await, store.migrate().await.map(|_| ())] {
        let refused = refused.unwrap_err();
        assert!(matches!(&refused, Error::Schema { found, .. } if found == "99"), "{refused:?}");
    }
    assert!(store.stats().await.is_ok(), "nodes that run go on");
}

#[tokio::test]
async fn namespaces_share_tables_and_no_tasks() {
    let server = MariadbServer::start(&[]);
    let one = ready(&server).await;
    let options = taskshed::store::Options {
        namespace: "other".parse().unwrap(),
        ..taskshed::store::Options::default()
    };
    let other = taskshed::store::mysql::MysqlStore::open(&server.url(), options).unwrap();
    other.prepare().await.unwrap();

    add_one(&one, "a").await.unwrap();

    assert!(find(&other, "a").await.is_none());
    assert!(find(&one, "a").await.is_some());
}
