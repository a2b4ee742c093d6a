//! Transactions that stay open: who waits for them on MariaDB, and who does not.

use std::sync::Arc;
use std::time::Duration;

use mysql_async::Conn;
use mysql_async::IsolationLevel;
use mysql_async::Opts;
use mysql_async::OptsBuilder;
use mysql_async::TxOpts;
use mysql_async::prelude::Queryable;
use taskshed::Scheduler;
use taskshed::TaskError;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::domain::id::QueueName;
use taskshed::domain::id::TaskId;
use taskshed::domain::state::TaskState;
use taskshed::events::Event;
use taskshed::handlers::CompleteError;
use taskshed::scheduler::Error;
use taskshed::scheduler::Outcome;
use taskshed::store;
use taskshed::store::Existing;
use taskshed::store::Gate;
use taskshed::store::Keep;
use taskshed::store::Options;
use taskshed::store::Queue;
use taskshed::store::mysql::MysqlStore;

use crate::mariadb::Place;
use crate::mariadb::Tx;
use crate::mariadb::commit;
use crate::mariadb::effect;
use crate::mariadb::open;
use crate::mariadb::rollback;
use crate::mariadb_server::MariadbServer;
use crate::shop::Run;
use crate::shop::Shop;
use crate::shop::task;

const SECOND: Duration = Duration::from_secs(1);

async fn place() -> Place {
    Place::new(IsolationLevel::RepeatableRead).await
}

fn id(text: &str) -> TaskId {
    TaskId::parse(text).unwrap()
}

/// A store of its own at the same place, that tells how often it had to wait for long.
fn watched(place: &Place) -> Arc<MysqlStore> {
    Arc::new(MysqlStore::open(&place.url, Options::default()).unwrap())
}

/// Reads, so that the transaction sees from now on what is committed now.
async fn look(tx: &mut Tx) {
    tx.query_drop("SELECT * FROM task").await.unwrap();
}

fn is_transient(error: &Error) -> bool {
    matches!(error, Error::Store(store::Error::Unavailable { .. }))
}

/// New tasks of open transactions keep nobody from adding, claiming or pausing, although the
/// server's default isolation holds gaps.
#[tokio::test]
async fn open_transactions_that_added_tasks_keep_nobody_waiting() {
    let place = place().await;
    let scheduler = &place.shop.scheduler;
    let watched = watched(&place);
    let others = Scheduler::new(watched.clone());
    let mut open = Vec::new();
    for n in [5, 7, 6] {
        let mut tx = place.begin().await;
        tx.query_drop("SET innodb_lock_wait_timeout = 1").await.unwrap();
        let fresh = taskshed::Task::new("mail", &serde_json::json!({})).unwrap();
        let chosen = task(&format!("order-{n}")).unique_key(&format!("key-{n}"));
        let tasks = [fresh, chosen, task(&format!("mail-{n}")).queue("mail")];
        let added = scheduler.add_all_in(&mut tx, tasks, Existing::Replace).await.unwrap();
        assert!(added.iter().all(|added| added.outcome == Outcome::Created), "{added:?}");
        open.push(tx);
    }

    others.add(taskshed::Task::new("mail", &serde_json::json!({})).unwrap()).await.unwrap();
    others.add(task("order-8").unique_key("key-8").queue("mail")).await.unwrap();
    others.add(task("order-1").unique_key("key-1")).await.unwrap();
    others.set_queue(&QueueName::parse("mail").unwrap(), Gate::Paused).await.unwrap();
    let mut shop = Shop::new(watched.clone());
    shop.open();
    for _ in 0..2 {
        shop.run().await.end(Ok(()));
        shop.ended().await;
    }

    assert_eq!(watched.steps().repeated, 0, "nobody waited for long");
    for tx in open {
        commit(tx).await;
    }
    for _ in 0..6 {
        shop.run().await.end(Ok(()));
    }
}

/// A completion that is not committed holds its task and nothing else: its lease is renewed, and what
/// was claimed with it ends.
#[tokio::test]
async fn a_completion_that_is_not_committed_keeps_no_renewal_waiting() {
    let mut place = place().await;
    let watched = watched(&place);
    let alone = place.shop.running(task("alone")).await;
    place.shop.scheduler.add_all([task("a"), task("b")], Existing::Replace).await.unwrap();
    let (first, second) = (place.shop.run().await, place.shop.run().await);
    let mut tx = place.begin().await;
    alone.ctx.complete_in(&mut tx).await.unwrap();
    first.ctx.complete_in(&mut tx).await.unwrap();

    let claim = |run: &Run| run.ctx.task().lease.clone().unwrap().claim_id;
    let keep = Keep { beat: None, claims: vec![claim(&alone), claim(&first)], ttl: 10 * SECOND };
    assert!(watched.keep(&keep).await.unwrap().lost.is_empty());
    assert_eq!(watched.steps().repeated, 0, "it did not wait for long");
    second.end(Ok(()));
    place.shop.ended().await;

    commit(tx).await;
    for run in [alone, first] {
        run.end(Ok(()));
        place.shop.ended().await;
    }
    assert_eq!(place.shop.lease_count().await, 0);
}

