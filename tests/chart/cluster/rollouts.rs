//! Releases under load: what clients and tasks notice of pods that come and go.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;

use crate::podman::done;

use super::Cluster;
use super::LOOK_EVERY;
use super::PATIENCE;
use super::RELEASE;
use super::STORE;
use super::TOKEN;
use super::kubelet::Departure;
use super::load::Load;
use super::load::Seen;
use super::witness::Run;
use super::witness::Runs;
use super::witness::Witness;

/// How long services lead to a pod that leaves. The chart's delay is 5 s.
const LAG: Duration = Duration::from_secs(2);

/// Tasks a second.
const RATE: u32 = 500;

/// How many must have been added a second for a rollout to count as one under load. A machine where it is less is too
/// slow, or too busy, to show anything.
const RATE_MIN: f64 = 200.0;

/// How many runs must have ended before the next thing happens to the cluster.
const RUNS_BETWEEN: usize = 1000;

/// A release under load.
struct Shop {
    cluster: Cluster,
    witness: Witness,
    load: Load,
    helm: &'static str,
    values: String,
}

/// How it went.
struct Outcome {
    seen: Seen,
    runs: Runs,
    departures: Vec<Departure>,
}

impl Shop {
    /// Installs so many pods with more values, and begins to add tasks.
    async fn open(helm: &'static str, replicas: usize, set: &str) -> Self {
        let cluster = Cluster::start(LAG).await;
        let witness = Witness::start(cluster.kubelet.gateway).await;
        let handler = format!("handlers.work.http=http://witness.data.svc:{}/", witness.port);
        let values = [STORE, &handler, "concurrency=256", set].join(",");
        let first = format!("{values},replicas={replicas}");
        cluster.release(helm, "install", "v1", &first).await;
        let load = Load::start(cluster.url("/v1/tasks"), RATE);
        let shop = Self { cluster, witness, load, helm, values };
        shop.more_runs().await;
        shop
    }

    async fn upgrade(&self, tag: &str, replicas: usize) {
        let values = format!("{},replicas={replicas}", self.values);
        self.cluster.release(self.helm, "upgrade", tag, &values).await;
    }

    /// Waits until more tasks have run.
    async fn more_runs(&self) {
        let wanted = self.witness.ended() + RUNS_BETWEEN;
        self.cluster.until("more tasks have run", || self.witness.ended() >= wanted).await;
    }

    /// Adds no more, and waits until no task is left.
    async fn close(self) -> Outcome {
        self.cluster.settled().await;
        let seen = self.load.stop().await;
        let patience = SystemClock.steady() + PATIENCE;
        while let Some(task) = unfinished(&self.cluster).await {
            assert!(SystemClock.steady() < patience, "a task is left: {task}");
            SystemClock.sleep(LOOK_EVERY).await;
        }
        let departures = self.cluster.departures();
        Outcome { seen, runs: self.witness.runs(), departures }
    }
}

/// What the Service says of the queue if tasks wait in it, run or have failed.
async fn unfinished(cluster: &Cluster) -> Option<Value> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let asked = client.get(cluster.url("/v1/queues")).bearer_auth(TOKEN);
    let queues: Value = asked.send().await.unwrap().json().await.unwrap();
    let queues = queues["queues"].as_array().unwrap();
    let queue = queues.iter().find(|queue| queue["queue"] == "default").unwrap();
    let lanes = queue["scheduled"].as_object().unwrap().values();
    let others = ["held", "parked", "suspects", "running", "dead"].map(|name| &queue[name]);
    let is_busy = lanes.chain(others).any(|count| count.as_u64() != Some(0));
    is_busy.then(|| queue.clone())
}

impl Outcome {
    /// Fails if a task that was acknowledged never came to its end.
    fn none_is_lost(&self) {
        let has_ended = |task: &&String| {
            self.runs.get(*task).is_some_and(|runs| runs.iter().any(|run| run.has_ended))
        };
        let lost: Vec<_> = self.seen.added.iter().filter(|task| !has_ended(task)).collect();
        assert!(lost.is_empty(), "{} lost: {lost:?}", lost.len());
        assert!(self.seen.added.len() >= RUNS_BETWEEN);
    }

    /// Tasks that were begun more than once.
    fn repeated(&self) -> Vec<(&String, &Vec<Run>)> {
        self.runs.iter().filter(|(_, runs)| runs.len() > 1).collect()
    }

    fn none_is_repeated(&self) {
        let repeated = self.repeated();
        assert!(repeated.is_empty(), "{} repeated: {repeated:?}", repeated.len());
    }

    fn none_is_refused(&self) {
        let failed = &self.seen.failed;
        assert!(failed.is_empty(), "{} requests failed: {:?}", failed.len(), &failed[..1]);
    }

    /// Fails unless so many pods went, each by itself and in time.
    fn all_left_well(&self, pods: usize) {
        assert_eq!(self.departures.len(), pods, "{:?}", self.departures);
        for departure in &self.departures {
            assert_eq!(departure.code, 0, "{departure:?}");
            assert!(departure.took < departure.grace, "{departure:?}");
        }
    }

