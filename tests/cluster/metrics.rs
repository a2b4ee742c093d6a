//! What a node counts of calls, leases and outcomes.

use std::sync::Arc;

use taskshed::clock::SystemClock;
use taskshed::domain::id::ProcessId;
use taskshed::domain::id::QueueName;
use taskshed::handlers::Context;
use taskshed::metrics::Metrics;
use taskshed::store;
use taskshed::store::Action;
use taskshed::store::Change;
use taskshed::store::Error;
use taskshed::store::Fetch;
use taskshed::store::Filter;
use taskshed::store::Gate;
use taskshed::store::Keep;
use taskshed::store::List;
use taskshed::store::Resign;
use taskshed::store::Target;
use taskshed::store::measured;

use crate::exposition::Exposition;
use crate::faulty::Fault;
use crate::shed::Answer;
use crate::shed::LEASE;
use crate::shed::Live;
use crate::shed::MS;
use crate::shed::Shed;
use crate::shed::fine;
use crate::shed::leading;
use crate::shed::pause;
use crate::shed::task;
use crate::shed::until;

fn seen(metrics: &Metrics) -> Exposition {
    Exposition::parse(&metrics.text())
}

/// Fails unless the call that was refused so is the only one that was counted under its name.
#[track_caller]
fn counted<T>(metrics: &Metrics, answer: &store::Result<T>) {
    let Err(Error::Unavailable { method, .. }) = answer else { panic!("it was answered") };
    let seen = seen(metrics);
    let calls = format!("taskshed_store_call_duration_seconds_count{{method=\"{method}\"}}");
    let errors = format!("taskshed_store_errors_total{{method=\"{method}\",kind=\"unavailable\"}}");
    assert_eq!((seen.find(&calls), seen.find(&errors)), (Some(1), Some(1)), "{method}");
}

#[tokio::test]
async fn each_call_is_counted_under_its_name() {
    let shed = Shed::new();
    let metrics = Metrics::default();
    let faulty = Arc::new(shed.store.clone());
    let store = measured(faulty, metrics.clone(), Arc::new(SystemClock)).apart();
    let process = ProcessId::parse("p").unwrap();
    let target = Target::Ids(vec!["none".parse().unwrap()]);
    shed.store.cut(true);

    counted(&metrics, &store.now().await);
    counted(&metrics, &store.prepare().await);
    counted(&metrics, &store.migrate().await);
    counted(&metrics, &store.check(LEASE).await);
    counted(&metrics, &store.fetch(&Fetch { ids: Vec::new(), watch: None }).await);
    let list = List { filter: Filter::default(), limit: 1, cursor: None };
    counted(&metrics, &store.list(&list).await);
    counted(&metrics, &store.change(&Change { target, action: Action::Pause }).await);
    counted(&metrics, &store.stats().await);
    counted(&metrics, &store.set_queue(&QueueName::default(), Gate::Open).await);
    counted(&metrics, &store.keep(&Keep { beat: None, claims: Vec::new(), ttl: LEASE }).await);
    counted(&metrics, &store.drain(&"nobody".parse().unwrap()).await);
    counted(&metrics, &store.ack(&[]).await);
    counted(&metrics, &store.hints(&process).await);
    counted(&metrics, &store.resign(&Resign { process: Some(process) }).await);
    counted(&metrics, &store.cluster().await);
    shed.store.cut(false);
    store.stats().await.unwrap();
    let stats = "taskshed_store_errors_total{method=\"stats\",kind=\"unavailable\"}";
    assert_eq!(seen(&metrics).count(stats), 1, "one that is answered is no error");
}

