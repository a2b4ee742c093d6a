//! What a server does to a store, and what must hold then.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use mysql_async::Row;
use mysql_async::prelude::Queryable;
use serde_json::json;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::domain::draft::Task;
use taskshed::domain::durability::Durability;
use taskshed::store::Acked;
use taskshed::store::AddOutcome;
use taskshed::store::Error;
use taskshed::store::Options;
use taskshed::store::Queue;
use taskshed::store::Severity;
use taskshed::store::Store;
use taskshed::store::Tasks;
use taskshed::store::mysql::MysqlStore;

use super::MariadbServer;
use super::disk::SmallDisk;
use super::fixture::SECOND;
use super::fixture::add_one;
use super::fixture::ask;
use super::fixture::find;
use super::fixture::is_unavailable;
use super::fixture::operator;
use super::fixture::ready;
use super::fixture::tell;
use super::requests::add;
use super::requests::claim;
use super::requests::completed;
use super::requests::task;

/// Guards T1: what was acknowledged is there after a crash of the server, and the store goes on.
#[tokio::test]
async fn acknowledged_tasks_survive_a_server_that_is_killed_under_load() {
    let mut server = MariadbServer::start(&[]);
    let store = ready(&server).await;
    let adders = (0..4).map(|adder| {
        let store = store.clone();
        tokio::task::spawn_local(async move {
            let mut added = Vec::new();
            for number in 0.. {
                let name = format!("t{adder}-{number}");
                match add_one(&store, &name).await {
                    Ok(outcome) => {
                        assert_eq!(outcome, AddOutcome::Created);
                        added.push(name);
                    }
                    Err(error) => {
                        assert!(error.is_transient(), "{error:?}");
                        return added;
                    }
                }
            }
            added
        })
    });
    let local = tokio::task::LocalSet::new();
    let added: Vec<String> = local
        .run_until(async {
            let adders: Vec<_> = adders.collect();
            SystemClock.sleep(SECOND).await;
            server.kill();
            join_all(adders).await.into_iter().flat_map(Result::unwrap).collect()
        })
        .await;
    assert!(added.len() > 20, "{} were added", added.len());

    server.restart();

    for name in &added {
        assert!(find(&store, name).await.is_some(), "{name} is gone");
    }
    assert_eq!(add_one(&store, "after").await.unwrap(), AddOutcome::Created);
}

/// Guards T3 and T5: many claimers at once, each task goes to one of them, and is acked once.
#[tokio::test(flavor = "multi_thread")]
async fn claimers_at_the_same_time_share_out_the_tasks() {
    let server = MariadbServer::start(&[]);
    let store = ready(&server).await;
    for at in 0..20 {
        store.add(&add([0, 1, 2, 3, 4].map(|n| task(&format!("t{at}-{n}"))))).await.unwrap();
    }

    let work = (0..8).map(|_| async {
        let mut mine = Vec::new();
        loop {
            let mut wish = claim();
            wish.limit = 3;
            let claimed = store.claim(&wish).await.unwrap();
            if claimed.tasks.is_empty() && !claimed.more {
                return mine;
            }
            let items: Vec<_> = claimed.tasks.iter().map(completed).collect();
            let acked = store.ack(&items).await.unwrap();
            assert!(acked.iter().all(|acked| *acked == Acked::Done));
            mine.extend(claimed.tasks.into_iter().map(|task| task.id));
        }
    });
    let taken: Vec<_> = join_all(work).await.into_iter().flatten().collect();

    assert_eq!(taken.len(), 100);
    assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), 100);
    let steps = store.steps();
    assert!(steps.taken > 100 && steps.repeated < steps.taken, "{steps:?}");
}

#[tokio::test]
async fn a_connection_that_was_ended_while_idle_costs_nobody_an_error() {
    let server = MariadbServer::start(&[]);
    let store = ready(&server).await;
    add_one(&store, "a").await.unwrap();

    let ids: Vec<u64> = ask(
        &server,
        "SELECT id FROM information_schema.processlist WHERE user = 'shed' AND command = 'Sleep'",
    )
    .await;
    assert!(!ids.is_empty());
    let mut conn = operator(&server).await;
    for id in ids {
        conn.query_drop(format!("KILL {id}")).await.unwrap();
    }

    add_one(&store, "b").await.unwrap();
    assert!(find(&store, "b").await.is_some());
}

/// Guards T1: a step whose connection is ended in the middle wrote nothing, or all of it.
#[tokio::test]
async fn a_step_that_is_killed_in_the_middle_is_taken_as_a_whole_by_its_repeat() {
    let server = MariadbServer::start(&[]);
    let store = ready(&server).await;
    add_one(&store, "a").await.unwrap();
    let mut holder = operator(&server).await;
    holder.query_drop("START TRANSACTION").await.unwrap();
    holder.query_drop("SELECT id FROM task FOR UPDATE").await.unwrap();

    let request = add([task("a"), task("b")]);
    let (first, ()) = tokio::join!(store.add(&request), async {
        SystemClock.sleep(Duration::from_millis(300)).await;
        let waiting: Vec<u64> = ask(
            &server,
            "SELECT id FROM information_schema.processlist WHERE command = 'Query' AND info LIKE '%FOR UPDATE%'
             AND id <> CONNECTION_ID()",
        )
        .await;
        assert_eq!(waiting.len(), 1);
        tell(&server, &format!("KILL {}", waiting[0])).await;
    });

    assert!(is_unavailable(&first), "{first:?}");
    holder.query_drop("ROLLBACK").await.unwrap();
    assert!(find(&store, "b").await.is_none(), "half of a step was kept");
    assert_eq!(store.add(&request).await.unwrap().outcomes.len(), 2);
    assert!(find(&store, "b").await.is_some());
}

