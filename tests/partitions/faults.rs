//! Slots that move, and servers that are lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use taskshed::Context;
use taskshed::Node;
use taskshed::TaskError;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::domain::state::TaskState;
use taskshed::store::Acked;
use taskshed::store::Action;
use taskshed::store::Change;
use taskshed::store::Claim;
use taskshed::store::Error;
use taskshed::store::Fetch;
use taskshed::store::Filter;
use taskshed::store::Keep;
use taskshed::store::Leadership;
use taskshed::store::List;
use taskshed::store::Queue;
use taskshed::store::Store;
use taskshed::store::Target;
use taskshed::store::Tasks;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;

use crate::fixture::PARTITIONS;
use crate::fixture::SECOND;
use crate::fixture::Shed;
use crate::fixture::claim;
use crate::redis_cluster::RedisCluster;
use crate::requests::add;
use crate::requests::beat;
use crate::requests::completed;
use crate::requests::id;
use crate::requests::process;
use crate::requests::task;

/// Servers that keep everything, and go on when one of them does not.
const DURABLE: &[&str] =
    &["--cluster-require-full-coverage", "no", "--appendonly", "yes", "--appendfsync", "always"];

/// What an error and its causes say.
fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn is_refused<T: std::fmt::Debug>(reply: Result<T, Error>) -> String {
    match reply {
        Err(error @ Error::Unavailable { .. }) => told(&error),
        other => panic!("{other:?}"),
    }
}

/// Every kind of call that touches the tasks of one partition is refused, and says so.
async fn all_is_refused(shed: &Shed, running: &taskshed::store::TaskRecord, new: &str) {
    let ids = || vec![running.id.clone()];
    let change = |action| Change { target: Target::Ids(ids()), action };
    let mut said = vec![
        is_refused(shed.try_add(vec![task(new)]).await),
        is_refused(shed.store.ack(&[completed(running)]).await),
        is_refused(shed.store.fetch(&Fetch { ids: ids(), watch: None }).await),
        is_refused(shed.store.fetch(&Fetch { ids: ids(), watch: Some(SECOND) }).await),
    ];
    for action in [Action::Pause, Action::Cancel, Action::Remove] {
        said.push(is_refused(shed.store.change(&change(action)).await));
    }
    for text in said {
        assert!(text.contains(&format!("of {PARTITIONS}")), "{text}");
        assert!(text.contains("Ask: ") || text.contains("TryAgain: "), "{text}");
    }
    let claims = vec![running.lease.as_ref().unwrap().claim_id.clone()];
    let keep = Keep { beat: Some(beat("node-a")), claims: claims.clone(), ttl: 10 * SECOND };
    let kept = shed.store.keep(&keep).await.unwrap();
    assert_eq!((kept.lost, kept.unanswered), (vec![], claims), "it is not lost");
}

