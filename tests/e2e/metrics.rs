//! What nodes count, on a real Redis, beside what happened.

use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use taskshed::Task;
use taskshed::domain::retry::Backoff;

use crate::exposition::Exposition;
use crate::exposition::documented;
use crate::program::NodeProcess;
use crate::program::until;
use crate::redis_server::RedisServer;
use crate::witness::Shed;

fn task(callback: &str, id: &str) -> Task {
    Task::new(callback, &json!({})).unwrap().id(id).retention(Duration::from_secs(3600))
}

/// What a node shows now.
fn metrics(node: &NodeProcess) -> Exposition {
    let address = node.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    Exposition::parse(body)
}

/// The value of a series of a node, once it is there.
fn shown(node: &NodeProcess, series: &str) -> u64 {
    metrics(node).find(series).unwrap_or_default()
}

/// How many runs of tasks with names that start so have begun.
fn begun(shed: &Shed, start: &str) -> usize {
    shed.runs().iter().filter(|run| run.task.starts_with(start)).count()
}

/// Tasks that complete, fail and die are counted where they ran, each once.
#[tokio::test]
async fn a_node_counts_what_becomes_of_its_tasks() {
    let flaky = "test -e again && exit 0; touch again; exit 1";
    let scripts = [("quick", "true"), ("flaky", flaky), ("wrong", "exit 65")];
    let mut shed = Shed::new(&scripts).await;
    let node = shed.node("node", &[]);
    shed.place.talk_to(&node);
    for number in 0..5 {
        shed.place.done(&["add", "quick", "--id", &format!("quick-{number}"), "--wait"]);
    }
    shed.place.done(&["add", "quick", "--id", "quick-0", "--keep-existing", "--in", "1h"]);
    shed.place.done(&["add", "quick", "--id", "later", "--in", "1h"]);
    let soon = Backoff { base: Duration::from_millis(10), ..Backoff::default() };
    shed.add([task("flaky", "flaky").backoff(soon), task("wrong", "w0"), task("wrong", "w1")])
        .await;
    shed.completed("flaky").await;
    let dead = "taskshed_tasks_dead_total{callback=\"wrong\",cause=\"failures\"}";
    until("the others are dead", || shown(&node, dead) >= 2);

    let seen = metrics(&node);

    for (name, quick, flaky, wrong) in [
        ("tasks_started_total", 5, 2, 2),
        ("task_lag_seconds_count", 5, 2, 2),
        ("run_duration_seconds_count", 5, 2, 2),
        ("tasks_completed_total", 5, 1, 0),
        ("tasks_failed_total", 0, 1, 2),
        ("tasks_retried_total", 0, 1, 0),
        ("tasks_snoozed_total", 0, 0, 0),
        ("tasks_released_total", 0, 0, 0),
        ("tasks_cancelled_total", 0, 0, 0),
        ("runs_possibly_duplicate_total", 0, 0, 0),
        ("runs_in_flight", 0, 0, 0),
    ] {
        for (callback, value) in [("quick", quick), ("flaky", flaky), ("wrong", wrong)] {
            let series = format!("taskshed_{name}{{callback=\"{callback}\"}}");
            assert_eq!(seen.count(&series), value, "{series}");
        }
    }
    assert_eq!(seen.count(dead), 2);
    assert_eq!(seen.count("taskshed_tasks_dead_total{callback=\"quick\",cause=\"crashes\"}"), 0);
    // Those of the scheduler of the test came by another way.
    assert_eq!(seen.count("taskshed_tasks_added_total{outcome=\"created\"}"), 6);
    assert_eq!(seen.count("taskshed_tasks_added_total{outcome=\"kept\"}"), 1);
    assert_eq!(seen.count("taskshed_store_call_duration_seconds_count{method=\"add\"}"), 7);
    assert_eq!(seen.count("taskshed_store_errors_total{method=\"add\",kind=\"unavailable\"}"), 0);
    assert!(seen.number("taskshed_claim_tasks_sum") >= 9.0);
    assert_eq!(seen.count("taskshed_node_concurrency"), 64);
    assert_eq!(seen.count("taskshed_leader"), 1);
}