/// A lock that an operator forgot: the step waits, is taken again, and ends well when it is gone.
#[tokio::test]
async fn a_row_that_is_held_for_long_delays_a_step_and_does_not_fail_it() {
    let server = MariadbServer::start(&[]);
    let store = ready(&server).await;
    add_one(&store, "a").await.unwrap();
    let mut holder = operator(&server).await;
    holder.query_drop("START TRANSACTION").await.unwrap();
    holder.query_drop("SELECT id FROM task FOR UPDATE").await.unwrap();

    let (added, ()) = tokio::join!(add_one(&store, "a"), async {
        SystemClock.sleep(Duration::from_millis(2500)).await;
        holder.query_drop("ROLLBACK").await.unwrap();
    });

    assert!(added.is_ok(), "{added:?}");
    assert!(store.steps().repeated > 0, "it waited longer than a row is waited for");
}

/// What ends beside tasks that somebody holds waits for nobody, however few tasks there are.
#[tokio::test]
async fn an_ack_holds_no_rows_of_other_runs() {
    let server = MariadbServer::start(&[]);
    let store = ready(&server).await;
    let claimed = async |name: String| {
        store.add(&add([task(&name).unique_key(&name)])).await.unwrap();
        store.claim(&claim()).await.unwrap().tasks.remove(0)
    };
    let other = claimed("other".into()).await;
    let mut items = Vec::new();
    for at in 0..10 {
        items.push(completed(&claimed(format!("t{at}")).await));
    }
    let mut holder = operator(&server).await;
    holder.query_drop("START TRANSACTION").await.unwrap();
    for (table, column, name) in [
        ("task", "id", "other"),
        ("unique_key", "name", "other"),
        ("lease", "claim", other.lease.unwrap().claim_id.as_str()),
    ] {
        let hold = format!("SELECT * FROM {table} WHERE ns = 1 AND {column} = '{name}' FOR UPDATE");
        let held: Vec<Row> = holder.query(hold).await.unwrap();
        assert_eq!(held.len(), 1, "{table}");
    }

    let acked = store.ack(&items).await.unwrap();

    assert_eq!(acked, [Acked::Done; 10]);
    assert_eq!(store.steps().repeated, 0, "it waited for a row");
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_away_until_it_does() {
    let server = MariadbServer::start(&[]);
    let store = ready(&server).await;

    // The user of the tests may write nevertheless, as root may.
    tell(&server, "SET GLOBAL read_only = 1").await;
    let refused = add_one(&store, "a").await;
    assert!(is_unavailable(&refused), "{refused:?}");
    let found = store.check(10 * SECOND).await.unwrap();
    let writes = found.iter().find(|finding| finding.topic == "writes").unwrap();
    assert_eq!(writes.severity, Severity::Serious);

    tell(&server, "SET GLOBAL read_only = 0").await;
    assert_eq!(add_one(&store, "a").await.unwrap(), AddOutcome::Created);
}

#[tokio::test]
async fn a_server_without_a_free_connection_is_away_until_it_has_one() {
    let server = MariadbServer::start(&["--max-connections=10", "--extra-max-connections=1"]);
    ready(&server).await;
    let store = MysqlStore::open(&server.url(), Options::default()).unwrap();
    let mut others = Vec::new();
    while let Ok(conn) = mysql_async::Conn::from_url(server.url()).await {
        others.push(conn);
    }

    let refused = add_one(&store, "a").await;
    assert!(is_unavailable(&refused), "{refused:?}");

    drop(others);
    SystemClock.sleep(SECOND).await;
    assert_eq!(add_one(&store, "a").await.unwrap(), AddOutcome::Created);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_away_and_no_password_is_told() {
    let mut server = MariadbServer::start(&[]);
    let store = ready(&server).await;
    server.kill();

    let refused = add_one(&store, "a").await;
    assert!(is_unavailable(&refused), "{refused:?}");
    let told = format!("{refused:?} {store:?}");
    assert!(!told.contains("s3cret"), "{told}");
}

#[tokio::test]
async fn a_wrong_login_and_a_missing_database_are_told_with_advice() {
    let server = MariadbServer::start(&[]);
    for (from, to, advice) in [
        ("s3cret", "w0rd", "check user and password"),
        ("/taskshed", "/nowhere", "CREATE DATABASE"),
    ] {
        let url = server.url().replace(from, to);
        let refused =
            MysqlStore::open(&url, Options::default()).unwrap().prepare().await.unwrap_err();
        assert!(matches!(refused, Error::Unusable { .. }), "{refused:?}");
        assert!(refused.to_string().contains(advice), "{refused}");
        assert!(!format!("{refused:?}").contains("w0rd"), "{refused:?}");
    }
}

#[tokio::test]
async fn a_server_that_would_lose_commits_is_told_and_refused_for_fsync() {
    let server = MariadbServer::start(&["--innodb-flush-log-at-trx-commit=2"]);
    let store = ready(&server).await;

    let found = store.check(10 * SECOND).await.unwrap();
    let durability = found.iter().find(|finding| finding.topic == "durability").unwrap();
    assert_eq!(durability.severity, Severity::Serious);
    let options = Options { durability: Durability::Fsync, ..Options::default() };
    let refused = MysqlStore::open(&server.url(), options).unwrap().prepare().await.unwrap_err();
    assert!(refused.to_string().contains("set it to 1"), "{refused}");
}

#[tokio::test]
async fn a_binlog_of_statements_is_refused() {
    let server = MariadbServer::start(&["--log-bin=bin", "--binlog-format=STATEMENT"]);
    let store = super::fixture::open(&server);

    let refused = store.prepare().await.unwrap_err();

    assert!(refused.to_string().contains("binlog_format = ROW"), "{refused}");
}

/// Guards T1: on a disk that is full adds are refused as a whole, or the server dies of it; when
/// there is room again all is there that was acknowledged.
#[tokio::test]
async fn a_full_disk_refuses_tasks_and_loses_none() {
    let disk = SmallDisk::mount();
    let mut server = MariadbServer::start_in(disk.path(), &["--innodb-flush-method=fsync"]);
    let store = ready(&server).await;
    add_one(&store, "first").await.unwrap();
    let ballast = disk.path().join("ballast");
    let big = json!({ "text": "x".repeat(200_000) });
    let mut refused = None;
    let mut added = Vec::new();
    for number in 0..400 {
        let name = format!("t{number}");
        let drafts = [0, 1].map(|n| {
            Task::new("noop", &big).unwrap().id(&format!("{name}-{n}")).run_in(3600 * SECOND)
        });
        match store.add(&add(drafts)).await {
            Ok(_) => added.push(name),
            Err(error) => {
                refused = Some((name, error));
                break;
            }
        }
        if number == 3 {
            disk.fill(&ballast);
        }
    }

    let (name, error) = refused.expect("the disk is full some time");
    assert!(error.is_transient(), "{error:?}");

    std::fs::remove_file(&ballast).unwrap();
    server.restart();
    for name in added {
        assert!(find(&store, &format!("{name}-1")).await.is_some(), "{name} is gone");
    }
    for number in 0..2 {
        let half = find(&store, &format!("{name}-{number}")).await;
        assert!(half.is_none(), "half of an add was kept");
    }
    assert_eq!(add_one(&store, "last").await.unwrap(), AddOutcome::Created);
    assert_eq!(store.claim(&claim()).await.unwrap().tasks.len(), 2);
}

/// Guards T1: without room new tasks are refused as a whole; what is there goes on once there is room.
#[tokio::test]
async fn a_full_server_refuses_tasks_and_loses_none() {
    let mut server = MariadbServer::start(&[
        "--innodb-file-per-table=OFF",
        "--innodb-data-file-path=ibdata1:12M;ibdata2:8M",
    ]);
    let store = ready(&server).await;
    add_one(&store, "first").await.unwrap();
    let big = json!({ "text": "x".repeat(200_000) });
    let mut refused = None;
    for number in 0..200 {
        let name = format!("t{number}");
        let drafts = [0, 1].map(|n| {
            Task::new("noop", &big).unwrap().id(&format!("{name}-{n}")).run_in(3600 * SECOND)
        });
        if let Err(error) = store.add(&add(drafts)).await {
            refused = Some((name, error));
            break;
        }
    }

    let (name, error) = refused.expect("20 MiB are full some time");
    assert!(matches!(error, Error::Full { .. }), "{error:?}");
    for number in 0..2 {
        assert!(
            find(&store, &format!("{name}-{number}")).await.is_none(),
            "half of an add was kept"
        );
    }
    // Without a free page it may not even take notes of a claim; that is no reason to give up.
    let claimed = store.claim(&claim()).await;
    assert!(claimed.is_ok() || is_unavailable(&claimed), "{claimed:?}");

    server.restart_with(&[
        "--innodb-file-per-table=OFF",
        "--innodb-data-file-path=ibdata1:12M;ibdata2:8M;ibdata3:8M",
    ]);
    assert_eq!(add_one(&store, "last").await.unwrap(), AddOutcome::Created);
    let mut taken: Vec<_> = claimed.map(|claimed| claimed.tasks).unwrap_or_default();
    taken.extend(store.claim(&claim()).await.unwrap().tasks);
    assert_eq!(taken.len(), 2);
    let items: Vec<_> = taken.iter().map(completed).collect();
    assert_eq!(store.ack(&items).await.unwrap(), [Acked::Done, Acked::Done]);
}
