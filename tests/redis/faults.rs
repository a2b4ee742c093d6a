//! What a server and a network do to a store, and what must hold then.

use std::time::Duration;

use taskshed::domain::id::RequestId;
use taskshed::domain::id::TaskId;
use taskshed::domain::state::Outcome;
use taskshed::domain::state::TaskState;
use taskshed::store::Acked;
use taskshed::store::Action;
use taskshed::store::Add;
use taskshed::store::AddOutcome;
use taskshed::store::Error;
use taskshed::store::Existing;
use taskshed::store::Fetch;
use taskshed::store::Filter;
use taskshed::store::Keep;
use taskshed::store::Leadership;
use taskshed::store::List;
use taskshed::store::Look;
use taskshed::store::Options;
use taskshed::store::Queue;
use taskshed::store::Scope;
use taskshed::store::Severity;
use taskshed::store::Store;
use taskshed::store::Tasks;

use super::RedisServer;
use super::proxy::Proxy;
use super::shed::SECOND;
use super::shed::Shed;
use super::shed::ack;
use super::shed::claim;
use super::shed::planned;
use super::shed::task;

fn is_unavailable<T>(reply: &Result<T, Error>) -> bool {
    matches!(reply, Err(Error::Unavailable { .. }))
}

/// Guards T1, T5 and T6: a call whose answer was lost is repeated, and has its effect once.
#[tokio::test]
async fn a_lost_answer_does_no_harm_when_the_call_is_repeated() {
    let server = RedisServer::start(&[]);
    let proxy = Proxy::to(server.port()).await;
    let shed = Shed::at(&proxy.url()).await;
    shed.store.prepare().await.unwrap();
    let add = Add {
        request: RequestId::parse("r").unwrap(),
        tasks: vec![planned(task("a")), planned(task("b").every(60 * SECOND))],
        existing: Existing::Replace,
    };

    proxy.lose_next_answer();
    assert!(is_unavailable(&shed.store.add(&add).await));
    let added = shed.store.add(&add).await.unwrap();
    assert_eq!(added.outcomes, [AddOutcome::Created, AddOutcome::Created]);

    let wish = claim(5);
    proxy.lose_next_answer();
    assert!(is_unavailable(&shed.store.claim(&wish).await));
    let claimed = shed.store.claim(&wish).await.unwrap();
    assert_eq!(claimed.tasks.len(), 2);
    assert!(shed.claim(5).await.unwrap().tasks.is_empty());

    let done = |task| ack(task, Outcome::Completed(None), claimed.now);
    let items: Vec<_> = claimed.tasks.iter().map(done).collect();
    proxy.lose_next_answer();
    assert!(is_unavailable(&shed.store.ack(&items).await));
    assert_eq!(shed.store.ack(&items).await.unwrap(), [Acked::Stale, Acked::Stale]);
    assert!(shed.task("a").await.is_none());
    let next = shed.task("b").await.unwrap();
    assert_eq!(next.run_at, claimed.now.plus(60 * SECOND));
    assert!(shed.store.claim(&wish).await.unwrap().tasks.is_empty(), "the claim has ended");
}

#[tokio::test]
async fn a_full_server_refuses_tasks_and_finishes_those_it_has() {
    let server = RedisServer::start(&["--maxmemory-policy", "noeviction"]);
    let shed = Shed::at(&server.url()).await;
    shed.add(["a", "b", "c"].map(|id| planned(task(id))).into()).await.unwrap();
    let wish = claim(2);
    let claimed = shed.store.claim(&wish).await.unwrap();
    let _: String = shed.tell(&["CONFIG", "SET", "maxmemory", "1"]).await;

    let refused = shed.add(vec![planned(task("d"))]).await;
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    assert!(refused.is_err_and(|error| error.is_transient()));
    assert!(shed.task("d").await.is_none());

    let keep = Keep { beat: None, claims: vec![wish.id.clone()], ttl: 10 * SECOND };
    assert!(shed.store.keep(&keep).await.unwrap().lost.is_empty());
    let mandate = shed.lead().await;
    shed.maintain(&mandate).await;
    assert_eq!(shed.claim(1).await.unwrap().tasks.len(), 1);
    assert_eq!(shed.change(Action::Cancel, &["a"]).await.affected, 1);
    let items = [
        ack(&claimed.tasks[0], Outcome::Completed(None), claimed.now),
        ack(&claimed.tasks[1], Outcome::Failed("no".into()), claimed.now),
    ];
    assert_eq!(shed.store.ack(&items).await.unwrap(), [Acked::Done, Acked::Done]);

    let findings = shed.store.check(10 * SECOND).await.unwrap();
    let memory = findings.iter().find(|finding| finding.topic == "memory").unwrap();
    assert_eq!(memory.severity, Severity::Serious);
}