/// Guards T3, T5 and T6: who takes leases away passes by a completion that is not committed, and
/// comes again; the end of the transaction decides.
#[tokio::test]
async fn who_reclaims_passes_by_a_completion_that_is_not_committed() {
    let mut place = place().await;
    let run = place.shop.running(task("a")).await;
    let mut tx = place.begin().await;
    effect(&mut tx, "mailed").await;
    run.ctx.complete_in(&mut tx).await.unwrap();

    assert_eq!(place.shop.reclaim(&run).await, 0);
    assert_eq!(place.shop.lease_count().await, 1, "the lease stays as long as a task names it");
    commit(tx).await;
    assert_eq!(place.shop.state("a").await, Some(TaskState::Completed));
    run.end(Ok(()));
    place.shop.ended().await;

    place.shop.scheduler.add(task("b")).await.unwrap();
    let run = place.shop.run().await;
    let mut tx = place.begin().await;
    effect(&mut tx, "mailed again").await;
    run.ctx.complete_in(&mut tx).await.unwrap();
    assert_eq!(place.shop.reclaim(&run).await, 0);
    rollback(tx).await;
    assert_eq!(place.shop.reclaim(&run).await, 1);
    assert_eq!(place.effects().await, ["mailed"]);
}

/// Guards T5: a transaction that still sees an old lease is not deceived by it.
#[tokio::test]
async fn a_lease_that_is_lost_after_the_snapshot_is_lost() {
    let mut place = place().await;
    let run = place.shop.running(task("a")).await;
    let mut tx = place.begin().await;
    look(&mut tx).await;

    place.shop.reclaim(&run).await;
    let completed = run.ctx.complete_in(&mut tx).await;

    assert!(matches!(completed, Err(CompleteError::LeaseLost)), "{completed:?}");
    let seen: Option<String> = tx.query_first("SELECT claim FROM task").await.unwrap();
    assert!(seen.is_some(), "what it reads without a lock is old");
    rollback(tx).await;
}

/// Guards S2: a transaction that does not see a task yet meets it all the same.
#[tokio::test]
async fn a_task_that_is_added_after_the_snapshot_is_met() {
    let place = place().await;
    let scheduler = &place.shop.scheduler;
    let mut tx = place.begin().await;
    look(&mut tx).await;
    scheduler.add(task("a").unique_key("k")).await.unwrap();

    let same_key = scheduler.add_in(&mut tx, task("b").unique_key("k")).await.unwrap();
    let kept = scheduler.add_all_in(&mut tx, [task("a")], Existing::Keep).await.unwrap();
    commit(tx).await;

    assert_eq!((same_key.task_id, same_key.outcome), (id("a"), Outcome::Duplicate));
    assert_eq!(kept[0].outcome, Outcome::Kept);
}

/// A server that refuses to lock what changed after the snapshot has the transaction taken again.
#[tokio::test]
async fn a_server_that_refuses_old_snapshots_has_the_transaction_taken_again() {
    let place = place().await;
    let scheduler = &place.shop.scheduler;
    let mut tx = place.begin().await;
    tx.query_drop("SET innodb_snapshot_isolation = ON").await.unwrap();
    look(&mut tx).await;
    scheduler.add(task("a")).await.unwrap();

    let refused = scheduler.add_in(&mut tx, task("a")).await.unwrap_err();
    rollback(tx).await;
    assert!(is_transient(&refused), "{refused:?}");

    let mut tx = place.begin().await;
    let added = scheduler.add_in(&mut tx, task("a")).await.unwrap();
    commit(tx).await;
    assert_eq!(added.outcome, Outcome::Replaced);
}

/// A wait that is too long fails the step and leaves the transaction, which can go on.
#[tokio::test]
async fn a_task_that_another_transaction_holds_can_be_met_later() {
    let mut place = place().await;
    let run = place.shop.running(task("a")).await;
    let mut holder = place.begin().await;
    run.ctx.complete_in(&mut holder).await.unwrap();
    let mut tx = place.begin().await;
    tx.query_drop("SET innodb_lock_wait_timeout = 1").await.unwrap();
    effect(&mut tx, "order-1").await;

    let refused = place.shop.scheduler.add_in(&mut tx, task("a")).await.unwrap_err();
    assert!(is_transient(&refused), "{refused:?}");
    commit(holder).await;
    place.shop.scheduler.add_in(&mut tx, task("a")).await.unwrap();
    commit(tx).await;

    assert_eq!(place.effects().await, ["order-1"]);
    run.end(Ok(()));
    assert_eq!(place.shop.run().await.ctx.task().id, id("a"));
}

