//! The file, the thread and the commits, with steps that only name queues.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::store::Store;

use super::*;
use crate::store::sql::Answer;
use crate::store::sql::Statement;
use crate::store::sql::Step;
use crate::store::sql::Trouble;
use crate::store::sql::Tx;
use crate::store::sql::Value;

static PUT: Statement =
    Statement::new("-- put\nREPLACE INTO queue (ns, name, paused)\nVALUES (?, ?, 0)\n");
static NAMES: Statement =
    Statement::new("-- names\nSELECT name\nFROM queue\nWHERE ns = ?\nORDER BY name\n");

/// Puts a queue there, and then refuses if it is to fail.
#[derive(Clone)]
struct Put(String, bool);

impl Step for Put {
    type Reply = ();

    const METHOD: &'static str = "add";

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<()> {
        let row = vec![tx.ns().into(), self.0.as_str().into()];
        tx.insert(&PUT, vec![row]).await?;
        if self.1 { Err(Trouble::Refused(Error::Cursor)) } else { Ok(()) }
    }
}

#[derive(Clone)]
struct Names;

impl Step for Names {
    type Reply = Vec<String>;

    const METHOD: &'static str = "stats";
    const READS: bool = true;

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<Vec<String>> {
        let rows = tx.rows(&NAMES, vec![tx.ns().into()]).await?;
        let text = |row: &Vec<Value>| match &row[0] {
            Value::Text(text) => text.clone(),
            other => panic!("{other:?}"),
        };
        Ok(rows.iter().map(text).collect())
    }
}

struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("tasks.db")
    }

    fn store(&self) -> SqliteStore {
        let url = format!("sqlite:{}", self.path().display());
        SqliteStore::open(&url, Options::default()).unwrap()
    }

    async fn prepared(&self) -> SqliteStore {
        let store = self.store();
        store.prepare().await.unwrap();
        store
    }

    /// Another process that writes.
    fn held(&self) -> Connection {
        let other = Connection::open(self.path()).unwrap();
        other.execute_batch(BEGIN).unwrap();
        other
    }

    /// How many commits are in the log.
    fn commits(&self) -> usize {
        const HEADER: usize = 32;
        const FRAME: usize = 24 + 4096;
        let log = std::fs::read(self.dir.path().join("tasks.db-wal")).unwrap();
        log[HEADER..].chunks(FRAME).filter(|frame| frame[4..8] != [0; 4]).count()
    }
}

const BEGIN: &str = "BEGIN IMMEDIATE";

async fn put(store: &SqliteStore, name: &str) -> Result<()> {
    store.writer.step(Put(name.into(), false)).await
}

async fn names(store: &SqliteStore) -> Vec<String> {
    store.writer.step(Names).await.unwrap()
}

fn problem<T: std::fmt::Debug>(reply: Result<T>) -> String {
    let error = reply.unwrap_err();
    let source = std::error::Error::source(&error).map(ToString::to_string);
    format!("{error}: {}", source.unwrap_or_default())
}

fn change(path: &Path, text: &str) {
    Connection::open(path).unwrap().execute_batch(text).unwrap();
}

/// Guards T1: what is answered is in the file.
#[tokio::test]
async fn calls_that_gather_are_committed_together() {
    let place = Place::new();
    let store = place.prepared().await;
    let before = place.commits();
    let held = place.held();

    let calls = async {
        let first = put(&store, "first");
        let others = (0..50).map(|n| put_numbered(&store, n));
        tokio::join!(first, join_all(others))
    };
    let release = async {
        tokio::task::yield_now().await;
        drop(held);
    };
    let ((first, others), ()) = tokio::join!(calls, release);

    first.unwrap();
    assert!(others.into_iter().all(|reply| reply.is_ok()));
    assert_eq!(names(&store).await.len(), 51);
    let commits = place.commits() - before;
    assert!(commits <= 2, "{commits} commits for what was asked while the file was held");
}

async fn put_numbered(store: &SqliteStore, n: usize) -> Result<()> {
    put(store, &format!("queue-{n}")).await
}