/// Whoever embeds a node finds its numbers at the handle; a node that leads says so until it leaves.
#[tokio::test]
async fn a_node_shows_what_it_is() {
    let mut shed = Shed::new();
    let live = Live::start(shed.node_with(leading("a")).handler("x", fine).concurrency(7));
    let metrics = live.handle.metrics();
    let id = shed.add_due("x").await;
    shed.ended(&id).await;
    until("it leads", async || seen(&metrics).count("taskshed_leader") > 0).await;
    let queue = "taskshed_queue_tasks{queue=\"default\",state=\"due\"}";
    until("it looked at the queues", async || seen(&metrics).find(queue).is_some()).await;

    let running = seen(&metrics);
    let drained = live.drain().await;

    assert!(drained.is_clean());
    assert_eq!(running.count("taskshed_node_concurrency"), 7);
    assert!(running.count("taskshed_leader_term") > 0);
    assert_eq!(running.count("taskshed_tasks_completed_total{callback=\"x\"}"), 1);
    let left = seen(&metrics);
    assert_eq!(left.count("taskshed_leader"), 0);
    assert_eq!(left.find(queue), None, "who leads no more shows no queues");
}

/// Whoever watches for a queue that nobody serves must not be told of nodes that claim nothing.
#[tokio::test]
async fn a_node_that_runs_nothing_serves_no_queue() {
    let shed = Shed::new();
    let mut silent = leading("silent");
    silent.runs_tasks = false;
    let live = Live::start(shed.node_with(silent).handler("x", fine));
    let bare = Live::start(shed.node("bare"));
    let metrics = live.handle.metrics();
    shed.add_due("x").await;
    let serving = "taskshed_queue_nodes{queue=\"default\"}";
    until("both are counted", async || seen(&metrics).find("taskshed_nodes") == Some(2)).await;

    assert_eq!(seen(&metrics).count(serving), 0);
    let nodes = shed.scheduler.cluster().await.unwrap().nodes;
    assert!(nodes.iter().all(|node| node.queues.is_empty()), "{nodes:?}");
    assert_eq!(nodes[1].callbacks.len(), 1, "it has its callback all the same");

    let busy = Live::start(shed.node("busy").handler("x", fine).queues([("mail", 1)]));
    let unused = "taskshed_queue_nodes{queue=\"mail\"}";
    until("another one serves", async || seen(&metrics).find(unused) == Some(1)).await;
    assert_eq!(seen(&metrics).count(serving), 0);
    for node in [live, bare, busy] {
        assert!(node.drain().await.is_clean());
    }
}

/// A run that ends while its lease is lost is a possible duplicate; one that was replaced is not, nor is
/// one whose first ack may have been accepted.
#[tokio::test]
async fn only_a_run_whose_task_was_given_away_may_be_a_duplicate() {
    let mut shed = Shed::new();
    let slow = |_: Context, _: serde_json::Value| async {
        pause(MS * 300).await;
        Answer::Ok(serde_json::Value::Null)
    };
    let live = Live::start(shed.node("a").handler("x", slow));
    let metrics = live.handle.metrics();
    let duplicates = "taskshed_runs_possibly_duplicate_total{callback=\"x\"}";
    let stale = |sender| format!("taskshed_acks_stale_total{{sender=\"{sender}\"}}");

    let replaced = shed.add(task("x").id("replaced")).await;
    shed.started(&replaced).await;
    // The keeper does not hear of it before the run ends.
    shed.store.hang("keep", true);
    shed.add(task("y").id("replaced")).await;
    until("its outcome is refused", async || seen(&metrics).count(&stale("node")) > 0).await;
    assert_eq!(seen(&metrics).count(duplicates), 0);

    shed.store.hang("keep", false);
    shed.store.plan("ack", Fault::Reply, 1);
    shed.add(task("x")).await;
    until("it was sent again", async || seen(&metrics).count(&stale("node_again")) > 0).await;
    assert_eq!(seen(&metrics).count(duplicates), 0);

    let lost = shed.add_due("x").await;
    shed.started(&lost).await;
    shed.take_away(&lost).await;
    until("it is noticed", async || seen(&metrics).count("taskshed_leases_lost_total") > 0).await;
    until("its outcome is refused", async || seen(&metrics).count(&stale("node")) > 1).await;

    assert_eq!(seen(&metrics).count(duplicates), 1);
    assert_eq!(seen(&metrics).count("taskshed_leases_lost_total"), 1);
    assert!(live.drain().await.is_clean());
}