/// Guards T1, T3 and T5: no step sees a part of a partition, whichever of its keys have moved.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_happens_in_a_partition_while_its_slot_moves() {
    let servers = block_in_place(|| RedisCluster::start(0, &[]));
    let shed = Shed::spread(&servers.url(PARTITIONS)).await;
    let here = |n: usize| format!("{{{}}} {n}", shed.id_in(1));
    let rich = |id: &str| task(id).group("g").expires_in(60 * SECOND).retention(60 * SECOND);
    let names: Vec<String> = (0..6).map(here).collect();
    assert!(names.iter().all(|name| shed.store.part(name) == 1));
    shed.add(names.iter().map(|name| rich(name)).collect()).await;
    shed.add(vec![task(&shed.id_in(0)), task(&shed.id_in(2))]).await;
    let mut runs = Vec::new();
    while runs.len() < 2 {
        let claimed = shed.claim(&claim(2)).await.tasks;
        runs.extend(claimed.into_iter().filter(|run| shed.store.part(run.id.as_str()) == 1));
    }
    shed.complete(&runs[1..2]).await;

    let slot = servers.slot(&shed.key(1, ""));
    let new = here(7);
    for _ in 0..2 {
        let to = (servers.owner(slot) + 1) % 3;
        let mut steps = 0;
        block_in_place(|| {
            servers.move_slot(slot, to, |moved| {
                steps = moved;
                Handle::current().block_on(all_is_refused(&shed, &runs[0], &new));
            });
        });
        assert!(steps > 8, "there are keys to move: {steps}");

        let found = shed.store.fetch(&Fetch { ids: vec![runs[0].id.clone()], watch: None }).await;
        let found = found.unwrap().remove(0).unwrap();
        assert_eq!(found.state, TaskState::Running, "the first call finds the new server");
        assert_eq!(
            shed.elsewhere().fetch(&Fetch { ids: vec![id(&new)], watch: None }).await.unwrap(),
            [None]
        );
    }

    assert_eq!(shed.complete(&runs[..1]).await, [Acked::Done]);
    assert_eq!(shed.complete(&runs).await, [Acked::Stale; 2]);
    let rest = shed.drain().await.concat();
    let rest: BTreeSet<_> = rest.iter().map(|task| task.id.as_str()).collect();
    let expected = names.iter().map(String::as_str);
    let gone: Vec<_> = runs.iter().map(|run| run.id.as_str()).collect();
    let missing: Vec<_> =
        expected.filter(|name| !gone.contains(name) && !rest.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?} of {names:?}, {gone:?} ran");
    let mut list = List { filter: Filter::default(), limit: 1000, cursor: None };
    list.filter.state = Some(TaskState::Completed);
    assert_eq!(shed.store.list(&list).await.unwrap().tasks.len(), 2);
}

/// Who listens hears that it has to listen somewhere else: only a primary counts who heard a hint.
#[tokio::test(flavor = "multi_thread")]
async fn hints_follow_a_slot_that_moved() {
    let servers = block_in_place(|| RedisCluster::start(0, &[]));
    let shed = Shed::spread(&servers.url(PARTITIONS)).await;
    let wish = || Claim { wait: true, ..claim(1) };
    let listen = async || shed.store.hints(&process("node-a")).await.unwrap().unwrap();
    let mut hints = listen().await;
    let slot = servers.slot(&shed.key(1, ""));
    block_in_place(|| servers.move_slot(slot, (servers.owner(slot) + 1) % 3, |_| {}));

    shed.claim(&wish()).await;
    let ended = async { while hints.next().await.is_ok() {} };
    tokio::time::timeout(10 * SECOND, ended).await.unwrap();
    let mut hints = listen().await;
    shed.claim(&wish()).await;
    shed.add(vec![task(&shed.id_in(1))]).await;

    tokio::time::timeout(10 * SECOND, hints.next()).await.unwrap().unwrap();
    let server = servers.owner(slot);
    let channel = shed.key(1, "wake:node-a-process");
    let told = servers.tell(server, &format!("PUBSUB NUMSUB {channel}"));
    assert!(told.contains(":1"), "{told}");
}