#[tokio::test]
async fn a_server_that_forgot_its_scripts_gets_them_again() {
    let server = RedisServer::start(&[]);
    let shed = Shed::at(&server.url()).await;
    shed.add(vec![planned(task("a"))]).await.unwrap();

    let _: String = shed.tell(&["SCRIPT", "FLUSH"]).await;
    let claimed = shed.claim(1).await.unwrap();
    let _: String = shed.tell(&["SCRIPT", "FLUSH"]).await;

    assert_eq!(shed.finish(&claimed, Outcome::Completed(None)).await.unwrap(), [Acked::Done]);
}

#[tokio::test]
async fn a_broken_connection_is_made_again() {
    let server = RedisServer::start(&[]);
    let shed = Shed::at(&server.url()).await;
    let mut hints = shed.store.hints(&claim(1).holder.process).await.unwrap().unwrap();
    shed.add(vec![planned(task("a"))]).await.unwrap();

    let _: i64 = shed.tell(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    let _: i64 = shed.tell(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;

    let first = shed.claim(1).await;
    assert!(first.is_ok() || is_unavailable(&first));
    assert!(shed.claim(1).await.is_ok());
    assert!(is_unavailable(&hints.next().await));
}

/// Guards T1: what was acknowledged is there after a power cut of the server, given its settings.
#[tokio::test]
async fn acknowledged_tasks_and_leases_survive_a_killed_server() {
    let mut server = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let shed = Shed::at(&server.url()).await;
    shed.store.prepare().await.unwrap();
    shed.add(["a", "b"].map(|id| planned(task(id))).into()).await.unwrap();
    let claimed = shed.claim(1).await.unwrap();

    server.kill();
    assert!(is_unavailable(&shed.claim(1).await));
    assert!(is_unavailable(
        &shed.store.now().await.map(|_| ()).and(shed.claim(1).await.map(|_| ()))
    ));
    server.restart();

    assert_eq!(shed.task("b").await.unwrap().state, TaskState::Scheduled);
    assert_eq!(shed.task("a").await.unwrap().lease, claimed.tasks[0].lease);
    assert_eq!(shed.finish(&claimed, Outcome::Completed(None)).await.unwrap(), [Acked::Done]);
}

/// A store that refuses writes is away for who writes, and answers who reads.
#[tokio::test]
async fn a_server_that_takes_no_writes_is_away_until_it_does() {
    let server = RedisServer::start(&[]);
    let shed = Shed::at(&server.url()).await;
    shed.add(vec![planned(task("a"))]).await.unwrap();
    let mandate = shed.lead().await;

    let _: String = shed.tell(&["CONFIG", "SET", "min-replicas-to-write", "1"]).await;
    assert!(is_unavailable(&shed.claim(1).await), "NOREPLICAS");
    let look = Look { mandate, scope: Scope::Expired };
    assert!(is_unavailable(&shed.store.leases(&look).await), "a look is a write");
    assert!(is_unavailable(&shed.add(vec![planned(task("b"))]).await));
    assert!(shed.task("a").await.is_some());
    let _: String = shed.tell(&["CONFIG", "SET", "min-replicas-to-write", "0"]).await;
    let _: String = shed.tell(&["REPLICAOF", "127.0.0.1", "1"]).await;
    assert!(is_unavailable(&shed.claim(1).await), "READONLY");
    let _: String = shed.tell(&["REPLICAOF", "NO", "ONE"]).await;

    assert_eq!(shed.claim(1).await.unwrap().tasks.len(), 1);
}

/// Guards T1: a damaged record is named and kept; the tasks beside it go on.
#[tokio::test]
async fn a_damaged_record_is_set_aside_and_kept() {
    let shed = Shed::new().await;
    let ids = ["fine", "header", "spec"];
    shed.add(ids.map(|id| planned(task(id))).into()).await.unwrap();
    let record: String = shed.tell(&["HGET", &shed.key("rec"), "spec"]).await;
    let cut = &record[..record.len() - 1];
    let _: i64 = shed.tell(&["HSET", &shed.key("rec"), "spec", cut]).await;
    let _: i64 = shed.tell(&["HSET", &shed.key("rec"), "header", "nonsense"]).await;

    let claimed = shed.claim(5).await.unwrap();
    assert_eq!(claimed.tasks.len(), 1);
    let mut corrupt: Vec<_> = claimed.corrupt.iter().map(TaskId::as_str).collect();
    corrupt.sort_unstable();
    assert_eq!(corrupt, ["header", "spec"]);
    assert_eq!(shed.finish(&claimed, Outcome::Completed(None)).await.unwrap(), [Acked::Done]);
    assert!(shed.claim(5).await.unwrap().corrupt.is_empty(), "it is set aside");
    assert_eq!(shed.store.stats().await.unwrap().queues[0].running, 0);

    let fetch = Fetch { ids: vec![TaskId::parse("spec").unwrap()], watch: None };
    assert!(matches!(shed.store.fetch(&fetch).await, Err(Error::Corrupt { .. })));
    let list = List { filter: Filter::default(), limit: 10, cursor: None };
    assert_eq!(shed.store.list(&list).await.unwrap().corrupt.len(), 2);
    let kept: String = shed.tell(&["HGET", &shed.key("rec"), "spec"]).await;
    assert_eq!(kept, cut);
    let mandate = shed.lead().await;
    assert_eq!(shed.maintain(&mandate).await.repaired, 0);
    let findings = shed.store.check(10 * SECOND).await.unwrap();
    let records = findings.iter().find(|finding| finding.topic == "records").unwrap();
    assert!(records.severity == Severity::Serious && records.found.contains("spec"));

    assert_eq!(shed.change(Action::Remove, &["header", "spec"]).await.affected, 2);
    assert_eq!(shed.leftovers().await, Vec::<String>::new());
}

/// Guards T3 and T10: what is damaged while it runs lets go of its claim, too, when somebody removes or
/// replaces it.
#[tokio::test]
async fn a_claim_ends_although_records_were_damaged_meanwhile() {
    let shed = Shed::new().await;
    let ids = ["fine", "removed", "replaced"];
    shed.add(ids.map(|id| planned(task(id))).into()).await.unwrap();
    let claimed = shed.claim(5).await.unwrap();
    for id in ["removed", "replaced"] {
        let _: i64 = shed.tell(&["HSET", &shed.key("rec"), id, "nonsense"]).await;
    }

    assert_eq!(shed.change(Action::Remove, &["removed"]).await.affected, 1);
    let added = shed.add(vec![planned(task("replaced"))]).await.unwrap();
    assert_eq!(added, [AddOutcome::Replaced]);
    assert!(shed.claim(5).await.unwrap().tasks.is_empty(), "its old run has not let go");
    let acked = shed.finish(&claimed, Outcome::Completed(None)).await.unwrap();
    assert_eq!(acked.iter().filter(|acked| **acked == Acked::Done).count(), 1);

    let next = shed.claim(5).await.unwrap();
    assert_eq!(next.tasks.len(), 1);
    shed.finish(&next, Outcome::Completed(None)).await.unwrap();
    // In which queue they ran stood in the records, so nobody can count them off.
    assert_eq!(shed.leftovers().await, ["counts"]);
}

#[tokio::test]
async fn a_server_that_would_lose_tasks_is_refused() {
    let server = RedisServer::start(&["--maxmemory-policy", "allkeys-lru"]);
    let shed = Shed::at(&server.url()).await;
    let refused = shed.store.prepare().await;
    assert!(refused.is_err_and(|error| error.to_string().contains("noeviction")));
    let _: String = shed.tell(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    shed.store.prepare().await.unwrap();
    shed.store.prepare().await.unwrap();

    let _: String = shed.tell(&["SET", &shed.key("schema"), "99"]).await;
    let newer = shed.store.prepare().await;
    assert!(matches!(newer, Err(Error::Schema { found, wanted: 1 }) if found == "99"));

    let cluster = RedisServer::start(&["--cluster-enabled", "yes"]);
    let shed = Shed::at(&cluster.url()).await;
    assert!(shed.store.prepare().await.is_err_and(|error| error.to_string().contains("cluster")));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_away_after_a_while() {
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("redis://127.0.0.1:{}/0", silent.local_addr().unwrap().port());
    let store = taskshed::store::open(&url, Options::default()).unwrap();

    let all = futures_util::future::join_all((0..20).map(|_| store.now()));
    let answers = tokio::time::timeout(Duration::from_secs(8), all).await.unwrap();

    assert!(answers.iter().all(is_unavailable));
}
