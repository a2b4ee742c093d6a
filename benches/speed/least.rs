//! The least that any layout could do: a due entry and a record in, found by time, and out again.
//!
//! Redis gets one step for each batch, with several under way: a transaction that puts, a script that
//! takes. SQLite has one writer, so each of its commits has as many batches as there are callers,
//! which is what the store's own writer does with calls that wait. MariaDB gets a connection for each caller.

use mysql_async::Conn;
use mysql_async::Opts;
use mysql_async::prelude::Queryable;
use rusqlite::Connection;
use tokio::task::JoinSet;

use crate::place::Place;
use crate::redis_server::RedisServer;
use crate::replay::Wire;
use crate::report::Figure;
use crate::work::timed;

/// Takes the first ones and their records.
const TAKE: &str = "local popped, ids = redis.call('ZPOPMIN', 'due', ARGV[1]), {}
for i = 1, #popped, 2 do ids[#ids + 1] = popped[i] end
local records = redis.call('HMGET', 'records', unpack(ids))
redis.call('HDEL', 'records', unpack(ids))
return records";

/// How fast entries go in, and out.
pub(crate) async fn measure(
    place: &mut Place,
    tasks: usize,
    batch: usize,
    callers: usize,
) -> [Figure; 2] {
    let (put, taken) = match place {
        Place::Redis(server) => {
            let mut wire = Wire::connect(server);
            let (puts, takes) = (puts(tasks, batch), takes(server, tasks, batch));
            // MULTI, two commands that are queued, and EXEC.
            let put = timed(async { wire.pipelined(&puts, 4, callers) }).await.1;
            let (taken, took) = timed(async { wire.pipelined(&takes, 1, callers) }).await;
            let all = format!("*{batch}\r\n");
            assert!(taken.iter().all(|answer| answer.starts_with(all.as_bytes())));
            (put, took)
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
            let put = timed(async { put_sqlite(&mut conn, tasks, batch * callers) }).await.1;
            (put, timed(async { take_sqlite(&mut conn, batch, callers) }).await.1)
        }
        Place::Mariadb(server, _) => {
            let url = server.url();
            let mut conn = connected(&url).await;
            conn.query_drop(
                "CREATE TABLE t (id BIGINT PRIMARY KEY, due BIGINT, record TEXT, KEY (due, id))",
            )
            .await
            .unwrap();
            let (mut putting, mut taking) = (JoinSet::new(), JoinSet::new());
            for caller in 0..callers {
                let own = batches(tasks, batch).skip(caller).step_by(callers);
                putting.spawn(put_mariadb(connected(&url).await, own));
            }
            let put = timed(putting.join_all()).await.1;
            for _ in 0..callers {
                taking.spawn(take_mariadb(connected(&url).await, batch));
            }
            (put, timed(taking.join_all()).await.1)
        }
    };
    [("in", put), ("out", taken)]
        .map(|(way, took)| Figure::rate(format!("the least: {way} by {batch}"), tasks, took))
}

fn record() -> String {
    let text = "x".repeat(80);
    format!("{{\"callback\":\"noop\",\"kwargs\":{{\"number\":12345,\"text\":\"{text}\"}}}}")
}

fn batches(tasks: usize, batch: usize) -> impl Iterator<Item = std::ops::Range<usize>> + Send {
    (0..tasks).step_by(batch).map(move |first| first..tasks.min(first + batch))
}

fn puts(tasks: usize, batch: usize) -> Vec<Vec<u8>> {
    let record = record();
    let put = |ids: std::ops::Range<usize>| {
        let (mut due, mut records) = (redis::cmd("ZADD"), redis::cmd("HSET"));
        due.arg("due");
        records.arg("records");
        for id in ids {
            due.arg(id).arg(id);
            records.arg(id).arg(&record);
        }
        let mut pipe = redis::pipe();
        pipe.atomic().add_command(due).add_command(records);
        pipe.get_packed_pipeline()
    };
    batches(tasks, batch).map(put).collect()
}

fn takes(server: &RedisServer, tasks: usize, batch: usize) -> Vec<Vec<u8>> {
    let mut conn = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let sha = redis::Script::new(TAKE).prepare_invoke().load(&mut conn).unwrap();
    let take = redis::cmd("EVALSHA").arg(sha).arg(0).arg(batch).get_packed_command();
    vec![take; tasks / batch]
}

fn put_sqlite(conn: &mut Connection, tasks: usize, batch: usize) {
    let record = record();
    for ids in batches(tasks, batch) {
        let tx = conn.transaction().unwrap();
        for id in ids {
            let mut insert = tx.prepare_cached("INSERT INTO t VALUES (?1, ?1, ?2)").unwrap();
            insert.execute((i64::try_from(id).unwrap(), &record)).unwrap();
        }
        tx.commit().unwrap();
    }
}

fn take_sqlite(conn: &mut Connection, batch: usize, callers: usize) {
    let batch = i64::try_from(batch).unwrap();
    let text =
        "DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY due, id LIMIT ?1) RETURNING record";
    loop {
        let (tx, mut taken) = (conn.transaction().unwrap(), 0);
        for _ in 0..callers {
            let mut take = tx.prepare_cached(text).unwrap();
            taken += take.query_map([batch], |row| row.get::<_, String>(0)).unwrap().count();
        }
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

async fn put_mariadb(mut conn: Conn, batches: impl Iterator<Item = std::ops::Range<usize>>) {
    let record = record();
    for ids in batches {
        let rows: Vec<_> = ids.map(|id| format!("({id},{id},'{record}')")).collect();
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