/// Guards T6: a handler that returns while its transaction is open keeps no other verdict waiting;
/// its own waits for the end of the transaction, which decides.
#[tokio::test]
async fn a_handler_that_leaves_its_transaction_open_keeps_no_other_waiting() {
    let mut place = place().await;
    place.shop.open();
    let mut open = Vec::new();
    for n in 0..4 {
        place.shop.scheduler.add(task(&format!("a{n}"))).await.unwrap();
        let run = place.shop.run().await;
        let mut tx = place.begin().await;
        run.ctx.complete_in(&mut tx).await.unwrap();
        run.end(Ok(()));
        open.push(tx);
    }

    for n in 0..5 {
        place.shop.scheduler.add(task(&format!("b{n}"))).await.unwrap();
        place.shop.run().await.end(Ok(()));
        let told = place.shop.ended().await;
        let is_b = |run: &taskshed::events::Run| run.task.as_str().starts_with('b');
        assert!(matches!(&told, Event::Ended { run, .. } if is_b(run)), "{told:?}");
    }
    for tx in open {
        commit(tx).await;
    }

    for _ in 0..4 {
        let told = place.shop.ended().await;
        let is_completed = matches!(&told, Event::Ended { state: TaskState::Completed, .. });
        assert!(is_completed, "{told:?}");
    }
}

/// Guards T1: a handler whose connection breaks in its transaction has not completed.
#[tokio::test]
async fn a_connection_that_breaks_before_the_commit_completes_nothing() {
    let mut place = place().await;
    let run = place.shop.running(task("a")).await;
    let mut tx = place.begin().await;
    effect(&mut tx, "mailed").await;
    run.ctx.complete_in(&mut tx).await.unwrap();
    place.tell(&format!("KILL {}", tx.id())).await;

    let refused = tx.commit().await.unwrap_err();
    run.end(Err(TaskError::from(refused)));

    let again = place.shop.run().await;
    assert_eq!((again.ctx.attempt(), place.effects().await.len()), (2, 0));
}

/// The transaction may have any default database, or none.
#[tokio::test]
async fn a_connection_may_be_in_another_database() {
    let place = place().await;
    let opts = Opts::from_url(&place.url).unwrap();
    for database in [None, Some("mysql")] {
        let opts = OptsBuilder::from_opts(opts.clone()).db_name(database);
        let mut conn = Conn::new(opts).await.unwrap();
        let mut tx = conn.start_transaction(TxOpts::default()).await.unwrap();

        let name = database.unwrap_or("none");
        place.shop.scheduler.add_in(&mut tx, task(name)).await.unwrap();
        let kept = [task(name).unique_key(name)];
        let kept = place.shop.scheduler.add_all_in(&mut tx, kept, Existing::Keep).await.unwrap();
        tx.commit().await.unwrap();

        assert_eq!(kept[0].outcome, Outcome::Kept);
        assert_eq!(place.shop.state(name).await, Some(TaskState::Scheduled));
    }
}

/// A transaction on another server, or one that is over, is refused before anything is written.
#[tokio::test]
async fn a_transaction_elsewhere_or_over_is_refused() {
    let place = place().await;
    let elsewhere = MariadbServer::start(&[]);
    open(&elsewhere.url()).await;
    let mut conn = Conn::new(Opts::from_url(&elsewhere.url()).unwrap()).await.unwrap();
    let mut tx = conn.start_transaction(TxOpts::default()).await.unwrap();

    let refused = place.shop.scheduler.add_in(&mut tx, task("a")).await.unwrap_err();
    tx.commit().await.unwrap();
    assert!(matches!(refused, Error::Store(store::Error::Foreign { .. })), "{refused:?}");
    assert!(refused.to_string().contains("connect to that"), "{refused}");

    let mut tx = place.begin().await;
    tx.query_drop("COMMIT").await.unwrap();
    let refused = place.shop.scheduler.add_in(&mut tx, task("a")).await.unwrap_err();
    assert!(refused.to_string().ends_with("it is over; begin another one"), "{refused}");
    assert_eq!(place.shop.find("a").await, None);
    let mut file = rusqlite::Connection::open_in_memory().unwrap();
    let mut tx = file.transaction().unwrap();
    let refused = place.shop.scheduler.add_in(&mut tx, task("a")).unwrap_err();
    assert!(refused.to_string().contains("begun on a file of SQLite"), "{refused}");
}

/// Guards T1: a call that is given up has written all of its part or nothing.
#[tokio::test]
async fn a_completion_that_is_given_up_loses_no_task() {
    let mut place = place().await;
    place.shop.open();
    for n in 0..30 {
        let name = format!("t{n}");
        place.shop.scheduler.add(task(&name)).await.unwrap();
        let run = place.shop.run().await;
        let mut tx = place.begin().await;
        tokio::select! {
            biased;
            _ = run.ctx.complete_in(&mut tx) => {}
            () = SystemClock.sleep(Duration::from_micros(100 * n)) => {}
        }
        // The driver may have lost its place in the conversation; then the server rolls back.
        let _committed = tx.commit().await;
        assert!(place.shop.find(&name).await.is_some(), "{name} is gone");
        run.end(Ok(()));
        place.shop.ended().await;
    }
}
