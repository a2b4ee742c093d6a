//! What `doctor` finds in a cluster.

use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::store::Finding;
use taskshed::store::Options;
use taskshed::store::Severity;
use taskshed::store::Store;
use taskshed::store::redis::ClusterStore;
use tokio::task::block_in_place;

use crate::fixture::PARTITIONS;
use crate::fixture::SECOND;
use crate::fixture::Shed;
use crate::redis_cluster::RedisCluster;

fn found<'a>(findings: &'a [Finding], topic: &str, sign: &str) -> &'a Finding {
    let mut of_topic = findings.iter().filter(|finding| finding.topic == topic);
    of_topic.find(|finding| finding.found.contains(sign)).unwrap_or_else(|| panic!("{findings:#?}"))
}

/// Waits until each server shows each: a replica is shown once the gossip has told how far it is.
async fn all_are_shown(servers: &RedisCluster, count: usize) {
    let shows_all = |at: usize| {
        let slots = servers.tell(at, "CLUSTER SLOTS");
        (0..count).all(|other| slots.contains(&servers.port(other).to_string()))
    };
    for _ in 0..600 {
        if block_in_place(|| (0..count).all(shows_all)) {
            return;
        }
        SystemClock.sleep(SECOND / 20).await;
    }
    panic!("some servers are not shown by others");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_compares_a_failover_of_a_cluster_with_the_lease() {
    let servers =
        block_in_place(|| RedisCluster::start(1, &["--cluster-require-full-coverage", "no"]));
    all_are_shown(&servers, 6).await;
    let shed = Shed::spread(&servers.url(PARTITIONS)).await;

    let findings = shed.store.check(10 * SECOND).await.unwrap();
    for (topic, sign) in [
        ("failover", "about 3s"),
        ("partitions", "3 on 3 of 3 primaries: 1, 1, 1"),
        ("replicas", "1 or more"),
        ("cluster", "16384 of 16384"),
        ("coverage", "is no"),
        ("cluster mode", "all: on"),
        ("eviction", "all: noeviction"),
        ("clocks", "differ by"),
        ("records", "none is damaged"),
    ] {
        assert_eq!(
            found(&findings, topic, sign).severity,
            Severity::Fine,
            "{topic}: {findings:#?}"
        );
    }
    let short = shed.store.check(2 * SECOND).await.unwrap();
    let failover = found(&short, "failover", "about 3s");
    assert_eq!(failover.severity, Severity::Advice);
    assert!(failover.advice.contains("--lease 5s"), "{}", failover.advice);
    let durability = "replicated:1".parse().unwrap();
    let options = Options { durability, ..shed.options.clone() };
    let waiting = ClusterStore::open(&shed.url, options).unwrap();
    let findings = waiting.check(10 * SECOND).await.unwrap();
    assert_eq!(found(&findings, "replicas", "1 or more").severity, Severity::Advice);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_a_cluster_lacks() {
    let mut servers = block_in_place(|| RedisCluster::start(0, &[]));
    let shed = Shed::spread(&servers.url(PARTITIONS)).await;
    let home = |part: usize| servers.owner(servers.slot(&shed.key(part, "")));
    servers.tell(home(1), &format!("SET {} x", shed.key(1, "")));
    servers.tell(home(2), "CONFIG SET maxmemory-policy allkeys-lru");

    let findings = shed.store.check(10 * SECOND).await.unwrap();
    for (topic, sign, severity) in [
        ("replicas", "can be replaced", Severity::Serious),
        ("coverage", "is yes", Severity::Advice),
        ("keys", "partition 1: somebody made a key named {ts:n0:1}:", Severity::Serious),
        ("eviction", "allkeys-lru", Severity::Serious),
    ] {
        assert_eq!(found(&findings, topic, sign).severity, severity, "{findings:#?}");
    }
    assert!(shed.elsewhere().prepare().await.is_err(), "nor does a node take it");

    let lost = home(1);
    let port = servers.port(lost);
    block_in_place(|| servers.server(lost).kill());
    let findings = shed.store.check(10 * SECOND).await.unwrap();
    let away = found(&findings, "partitions", &format!("127.0.0.1:{port} does not answer"));
    assert_eq!(away.severity, Severity::Serious);
    assert!(away.found.ends_with("it serves 1"), "{}", away.found);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_wants_three_primaries() {
    let servers = block_in_place(|| RedisCluster::of(2, 0, &[]));
    let store = ClusterStore::open(&servers.url(1), Options::default()).unwrap();

    let findings = store.check(10 * SECOND).await.unwrap();

    let few = found(&findings, "partitions", "1 on 1 of 2 primaries: 1");
    assert_eq!(few.severity, Severity::Serious);
    assert!(few.advice.contains("three"), "{}", few.advice);
}
