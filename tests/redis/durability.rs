//! What must have happened to a write before it is acknowledged.

use std::process::Command;
use std::time::Duration;

use taskshed::domain::durability::Durability;
use taskshed::domain::id::RequestId;
use taskshed::domain::id::TaskId;
use taskshed::domain::state::Outcome;
use taskshed::store::Acked;
use taskshed::store::Action;
use taskshed::store::Add;
use taskshed::store::AddOutcome;
use taskshed::store::Error;
use taskshed::store::Existing;
use taskshed::store::Fetch;
use taskshed::store::Gate;
use taskshed::store::Keep;
use taskshed::store::Options;
use taskshed::store::Queue;
use taskshed::store::Store;
use taskshed::store::Tasks;
use taskshed::store::redis::RedisStore;

use super::RedisServer;
use super::shed::SECOND;
use super::shed::Shed;
use super::shed::ack;
use super::shed::claim;
use super::shed::planned;
use super::shed::task;

fn durable(text: &str) -> Durability {
    text.parse().unwrap()
}

/// A server that others follow; they copy it at once.
fn primary(options: &[&str]) -> RedisServer {
    RedisServer::start(&[&["--repl-diskless-sync-delay", "0"], options].concat())
}

/// A server that follows another one, and has caught up with it.
async fn replica_of(primary: &Shed, server: &RedisServer) -> RedisServer {
    let port = server.port().to_string();
    let before = replica_count(primary).await;
    let replica = RedisServer::start(&["--replicaof", "127.0.0.1", &port]);
    while replica_count(primary).await == before {
        tokio::task::yield_now().await;
    }
    replica
}

async fn replica_count(primary: &Shed) -> usize {
    let told: String = primary.tell(&["INFO", "replication"]).await;
    told.matches("state=online").count()
}

/// Tells a process to stop or to go on.
fn signal(name: &str, pid: i32) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

fn add_of(id: &str) -> Add {
    Add {
        request: RequestId::parse(&format!("add-{id}")).unwrap(),
        tasks: vec![planned(task(id))],
        existing: Existing::Replace,
    }
}

fn too_few<T: std::fmt::Debug>(reply: Result<T, Error>, told: &str) {
    let error = reply.expect_err("too few replicas have it");
    assert!(error.is_transient(), "{error:?}");
    let source = std::error::Error::source(&error).map(ToString::to_string);
    assert!(source.as_ref().is_some_and(|source| source.contains(told)), "{source:?}");
}

/// Guards T1: what is acknowledged is on the replica, and what is not there is not acknowledged.
#[tokio::test]
async fn a_write_counts_when_the_replica_has_it() {
    let server = primary(&[]);
    let shed = Shed::at(&server.url()).await;
    let replica = replica_of(&shed, &server).await;
    let shed = shed.durable(durable("replicated:1"));
    let copy = Shed::at(&replica.url()).await;
    shed.store.prepare().await.unwrap();

    for n in 0..200 {
        let id = format!("t{n}");
        shed.store.add(&add_of(&id)).await.unwrap();
        let is_there: bool = copy.tell(&["HEXISTS", &shed.key("rec"), &id]).await;
        assert!(is_there, "{id} was acknowledged");
    }

    let pid = replica.pid();
    signal("-STOP", pid);
    let late = add_of("late");
    too_few(shed.store.add(&late).await, "0 of 1 replicas");
    too_few(shed.store.add(&late).await, "0 of 1 replicas");
    too_few(shed.claim(1).await, "0 of 1 replicas");
    too_few(shed.store.set_queue(&"mail".parse().unwrap(), Gate::Paused).await, "0 of 1");
    assert!(shed.task("t0").await.is_some(), "who reads waits for no replica");
    let watched = Fetch { ids: vec![TaskId::parse("t1").unwrap()], watch: Some(SECOND) };
    assert_eq!(shed.store.fetch(&watched).await.unwrap().len(), 1);
    signal("-CONT", pid);

    let added = shed.store.add(&late).await.unwrap();
    assert_eq!(added.outcomes, [AddOutcome::Created], "the repeat finds its work done");
    let is_there: bool = copy.tell(&["HEXISTS", &shed.key("rec"), "late"]).await;
    assert!(is_there);
}

#[tokio::test]
async fn fewer_replicas_than_asked_for_are_too_few() {
    let server = primary(&[]);
    let shed = Shed::at(&server.url()).await;
    let _replica = replica_of(&shed, &server).await;

    let shed = shed.durable(durable("replicated:2"));

    too_few(shed.store.add(&add_of("a")).await, "1 of 2 replicas");
}