/// Guards T1: the replica of a server that dies while it gives a slot away does not know of the move,
/// and would serve what is left of the partition.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_is_left_half_moved_is_not_used() {
    let options = ["--cluster-require-full-coverage", "no"];
    let mut servers = block_in_place(|| RedisCluster::start(1, &options));
    let shed = Shed::spread(&servers.url(PARTITIONS)).await;
    let names: Vec<_> = (0..20).map(|_| shed.id_in(1)).collect();
    let rich = |name: &String| task(name).group("g").expires_in(60 * SECOND).retention(60 * SECOND);
    shed.add(names.iter().map(rich).collect()).await;
    let runs = shed.claim(&claim(5)).await.tasks;
    let slot = servers.slot(&shed.key(1, ""));
    let from = servers.owner(slot);
    let to = (from + 1) % 3;

    block_in_place(|| {
        servers.move_keys(slot, to, 5, |_| {});
        assert!(servers.tell(from, "WAIT 1 5000").starts_with(":1"), "the replica has it all");
        servers.fail_over(slot);
    });
    for store in [&*shed.store, &shed.elsewhere()] {
        let fetch = Fetch { ids: vec![id(&names[0])], watch: None };
        let mut said = is_refused(store.fetch(&fetch).await);
        if !said.contains("half moved") {
            said = is_refused(store.fetch(&fetch).await);
        }
        assert!(said.contains("half moved") && said.contains("partition 1 of 3"), "{said}");
        is_refused(store.add(&add(vec![task(&names[0])])).await);
        is_refused(store.ack(&[completed(&runs[0])]).await);
    }
    let findings = shed.elsewhere().check(10 * SECOND).await.unwrap();
    let moving = format!("half moved and not in use: 1 (slot {slot})");
    assert!(findings.iter().any(|one| one.found == moving), "{findings:#?}");
    block_in_place(|| servers.move_slot(slot, to, |_| {}));

    let list = List { filter: Filter::default(), limit: 1000, cursor: None };
    assert_eq!(shed.store.list(&list).await.unwrap().tasks.len(), names.len());
    assert_eq!(shed.complete(&runs).await, [Acked::Done; 5]);
    assert_eq!(shed.drain().await.concat().len(), names.len() - 5);
}

/// Guards T3 and T5, and N3: the others go on, in claims, renewals and duties, and the error says which
/// partition is missing.
#[tokio::test(flavor = "multi_thread")]
async fn the_others_go_on_when_a_partition_is_lost() {
    let mut servers = block_in_place(|| RedisCluster::start(0, DURABLE));
    let shed = Shed::spread(&servers.url(PARTITIONS)).await;
    let names: Vec<_> = (0..PARTITIONS).map(|part| shed.id_in(part)).collect();
    shed.add(names.iter().map(|name| task(name)).collect()).await;
    let mut claims = vec![None; PARTITIONS];
    for _ in 0..PARTITIONS {
        let wish = Claim { ttl: SECOND, ..claim(1) };
        let run = shed.claim(&wish).await.tasks.remove(0);
        let part = shed.store.part(run.id.as_str());
        claims[part] = Some((wish.id, run));
    }
    let claims: Vec<_> = claims.into_iter().flatten().collect();
    shed.add((0..PARTITIONS).map(|part| task(&shed.id_in(part))).collect()).await;

    let lost = servers.owner(servers.slot(&shed.key(1, "")));
    block_in_place(|| servers.server(lost).kill());

    let said = is_refused(shed.try_add(vec![task(&shed.id_in(1))]).await);
    assert!(said.contains("partition 1 of 3"), "{said}");
    shed.add(vec![task(&shed.id_in(0)), task(&shed.id_in(2))]).await;
    let taken = shed.drain_others().await;
    assert_eq!(taken.len(), 4, "two were there in the two others, and two are new");
    let ids: Vec<_> = claims.iter().map(|(claim, _)| claim.clone()).collect();
    let keep = Keep { beat: Some(beat("node-a")), claims: ids.clone(), ttl: SECOND };
    let kept = shed.elsewhere().keep(&keep).await.unwrap();
    assert_eq!((kept.lost, &kept.unanswered[..]), (vec![], &ids[1..2]));
    SystemClock.sleep(2 * SECOND).await;
    let mandate = crate::leader::lead(&shed, "node-l").await;
    let seen = crate::leader::expired(&shed, &mandate).await;
    assert_eq!(seen, [ids[0].clone(), ids[2].clone()].into());
    shed.store.cluster().await.unwrap();

    block_in_place(|| {
        servers.server(lost).restart();
        servers.wait_until_whole();
    });
    SystemClock.sleep(2 * SECOND).await;
    let runs: Vec<_> = claims.iter().map(|(_, run)| run.clone()).collect();
    assert_eq!(shed.complete(&runs).await, [Acked::Done; PARTITIONS]);
    assert_eq!(shed.drain().await.concat().len(), 1, "the one that was there");
}

