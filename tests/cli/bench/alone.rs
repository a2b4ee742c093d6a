//! A bench measures alone: it keeps away from nodes and tasks of others, and from other benches.

use std::process::Child;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde_json::json;
use taskshed::Task;
use taskshed::store;

use crate::program::Place;
use crate::program::until;
use crate::redis_server::RedisServer;

use super::Look;
use super::bench;
use super::file;
use super::start;

/// What is quickly done where it should be refused.
const FEW: [&str; 4] = ["--tasks", "20", "--scenario", "add"];

/// The namespace of the settings is where people work; only the flag says where to measure.
#[test]
fn a_cluster_beside_it_is_not_touched() {
    let mut place = Place::new("namespace = \"live\"\n[handlers.noop]\nexec = [\"true\"]\n");
    let url = file(&place);
    place.set("TASKSHED_STORE", &url);
    let node = place.node(&["--name", "anna"]);
    place.talk_to(&node);
    place.done(&["add", "noop", "--id", "later", "--in", "1h"]);
    place.done(&["add", "taskshed.bench", "--id", "namesake", "--in", "1h"]);
    let tasks = || place.done(&["list", "--output", "jsonl"]);
    let before = tasks();

    place.done(&["bench", "--tasks", "50", "--runs", "1", "--scenario", "add,drain"]);

    assert_eq!(tasks(), before);
    assert_eq!(place.done(&["nodes"]).lines().count(), 1, "anna alone");
    Look::at(&url, "bench").assert_empty();
}

#[test]
fn a_namespace_with_a_node_is_refused() {
    let (place, server) = (Place::new(""), RedisServer::start(&[]));
    let url = server.url();
    let node = place.node(&["--store", &url, "--namespace", "live", "--name", "anna", "--no-run"]);

    let refused = place.run(&bench(&url, &[&["--namespace", "live"][..], &FEW].concat()));

    assert_eq!(refused.code, 1, "{}", refused.out);
    assert!(refused.err.contains("at work in namespace live"), "{}", refused.err);
    assert!(refused.err.contains("with --namespace"), "{}", refused.err);
    assert!(refused.err.contains("\n  anna (heard "), "{}", refused.err);
    assert_eq!(refused.out, "");
    let cluster = Look::at(&url, "live");
    let cluster = cluster.runtime.block_on(cluster.store.cluster()).unwrap();
    assert_eq!(cluster.nodes.len(), 1, "the bench has not even been there");
    drop(node);
}

#[test]
fn a_namespace_with_tasks_of_others_is_refused() {
    let (place, server) = (Place::new(""), RedisServer::start(&[]));
    let look = Look::at(&server.url(), "bench");
    look.add(Task::new("taskshed.bench", &json!({})).unwrap().id("old"));
    look.add(Task::new("bill", &json!({})).unwrap().id("bill-7"));

    let refused = place.run(&bench(&server.url(), &FEW));

    assert_eq!(refused.code, 1, "{}", refused.out);
    for part in ["namespace bench", "such as bill-7", "with --namespace"] {
        assert!(refused.err.contains(part), "no {part:?} in {}", refused.err);
    }
    let mut left: Vec<_> = look.tasks().iter().map(ToString::to_string).collect();
    left.sort();
    assert_eq!(left, ["bill-7", "old"]);
}

#[test]
fn a_namespace_whose_queue_is_paused_is_refused() {
    let (place, server) = (Place::new(""), RedisServer::start(&[]));
    let look = Look::at(&server.url(), "bench");
    let queue = "default".parse().unwrap();
    look.runtime.block_on(look.scheduler.set_queue(&queue, store::Gate::Paused)).unwrap();

    let refused = place.run(&bench(&server.url(), &FEW));

    assert_eq!(refused.code, 1, "{}", refused.out);
    assert!(refused.err.contains("queue default is paused in namespace bench"), "{}", refused.err);
}

#[test]
fn what_a_killed_bench_left_is_removed_by_the_next() {
    let (place, server) = (Place::new(""), RedisServer::start(&[]));
    let look = Look::at(&server.url(), "bench");
    for number in 0..3 {
        look.add(Task::new("taskshed.bench", &json!({ "number": number, "text": "" })).unwrap());
    }

    let ran = place.run(&bench(&server.url(), &["--tasks", "20", "--scenario", "drain"]));

    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("removes 3 tasks of a bench that did not end"), "{}", ran.err);
    look.assert_empty();
}

#[test]
fn two_benches_do_not_measure_each_other() {
    let (place, server) = (Place::new(""), RedisServer::start(&[]));
    let url = server.url();
    let look = Look::at(&url, "bench");
    let first = start(&place, &bench(&url, &["--tasks", "2000", "--scenario", "lag"]));
    look.first_tasks();

    let second = place.run(&bench(&url, &FEW));

    assert_eq!(second.code, 1, "{}", second.out);
    assert!(second.err.contains(&format!("-bench-{} (heard ", first.id())), "{}", second.err);
    let first = first.wait_with_output().unwrap();
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    look.assert_empty();
}

/// Whoever comes at the same moment finds nobody; so each looks again once it can be seen. A server that
/// stands still meanwhile lets them come at the same moment.
#[test]
fn of_benches_that_begin_together_at_most_one_goes_on() {
    let (place, server) = (Place::new(""), RedisServer::start(&[]));
    let url = server.url();
    let args = bench(&url, &["--tasks", "30", "--scenario", "lag"]);
    let process = Pid::from_raw(server.pid()).unwrap();
    kill_process(process, Signal::STOP).unwrap();
    let together: Vec<Child> = (0..4).map(|_| start(&place, &args)).collect();
    until("all have connected", || connected(server.port()) >= together.len());
    kill_process(process, Signal::CONT).unwrap();

    let mut done = 0;
    for bench in together {
        let output = bench.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        if output.status.success() {
            done += 1;
        } else {
            assert!(said.contains("at work in namespace bench"), "{said}");
        }
    }

    assert!(done <= 1, "{done} have measured at the same time");
    Look::at(&url, "bench").assert_empty();
}

/// How many connections to a port of this machine are open.
fn connected(port: u16) -> usize {
    let open = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let is_to = |row: &&str| {
        let fields: Vec<_> = row.split_whitespace().collect();
        fields[2].ends_with(&format!(":{port:04X}")) && fields[3] == "01"
    };
    open.lines().skip(1).filter(is_to).count()
}