    /// Fails if fewer tasks were added than the rollout was meant to bear.
    fn bore_its_load(&self) {
        let rate = self.seen.rate();
        assert!(rate >= RATE_MIN, "{rate:.0} tasks a second were added, and not {RATE}");
    }

    fn tell(&self, what: &str) {
        let rate = self.seen.rate();
        let slowest = self.departures.iter().map(|departure| departure.took).max();
        println!(
            "{what}: {} tasks in {:.1?}, {rate:.0} a second, {} repeated, {} requests failed, {} pods left, the slowest in {:.1?}",
            self.seen.added.len(),
            self.seen.length,
            self.repeated().len(),
            self.seen.failed.len(),
            self.departures.len(),
            slowest.unwrap_or_default(),
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_and_a_rollback_lose_repeat_and_refuse_nothing() {
    let shop = Shop::open("helm4", 3, "leader=true").await;

    shop.upgrade("v2", 3).await;
    shop.cluster.settled().await;
    shop.more_runs().await;
    let rollback = ["rollback", RELEASE, "1", "--wait", "--timeout", "90s"];
    shop.cluster.helm(shop.helm, &rollback).await;
    shop.cluster.settled().await;
    shop.more_runs().await;

    let outcome = shop.close().await;
    outcome.tell("upgrade and rollback of 3 pods");
    outcome.none_is_lost();
    outcome.none_is_repeated();
    outcome.none_is_refused();
    outcome.all_left_well(6);
    outcome.bore_its_load();
}

/// The other side of the chart's defaults: without the delay clients are sent to pods that are gone, and
/// without time to drain tasks are handed back and run again. Nothing is lost even then.
#[tokio::test(flavor = "multi_thread")]
async fn without_delay_and_drain_clients_and_tasks_would_notice() {
    let set = "node.shutdownDelaySeconds=0,node.drainTimeoutSeconds=1";
    let shop = Shop::open("helm4", 3, set).await;

    shop.upgrade("v2", 3).await;
    shop.cluster.settled().await;
    shop.more_runs().await;

    let outcome = shop.close().await;
    outcome.tell("upgrade without delay and drain");
    outcome.none_is_lost();
    assert!(!outcome.seen.failed.is_empty(), "no request failed without a delay");
    assert!(!outcome.repeated().is_empty(), "no task was repeated without a drain");
    outcome.all_left_well(3);
    outcome.bore_its_load();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_sigkill_in_an_upgrade_only_tasks_of_that_pod_run_again() {
    let shop = Shop::open("helm4", 3, "leader=true").await;
    let old: BTreeSet<_> = shop.cluster.ready().into_iter().collect();

    let upgrade = shop.upgrade("v2", 3);
    let kill = async {
        let is_halfway = || shop.cluster.ready().iter().any(|pod| !old.contains(pod));
        shop.cluster.until("a new pod is ready", is_halfway).await;
        let victim = shop.cluster.ready().into_iter().find(|pod| old.contains(pod)).unwrap();
        let container = format!("{}-{victim}-taskshed", shop.cluster.kubelet.run);
        done(&["kill", "--signal", "KILL", &container]);
        victim
    };
    let ((), victim) = tokio::join!(upgrade, kill);
    shop.cluster.settled().await;
    shop.more_runs().await;

    let outcome = shop.close().await;
    outcome.tell("upgrade of 3 pods, one of them killed");
    outcome.none_is_lost();
    for (task, runs) in outcome.repeated() {
        let (last, before) = runs.split_last().unwrap();
        let is_of_victim = before.iter().all(|run| run.node == victim);
        assert!(is_of_victim && last.has_ended, "{task} ran again: {runs:?}, {victim} was killed");
    }
    assert!(!outcome.repeated().is_empty(), "the pod ran nothing when it was killed");
    for departure in outcome.departures.iter().filter(|departure| departure.pod != victim) {
        assert_eq!(departure.code, 0, "{departure:?}");
        assert!(departure.took < departure.grace, "{departure:?}");
    }
    outcome.bore_its_load();
}

#[tokio::test(flavor = "multi_thread")]
async fn from_one_to_five_and_back_nothing_is_lost_or_repeated() {
    let shop = Shop::open("helm3", 1, "leader=true").await;

    shop.upgrade("v1", 5).await;
    assert_eq!(shop.cluster.ready().len(), 5);
    shop.more_runs().await;
    shop.upgrade("v1", 1).await;
    shop.cluster.settled().await;
    assert_eq!(shop.cluster.ready().len(), 1);

    let outcome = shop.close().await;
    outcome.tell("from one pod to five and back");
    outcome.none_is_lost();
    outcome.none_is_repeated();
    outcome.none_is_refused();
    outcome.all_left_well(4);
    outcome.bore_its_load();
}
