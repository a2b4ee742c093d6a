//! The least that any layout could do: a due entry and a record in, found by time, and out again.

use mysql_async::Conn;
use mysql_async::Opts;
use mysql_async::prelude::Queryable;
use redis::aio::MultiplexedConnection;
use rusqlite::Connection;
use tokio::task::JoinSet;

use crate::place::Place;
use crate::report::Figure;
use crate::work::timed;

const RECORD: &str = "{\"callback\":\"noop\",\"kwargs\":{\"number\":12345}}";

/// How fast entries go in by one caller, and out by several.
pub(crate) async fn measure(
    place: &mut Place,
    tasks: usize,
    batch: usize,
    callers: usize,
    [into, out]: [String; 2],
) -> [Figure; 2] {
    let (put, taken) = match place {
        Place::Redis(server) => {
            let client = redis::Client::open(server.url()).unwrap();
            let conn = client.get_multiplexed_async_connection().await.unwrap();
            let ((), put) = timed(put_redis(conn.clone(), tasks, batch)).await;
            let mut taking = JoinSet::new();
            for _ in 0..callers {
                taking.spawn(take_redis(conn.clone(), batch));
            }
            (put, timed(taking.join_all()).await.1)
        }
        Place::Sqlite(dir) => {
            let path = dir.path().join("least.db");
            let mut conn = Connection::open(path).unwrap();
            conn.execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 CREATE TABLE t (id INTEGER PRIMARY KEY, due INTEGER, record TEXT);
                 CREATE INDEX t_due ON t (due, id);",
            )
            .unwrap();
            let ((), put) = timed(async { put_sqlite(&mut conn, tasks, batch) }).await;
            (put, timed(async { take_sqlite(&mut conn, batch) }).await.1)
        }
        Place::Mariadb(server, _) => {
            let url = server.url();
            let mut conn = connected(&url).await;
            conn.query_drop(
                "CREATE TABLE t (id BIGINT PRIMARY KEY, due BIGINT, record TEXT, KEY (due, id))",
            )
            .await
            .unwrap();
            let ((), put) = timed(put_mariadb(&mut conn, tasks, batch)).await;
            let mut taking = JoinSet::new();
            for _ in 0..callers {
                taking.spawn(take_mariadb(connected(&url).await, batch));
            }
            (put, timed(taking.join_all()).await.1)
        }
    };
    [Figure::rate(into, tasks, put), Figure::rate(out, tasks, taken)]
}

fn batches(tasks: usize, batch: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..tasks).step_by(batch).map(move |first| first..tasks.min(first + batch))
}

async fn put_redis(mut conn: MultiplexedConnection, tasks: usize, batch: usize) {
    for ids in batches(tasks, batch) {
        let mut pipe = redis::pipe();
        let (mut due, mut records) = (redis::cmd("ZADD"), redis::cmd("HSET"));
        due.arg("due");
        records.arg("records");
        for id in ids {
            due.arg(id).arg(id);
            records.arg(id).arg(RECORD);
        }
        pipe.atomic().add_command(due).add_command(records);
        pipe.query_async::<()>(&mut conn).await.unwrap();
    }
}

async fn take_redis(mut conn: MultiplexedConnection, batch: usize) {
    loop {
        let popped: Vec<String> =
            redis::cmd("ZPOPMIN").arg("due").arg(batch).query_async(&mut conn).await.unwrap();
        if popped.is_empty() {
            return;
        }
        let ids: Vec<_> = popped.into_iter().step_by(2).collect();
        let read = redis::cmd("HMGET").arg("records").arg(&ids).to_owned();
        let _: Vec<String> = read.query_async(&mut conn).await.unwrap();
        let drop = redis::cmd("HDEL").arg("records").arg(&ids).to_owned();
        let _: usize = drop.query_async(&mut conn).await.unwrap();
    }
}

fn put_sqlite(conn: &mut Connection, tasks: usize, batch: usize) {
    for ids in batches(tasks, batch) {
        let tx = conn.transaction().unwrap();
        for id in ids {
            let mut insert = tx.prepare_cached("INSERT INTO t VALUES (?1, ?1, ?2)").unwrap();
            insert.execute((i64::try_from(id).unwrap(), RECORD)).unwrap();
        }
        tx.commit().unwrap();
    }
}

fn take_sqlite(conn: &mut Connection, batch: usize) {
    let batch = i64::try_from(batch).unwrap();
    loop {
        let tx = conn.transaction().unwrap();
        let taken = {
            let text = "DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY due, id LIMIT ?1) RETURNING record";
            let mut take = tx.prepare_cached(text).unwrap();
            take.query_map([batch], |row| row.get::<_, String>(0)).unwrap().count()
        };
        tx.commit().unwrap();
        if taken == 0 {
            return;
        }
    }
}

async fn connected(url: &str) -> Conn {
    let mut conn = Conn::new(Opts::from_url(url).unwrap()).await.unwrap();
    conn.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await.unwrap();
    conn
}

async fn put_mariadb(conn: &mut Conn, tasks: usize, batch: usize) {
    for ids in batches(tasks, batch) {
        let rows: Vec<_> = ids.map(|id| format!("({id},{id},'{RECORD}')")).collect();
        conn.query_drop(format!("INSERT INTO t VALUES {}", rows.join(","))).await.unwrap();
    }
}

/// Takes until nothing is left. Even the least layout meets itself in deadlocks now and then.
async fn take_mariadb(mut conn: Conn, batch: usize) {
    loop {
        let taken = take_some(&mut conn, batch).await;
        let end = if taken.is_ok() { "COMMIT" } else { "ROLLBACK" };
        conn.query_drop(end).await.unwrap();
        if let Ok(0) = taken {
            return;
        }
    }
}

async fn take_some(conn: &mut Conn, batch: usize) -> mysql_async::Result<usize> {
    conn.query_drop("START TRANSACTION").await?;
    let text = format!(
        "SELECT id, record FROM t FORCE INDEX (due) ORDER BY due, id LIMIT {batch} FOR UPDATE SKIP LOCKED"
    );
    let rows: Vec<(i64, String)> = conn.query(text).await?;
    if !rows.is_empty() {
        let ids: Vec<_> = rows.iter().map(|(id, _)| id.to_string()).collect();
        let ids = ids.join(",");
        conn.query_drop(format!("DELETE t FROM t FORCE INDEX (PRIMARY) WHERE id IN ({ids})"))
            .await?;
    }
    Ok(rows.len())
}