#[tokio::test]
async fn a_step_that_fails_is_taken_back_alone() {
    let place = Place::new();
    let store = place.prepared().await;
    let held = place.held();

    let failing = store.writer.step(Put("failing".into(), true));
    let calls =
        async { tokio::join!(put(&store, "a"), put(&store, "b"), failing, put(&store, "c")) };
    let release = async {
        tokio::task::yield_now().await;
        drop(held);
    };
    let ((a, b, failed, c), ()) = tokio::join!(calls, release);

    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert!(matches!(failed, Err(Error::Cursor)));
    assert_eq!(names(&store).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn reads_do_not_wait_for_another_process_that_writes() {
    let place = Place::new();
    let store = place.prepared().await;
    put(&store, "a").await.unwrap();
    let held = place.held();

    assert_eq!(names(&store).await, ["a"]);

    drop(held);
}

/// A writer that never lets go is an outage, which ends.
#[tokio::test]
async fn a_file_that_another_process_holds_is_out_of_reach() {
    let place = Place::new();
    let store = place.prepared().await;
    let held = place.held();

    let started = SystemClock.steady();
    let reading = store.writer.step(Names);
    let calls =
        async { tokio::join!(put(&store, "a"), put(&store, "b"), reading, put(&store, "c")) };
    let (a, b, read, c) = calls.await;
    for refused in [a, b, c] {
        assert!(problem(refused).contains("another process held"));
    }
    assert!(read.unwrap().is_empty());
    let waited = SystemClock.steady().saturating_sub(started);
    assert!(waited < 3 * link::BUSY_FOR, "calls waited one after the other: {waited:?}");

    drop(held);
    put(&store, "a").await.unwrap();
}

#[tokio::test]
async fn a_store_apart_writes_to_the_same_file() {
    let place = Place::new();
    let store = place.prepared().await;
    let apart =
        SqliteStore { home: Arc::clone(&store.home), writer: Writer::new(Arc::clone(&store.home)) };

    let names_of = |start: &'static str| (0..100).map(move |n| format!("{start}{n}"));
    let here = async {
        for name in names_of("here") {
            put(&store, &name).await.unwrap();
        }
    };
    let there = async {
        for name in names_of("there") {
            put(&apart, &name).await.unwrap();
        }
    };
    tokio::join!(here, there);

    assert_eq!(names(&store).await.len(), 200);
}

#[tokio::test]
async fn handles_that_start_at_once_make_one_schema() {
    let place = Place::new();
    let stores: Vec<_> = (0..8).map(|_| place.store()).collect();

    let made = join_all(stores.iter().map(SqliteStore::migrate)).await;

    let made: Vec<_> = made.into_iter().flat_map(|made| made.unwrap().steps).collect();
    assert_eq!(made.len(), 1, "{made:?}");
}

#[tokio::test]
async fn another_schema_is_refused_and_left_alone() {
    let place = Place::new();
    place.prepared().await;
    change(&place.path(), "UPDATE schema_version SET version = 2");

    let refused = place.store().prepare().await.unwrap_err();

    assert!(matches!(&refused, Error::Schema { found, wanted: 1 } if found == "2"), "{refused}");
    assert!(matches!(put(&place.store(), "a").await, Err(Error::Schema { .. })));
}

#[tokio::test]
async fn the_file_of_another_program_is_left_alone() {
    let place = Place::new();
    change(&place.path(), "CREATE TABLE photos (name TEXT)");
    let before = std::fs::read(place.path()).unwrap();

    assert!(problem(place.store().prepare().await).contains("another program"));
    assert_eq!(std::fs::read(place.path()).unwrap(), before);

    std::fs::write(place.path(), "Dear diary,".repeat(100)).unwrap();
    let refused = place.store().prepare().await.unwrap_err();
    assert!(matches!(refused, Error::Unusable { .. }), "{refused}");
}

/// What would be written to a file that was moved away would be lost.
#[tokio::test]
async fn a_file_that_was_moved_is_not_written() {
    let place = Place::new();
    let store = place.prepared().await;
    put(&store, "a").await.unwrap();
    let elsewhere = Place::new();
    let files = ["tasks.db", "tasks.db-wal", "tasks.db-shm"];
    let move_all = |from: &Place, to: &Place| {
        for file in files {
            let _some_are_gone_when_nobody_is_connected =
                std::fs::rename(from.dir.path().join(file), to.dir.path().join(file));
        }
    };

    move_all(&place, &elsewhere);
    assert!(problem(put(&store, "b").await).contains("cannot be opened"));

    change(&place.path(), "");
    assert!(problem(put(&store, "b").await).contains("not the file that was prepared"));
    for file in files {
        let _some_are_not_there = std::fs::remove_file(place.dir.path().join(file));
    }

    move_all(&elsewhere, &place);
    put(&store, "c").await.unwrap();
    assert_eq!(names(&store).await, ["a", "c"]);
}

#[tokio::test]
async fn a_store_without_a_directory_says_what_to_do() {
    let dir = TempDir::new().unwrap();
    let url = format!("sqlite:{}/none/tasks.db", dir.path().display());
    let store = SqliteStore::open(&url, Options::default()).unwrap();

    let refused = tokio::time::timeout(Duration::from_secs(5), store.prepare()).await.unwrap();

    assert!(problem(refused).contains("none/tasks.db cannot be opened"));
}

#[test]
fn a_file_has_no_replicas() {
    let options = Options { durability: "replicated:1".parse().unwrap(), ..Options::default() };

    let refused = SqliteStore::open("sqlite:a.db", options).unwrap_err().to_string();

    assert!(refused.contains("no replicas"), "{refused}");
}