/// Newer servers answer for the last write that had an effect, so a repeat must have one.
#[tokio::test]
async fn a_repeat_that_finds_its_work_done_still_writes() {
    let server = primary(&[]);
    let shed = Shed::at(&server.url()).await;
    let _replica = replica_of(&shed, &server).await;
    let shed = shed.durable(durable("replicated:1"));
    let changes = async || {
        let told: String = shed.tell(&["INFO", "persistence"]).await;
        let line = told.lines().find_map(|line| line.strip_prefix("rdb_changes_since_last_save:"));
        line.unwrap().parse::<u64>().unwrap()
    };

    let add = add_of("a");
    shed.store.add(&add).await.unwrap();
    let before = changes().await;
    shed.store.add(&add).await.unwrap();
    let after_add = changes().await;
    assert!(after_add > before);

    let wish = claim(1);
    let claimed = shed.store.claim(&wish).await.unwrap();
    let items = [ack(&claimed.tasks[0], Outcome::Completed(None), claimed.now)];
    assert_eq!(shed.store.ack(&items).await.unwrap(), [Acked::Done]);
    let before = changes().await;
    assert_eq!(shed.store.ack(&items).await.unwrap(), [Acked::Stale]);
    let after_ack = changes().await;
    assert!(after_ack > before);
    shed.store.claim(&wish).await.unwrap();
    assert!(changes().await > after_ack);
}

/// Guards T10: the mark of a call that waited does not stay.
#[tokio::test]
async fn a_task_lives_its_life_on_a_replicated_server() {
    let server = primary(&[]);
    let shed = Shed::at(&server.url()).await;
    let _replica = replica_of(&shed, &server).await;
    let shed = shed.durable(durable("replicated:1"));
    shed.store.prepare().await.unwrap();

    shed.add(["a", "b", "c"].map(|id| planned(task(id))).into()).await.unwrap();
    let _: String = shed.tell(&["SCRIPT", "FLUSH"]).await;
    let claimed = shed.claim(2).await.unwrap();
    let lease = claimed.tasks[0].lease.clone().unwrap();
    let keep = Keep { beat: None, claims: vec![lease.claim_id], ttl: 10 * SECOND };
    assert!(shed.store.keep(&keep).await.unwrap().lost.is_empty());
    assert_eq!(shed.finish(&claimed, Outcome::Completed(None)).await.unwrap().len(), 2);
    assert_eq!(shed.change(Action::Remove, &["c"]).await.affected, 1);
    let mandate = shed.lead().await;
    shed.maintain(&mandate).await;

    let left_ms: i64 = shed.tell(&["PTTL", &shed.key("mark")]).await;
    assert!((1..=60_000).contains(&left_ms), "{left_ms}");
    let _: i64 = shed.tell(&["DEL", &shed.key("mark")]).await;
    assert_eq!(shed.leftovers().await, Vec::<String>::new());
}

/// Calls that wait do not stand in the way of each other: eight times the wait would be eight seconds.
#[tokio::test]
async fn calls_wait_for_replicas_side_by_side() {
    let server = RedisServer::start(&[]);
    let shed = Shed::at(&server.url()).await.durable(durable("replicated:1"));

    let adds: Vec<_> = (0..8).map(|n| add_of(&format!("t{n}"))).collect();
    let all = futures_util::future::join_all(adds.iter().map(|add| shed.store.add(add)));
    let answers = tokio::time::timeout(Duration::from_secs(4), all).await.unwrap();

    for answer in answers {
        too_few(answer, "0 of 1");
    }
}

/// Guards T1: a server that acknowledges what its disk does not have is refused where that matters.
#[tokio::test]
async fn a_server_that_does_not_write_before_it_answers_is_refused() {
    let server = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let shed = Shed::at(&server.url()).await;
    let open = || {
        let options = Options { durability: Durability::Fsync, ..Options::default() };
        RedisStore::open(&server.url(), options).unwrap()
    };
    open().prepare().await.unwrap();
    let running = open();
    running.now().await.unwrap();

    for (name, wrong, right) in [
        ("appendfsync", "everysec", "always"),
        ("no-appendfsync-on-rewrite", "yes", "no"),
        ("appendonly", "no", "yes"),
    ] {
        let _: String = shed.tell(&["CONFIG", "SET", name, wrong]).await;
        let message = open().prepare().await.unwrap_err().to_string();
        assert!(message.contains(&format!("{name} is {wrong}; set it to {right}")), "{message}");
        let _: String = shed.tell(&["CONFIG", "SET", name, right]).await;
    }

    running.now().await.unwrap();
    let _: String = shed.tell(&["CONFIG", "SET", "appendonly", "no"]).await;
    let _: i64 = shed.tell(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    let _broken = running.now().await;
    let after = running.now().await;
    assert!(matches!(after, Err(Error::Unusable { .. })), "another connection looks again");
}

#[tokio::test]
async fn a_server_that_does_not_tell_is_refused_for_fsync() {
    let server = RedisServer::start(&["--rename-command", "CONFIG", ""]);

    let options = Options { durability: Durability::Fsync, ..Options::default() };
    let store = RedisStore::open(&server.url(), options).unwrap();

    let message = store.prepare().await.unwrap_err().to_string();
    assert!(message.contains("does not tell its settings"), "{message}");
}