/// Tasks of a node that is killed are counted by the leader; outcomes that come too late, leases that
/// are lost and runs that may come twice by the node that had them.
#[tokio::test]
async fn what_goes_wrong_is_counted_where_it_is_noticed() {
    let shed = Shed::new(&[("nap", "sleep 12")]).await;
    let leader = shed.node("leader", &["--no-run"]);
    until("there is a leader", || leader.log().contains("leads"));
    let mut victim = shed.node("victim", &["--no-leader"]);
    shed.add((0..3).map(|number| task("nap", &format!("killed-{number}")))).await;
    until("all run", || begun(&shed, "killed") == 3);

    victim.kill();
    let crashed = "taskshed_tasks_reclaimed_total{cause=\"crash\"}";
    until("they are taken back", || shown(&leader, crashed) >= 3);
    let frozen = shed.node("frozen", &["--no-leader"]);
    until("they run again", || begun(&shed, "killed") == 6);
    let renewed = "taskshed_leases_renewed_total";
    until("their lease is prolonged", || shown(&frozen, renewed) >= 1);
    let running = metrics(&frozen);
    frozen.signal(Signal::STOP);
    until("they are taken back again", || shown(&leader, crashed) >= 6);
    let led = metrics(&leader);
    frozen.signal(Signal::CONT);
    let stale = "taskshed_acks_stale_total{sender=\"node\"}";
    until("their outcomes are refused", || shown(&frozen, stale) >= 3);
    let woken = metrics(&frozen);

    assert_eq!(running.count("taskshed_runs_in_flight{callback=\"nap\"}"), 3);
    assert_eq!(running.count("taskshed_leases_lost_total"), 0);
    assert_eq!(led.count(crashed), 6);
    assert_eq!(led.count("taskshed_tasks_reclaimed_total{cause=\"unclaimed\"}"), 0);
    assert_eq!(woken.count(stale), 3);
    assert_eq!(woken.count("taskshed_runs_possibly_duplicate_total{callback=\"nap\"}"), 3);
    assert_eq!(woken.count("taskshed_tasks_released_total{callback=\"nap\"}"), 0);
    assert!((1..=3).contains(&woken.count("taskshed_leases_lost_total")));
    assert_eq!((woken.count("taskshed_leader"), led.count("taskshed_leader")), (0, 1));
    assert_eq!(woken.count("taskshed_leader_term"), led.count("taskshed_leader_term"));
}

/// An endpoint that asks each time to be left alone for an hour.
fn busy_endpoint() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _head = stream.read(&mut [0; 4096]).unwrap();
            let answer = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 3600\r\n\
                          content-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

