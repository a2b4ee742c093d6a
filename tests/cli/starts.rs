//! How a node starts: its API answers at once, and the rest when there is a store.

use std::time::Duration;

use rustix::process::Signal;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;

use crate::program::Place;
use crate::program::since;
use crate::program::until;
use crate::redis_server::RedisServer;

const FILE: &str = "[handlers.note]\nexec = [\"true\"]\n";

#[test]
fn a_node_whose_store_is_away_waits_for_it_and_starts() {
    let mut place = Place::new(FILE);
    let mut server = RedisServer::start(&["--appendonly", "yes"]);
    server.kill();
    let mut node = place.node_at_once(&["--store", &server.url()]);
    place.talk_to(&node);
    until("it has looked for its store", || node.log().contains("trying again"));

    assert!(node.get("/healthz").starts_with("HTTP/1.1 200"));
    assert!(node.get("/readyz").starts_with("HTTP/1.1 503"));
    assert!(node.get("/metrics").starts_with("HTTP/1.1 200"));
    for path in ["/v1/queues", "/v1/tasks/t?wait=10s", "/v1/nodes"] {
        let answer = node.get(path);
        assert!(answer.starts_with("HTTP/1.1 503"), "{path}: {answer}");
        assert!(answer.contains("/problems/store-away"), "{path}: {answer}");
    }
    assert_eq!(place.run(&["add", "note"]).code, 3);
    assert!(node.is_running());

    server.restart();
    until("it is ready", || node.get("/readyz").starts_with("HTTP/1.1 200"));
    place.done(&["add", "note", "--id", "t", "--wait"]);

    assert_eq!(place.task("t").unwrap()["state"], "completed");
    assert_eq!(node.leave(), Some(0));
    let log = node.log();
    let told = |call: &str| log.lines().filter(|line| line.contains(call)).count();
    assert_eq!(told("call=\"prepare\""), 2, "that it is away, and that it is back: {log}");
}

/// Nobody was ever sent to it, so nobody has to hear that it leaves.
#[test]
fn a_node_that_waits_for_its_store_leaves_at_once() {
    for signal in [Signal::TERM, Signal::INT] {
        let place = Place::new(FILE);
        let url = "redis://me:hunter2@127.0.0.1:1/0";
        let mut node = place.node_at_once(&["--store", url, "--shutdown-delay", "1h"]);
        until("it has looked for its store", || node.log().contains("trying again"));

        let told_at = SystemClock.steady();
        node.signal(signal);

        assert_eq!(node.end().code(), Some(0), "{}", node.log());
        assert!(since(told_at) < Duration::from_secs(3));
        assert!(node.log().contains("redis://me:***@127.0.0.1:1/0"), "{}", node.log());
        assert!(!node.log().contains("hunter2"), "{}", node.log());
    }
}

/// A store that came back as something that is none of ours ends the node; it was asked nothing before.
#[test]
fn a_node_whose_store_comes_back_unfit_says_so_and_ends() {
    let place = Place::new(FILE);
    let mut server = RedisServer::start(&["--requirepass", "s3cret"]);
    server.kill();
    let mut node = place.node_at_once(&["--store", &server.url()]);
    until("it has looked for its store", || node.log().contains("trying again"));

    server.restart();

    assert_eq!(node.end().code(), Some(1), "{}", node.log());
    assert!(node.log().contains("NOAUTH"), "{}", node.log());
}
