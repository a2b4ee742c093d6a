//! A primary that Sentinel names.

use taskshed::domain::durability::Durability;
use taskshed::store::Error;
use taskshed::store::Finding;
use taskshed::store::Options;
use taskshed::store::Severity;
use taskshed::store::Store;
use taskshed::store::redis::RedisStore;

use super::RedisServer;
use super::redis_sentinel::Sentinel;
use super::redis_sentinel::Watched;
use super::shed::SECOND;

fn open(url: &str) -> RedisStore {
    RedisStore::open(url, Options::default()).unwrap()
}

fn url(sentinels: &[&Sentinel]) -> String {
    let places: Vec<_> =
        sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port())).collect();
    format!("redis+sentinel://{}/shed", places.join(","))
}

/// The first line of what the server at the other end of a store says about its keys.
async fn is_made_ready(server: &RedisServer, store: &RedisStore) -> bool {
    store.prepare().await.unwrap();
    server.tell("EXISTS {ts:default:0}:schema").starts_with(":1")
}

#[tokio::test]
async fn a_sentinel_that_missed_a_failover_is_not_believed() {
    let (old, new) = (RedisServer::start(&[]), RedisServer::start(&[]));
    let stale = Sentinel::watch(old.port(), &["sentinel config-epoch shed 3"]);
    let fresh = Sentinel::watch(new.port(), &["sentinel config-epoch shed 4"]);

    for url in [url(&[&stale, &fresh]), url(&[&fresh, &stale])] {
        assert!(is_made_ready(&new, &open(&url)).await);
    }
    assert!(old.tell("EXISTS {ts:default:0}:schema").starts_with(":0"));
}

#[tokio::test]
async fn a_server_that_is_named_and_takes_no_writes_is_away() {
    let primary = RedisServer::start(&[]);
    let mut replica = RedisServer::start(&[]);
    replica.follow(primary.port());
    let sentinel = Sentinel::watch(replica.port(), &[]);

    let refused = open(&url(&[&sentinel])).now().await;

    let Err(Error::Unavailable { source, .. }) = refused else { panic!("{refused:?}") };
    assert!(source.to_string().contains("not the primary"), "{source}");
}

#[tokio::test]
async fn a_sentinel_that_is_away_does_not_matter() {
    let server = RedisServer::start(&[]);
    let sentinel = Sentinel::watch(server.port(), &[]);
    let nobody = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let silent = nobody.local_addr().unwrap().port();

    let url = format!(
        "redis+sentinel://127.0.0.1:1,127.0.0.1:{silent},127.0.0.1:{}/shed",
        sentinel.port()
    );
    let store = open(&url);
    tokio::time::timeout(SECOND, store.prepare()).await.unwrap().unwrap();

    let alone = open(&format!("redis+sentinel://127.0.0.1:1,127.0.0.1:{silent}/shed"));
    let refused = tokio::time::timeout(4 * SECOND, alone.now()).await.unwrap();
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_name_that_nobody_watches_is_an_error_of_the_operator() {
    let server = RedisServer::start(&[]);
    let sentinel = Sentinel::watch(server.port(), &[]);
    let url = url(&[&sentinel]).replace("/shed", "/other");

    let refused = open(&url).prepare().await;

    let Err(Error::Unusable { problem }) = refused else { panic!("{refused:?}") };
    assert!(problem.contains("other"), "{problem}");
}

#[tokio::test]
async fn servers_and_sentinels_have_passwords_of_their_own() {
    let server = RedisServer::start(&["--requirepass", "s3cret"]);
    let login = ["sentinel auth-pass shed s3cret", "requirepass 0ther"];
    let sentinel = Sentinel::watch(server.port(), &login);
    let port = sentinel.port();

    let url = format!("redis+sentinel://:s3cret@127.0.0.1:{port}/shed?sentinel_password=0ther");
    open(&url).prepare().await.unwrap();
    for wrong in [url.replace("s3cret", "wr0ng"), url.replace("0ther", "wr0ng")] {
        let refused = open(&wrong).prepare().await;
        assert!(matches!(refused, Err(Error::Unusable { .. })), "{refused:?}");
        assert!(!format!("{refused:?} {:?}", open(&wrong)).contains("wr0ng"));
    }
}

fn found<'a>(findings: &'a [Finding], topic: &str, sign: &str) -> &'a Finding {
    let mut of_topic = findings.iter().filter(|finding| finding.topic == topic);
    of_topic.find(|finding| finding.found.contains(sign)).unwrap_or_else(|| panic!("{findings:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_looks_at_sentinels_and_compares_a_failover_with_the_lease() {
    let watched = tokio::task::block_in_place(|| Watched::start(&[]));
    let store = open(&watched.url());

    let findings = store.check(10 * SECOND).await.unwrap();
    assert_eq!(found(&findings, "sentinels", "3 of the 3").severity, Severity::Fine);
    assert_eq!(found(&findings, "sentinels", "3 watch the primary").severity, Severity::Fine);
    assert_eq!(found(&findings, "sentinels", "1 replicas").severity, Severity::Fine);
    assert_eq!(found(&findings, "failover", "about 3s").severity, Severity::Fine);
    assert!(found(&findings, "role", "1 replicas").advice.contains("replicated:1"));
    let short = store.check(2 * SECOND).await.unwrap();
    let failover = found(&short, "failover", "about 3s");
    assert_eq!(failover.severity, Severity::Advice);
    assert!(failover.advice.contains("--lease 5s"), "{}", failover.advice);

    let wish = |text: &str| {
        let durability: Durability = text.parse().unwrap();
        RedisStore::open(&watched.url(), Options { durability, ..Options::default() }).unwrap()
    };
    let findings = wish("replicated:1").check(10 * SECOND).await.unwrap();
    assert_eq!(found(&findings, "role", "1 replicas").severity, Severity::Advice);
    let findings = wish("replicated:2").check(10 * SECOND).await.unwrap();
    assert_eq!(found(&findings, "role", "1 replicas").severity, Severity::Serious);

    let alone = RedisServer::start(&[]);
    let sentinel = Sentinel::watch(alone.port(), &[]);
    let findings = open(&url(&[&sentinel])).check(10 * SECOND).await.unwrap();
    assert_eq!(found(&findings, "sentinels", "1 watch the primary").severity, Severity::Serious);
    assert_eq!(found(&findings, "sentinels", "0 replicas").severity, Severity::Serious);
}