/// A snooze, a cancel, a release, a pause, leases that are prolonged, claims by how much they brought, and
/// a clock that is an hour ahead.
#[tokio::test]
async fn what_was_asked_of_tasks_is_counted_and_clocks_are_compared() {
    let server = RedisServer::start_with_clock(&["--appendonly", "yes"]);
    server.shift_clock(3600);
    let mut shed = Shed::on(server, &[("nap", "exec sleep 60")]).await;
    let file = shed.place.path("taskshed.toml");
    let busy = format!("[handlers.busy]\nhttp = \"{}\"\n", busy_endpoint());
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + &busy).unwrap();
    let mut node = shed.node("node", &["--shutdown-delay", "1h", "--drain-timeout", "1s"]);
    shed.place.talk_to(&node);
    shed.place.done(&["queue", "pause", "far"]);
    for (callback, id) in [("nap", "cancelled"), ("nap", "released"), ("busy", "snoozed")] {
        shed.add([task(callback, id)]).await;
    }
    let of = |what: &str, callback: &str| {
        shown(&node, &format!("taskshed_tasks_{what}_total{{callback=\"{callback}\"}}"))
    };
    until("two run", || begun(&shed, "") == 2);
    until("one is snoozed", || of("snoozed", "busy") == 1);
    until("leases are prolonged", || shown(&node, "taskshed_leases_renewed_total") >= 4);
    let paused = |queue: &str| format!("taskshed_queue_paused{{queue=\"{queue}\"}}");
    until("the leader has looked", || metrics(&node).find(&paused("far")).is_some());

    shed.place.done(&["cancel", "cancelled"]);
    until("one is cancelled", || of("cancelled", "nap") == 1);
    let seen = metrics(&node);
    node.signal(Signal::TERM);
    until("one is released", || of("released", "nap") == 1);

    let skew = seen.number("taskshed_node_clock_skew_seconds");
    assert!((-3601.0..=-3599.0).contains(&skew), "{skew}");
    assert_eq!((seen.count(&paused("far")), seen.count(&paused("default"))), (1, 0));
    let claims = |most: &str| seen.count(&format!("taskshed_claim_tasks_bucket{{le=\"{most}\"}}"));
    let (count, empty) = (seen.count("taskshed_claim_tasks_count"), claims("0.0"));
    assert!((2.5..3.5).contains(&seen.number("taskshed_claim_tasks_sum")));
    assert!(empty > 0 && (1..=3).contains(&(count - empty)), "{empty} of {count} are empty");
    assert_eq!((claims("5.0"), claims("+Inf")), (count, count), "none brought more than three");
    for what in ["cancelled", "released", "snoozed"] {
        let other = if what == "snoozed" { "nap" } else { "busy" };
        assert_eq!(of(what, other), 0, "{what} {other}");
    }
    node.signal(Signal::TERM);
    assert_eq!(node.end().code(), Some(0), "{}", node.log());
}

/// What is shown is what the page says, no more and no less, and promtool likes it. Only the leader shows
/// queues, among them one that nobody serves and a task that no node can run.
#[tokio::test]
async fn what_is_shown_is_documented() {
    let mut shed = Shed::new(&[("quick", "true")]).await;
    let leader = shed.node("leader", &[]);
    until("there is a leader", || leader.log().contains("leads"));
    let follower = shed.node("follower", &["--no-leader"]);
    shed.place.talk_to(&leader);
    shed.place.done(&["add", "quick", "--wait"]);
    shed.add([task("quick", "far").queue("far"), task("nobody", "nobody")]).await;
    shed.add([task("quick", "later").run_in(Duration::from_secs(3600))]).await;
    until("nobody has its callback", || {
        shed.place.json(&["queues", "--output", "json"])["queues"][0]["parked"] == 1
    });

    let parked = "taskshed_queue_tasks{queue=\"default\",state=\"parked\"}";
    until("the leader has looked", || metrics(&leader).find(parked).is_some());
    let seen = metrics(&leader);

    assert_eq!(seen.families, documented());
    seen.please_promtool();
    assert_eq!(seen.count(parked), 1);
    assert_eq!(seen.count("taskshed_queue_tasks{queue=\"default\",state=\"waiting\"}"), 1);
    assert_eq!(seen.count("taskshed_queue_tasks{queue=\"default\",state=\"due\"}"), 0);
    assert_eq!(seen.count("taskshed_queue_tasks{queue=\"far\",state=\"due\"}"), 1);
    assert!(seen.number("taskshed_queue_oldest_due_age_seconds{queue=\"far\"}") > 0.0);
    assert_eq!(seen.count("taskshed_queue_nodes{queue=\"default\"}"), 2);
    assert_eq!(seen.count("taskshed_queue_nodes{queue=\"far\"}"), 0);
    assert_eq!(seen.count("taskshed_nodes"), 2);
    let followed = metrics(&follower);
    followed.please_promtool();
    assert!(followed.all("taskshed_queue_tasks").is_empty(), "only the leader shows queues");
}