/// A server that stands still holds up no beat, renewal or claim of the other partitions for long.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_hangs_holds_up_no_other() {
    let options = ["--cluster-require-full-coverage", "no", "--cluster-node-timeout", "30000"];
    let mut servers = block_in_place(|| RedisCluster::start(0, &options));
    let shed = Shed::spread(&servers.url(PARTITIONS)).await;
    let keep = Keep { beat: Some(beat("node-a")), claims: Vec::new(), ttl: SECOND };
    shed.store.keep(&keep).await.unwrap();
    shed.add((0..40).map(|n| task(&format!("task-{n}"))).collect()).await;
    let others = (0..40).filter(|n| shed.store.part(&format!("task-{n}")) != 1).count();

    let hung = servers.owner(servers.slot(&shed.key(1, "")));
    let pid = Pid::from_raw(servers.server(hung).pid()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let began = SystemClock.steady();
        shed.store.keep(&keep).await.unwrap();
        slowest = slowest.max(SystemClock.steady().saturating_sub(began));
    }
    let taken = shed.drain_others().await;
    kill_process(pid, Signal::CONT).unwrap();

    assert_eq!(taken.len(), others);
    assert!(slowest < SECOND, "a beat took {slowest:?}");
    SystemClock.sleep(2 * SECOND).await;
    let rest = shed.drain().await.concat();
    assert!(
        !rest.is_empty() && rest.len() <= 40 - others,
        "what a late claim took comes back later"
    );
}

/// Guards N1 and T1: what ended in a partition that is away is sent when it is back, and holds up no
/// verdict of another.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_works_on_in_the_others_and_sends_what_is_left_later() {
    let mut servers = block_in_place(|| RedisCluster::start(0, DURABLE));
    let shed = Shed::spread(&servers.url(PARTITIONS)).await;
    let (gate, stop) = (Arc::new(Notify::new()), CancellationToken::new());
    let held = Arc::clone(&gate);
    let store: Arc<dyn Store> = Arc::new(shed.elsewhere());
    let node = Node::builder(store)
        .handler("noop", |_: Context, _: serde_json::Value| async { Ok::<_, TaskError>(()) })
        .handler("held", move |_: Context, _: serde_json::Value| {
            let held = Arc::clone(&held);
            async move {
                held.notified().await;
                Ok::<_, TaskError>(())
            }
        })
        .build()
        .unwrap();
    let mut nodes = JoinSet::new();
    nodes.spawn(node.run_until(stop.clone().cancelled_owned()));
    let held: Vec<_> = (0..3).map(|_| shed.id_in(1)).collect();
    let of = |id: &str| taskshed::Task::new("held", &serde_json::json!({})).unwrap().id(id);
    shed.add(held.iter().map(|id| of(id)).collect()).await;
    shed.until("they run", |stats| stats.running == 3).await;

    let lost = servers.owner(servers.slot(&shed.key(1, "")));
    block_in_place(|| servers.server(lost).kill());
    // One batch of verdicts each: as many as may be on their way to one part, and one more.
    for _ in &held {
        gate.notify_one();
        SystemClock.sleep(SECOND / 4).await;
    }
    for _ in 0..5 {
        let names: Vec<_> = (0..50).map(|n| shed.id_in(if n % 2 == 0 { 0 } else { 2 })).collect();
        shed.add(names.iter().map(|name| task(name)).collect()).await;
        let fetch = Fetch { ids: names.iter().map(|name| id(name)).collect(), watch: None };
        shed.until_gone(&fetch).await;
    }
    block_in_place(|| {
        servers.server(lost).restart();
        servers.wait_until_whole();
    });
    let fetch = Fetch { ids: held.iter().map(|name| id(name)).collect(), watch: None };
    shed.until_gone(&fetch).await;

    stop.cancel();
    assert!(nodes.join_next().await.unwrap().unwrap().unwrap().is_clean());
}
