//! `bench`: it measures, counts each run, keeps away from others, and leaves no task, however it ends.

use std::io::BufRead;
use std::io::BufReader;
use std::process::Child;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde_json::Value;
use serde_json::json;
use taskshed::Scheduler;
use taskshed::Task;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::domain::id::Namespace;
use taskshed::domain::id::TaskId;
use taskshed::store;
use taskshed::store::Filter;
use taskshed::store::List;
use taskshed::store::Options;
use taskshed::store::Store;

#[cfg(feature = "mysql")]
use crate::mariadb_server::MariadbServer;
use crate::program::Place;
use crate::program::Ran;
use crate::program::until;
use crate::redis_server::RedisServer;

/// What each scenario tells, by the names for programs.
const FIGURES: [(&str, &[&str]); 4] = [
    ("add", &["batched_per_second", "single_by_16_per_second", "single_per_second"]),
    ("drain", &["tasks_per_second"]),
    (
        "lag",
        &[
            "clocks_agree_within_ms",
            "max_ms",
            "p50_ms",
            "p90_ms",
            "p99_ms",
            "timer_max_ms",
            "timer_p50_ms",
            "timer_p99_ms",
        ],
    ),
    ("cpu", &["cpu_seconds", "cpu_us_per_task", "tasks_per_second"]),
];

/// What is quickly done where it should be refused.
const FEW: [&str; 4] = ["--tasks", "20", "--scenario", "add"];

/// A namespace of a store, past the program.
struct Look {
    runtime: tokio::runtime::Runtime,
    store: Arc<dyn Store>,
    scheduler: Scheduler,
}

impl Look {
    fn at(url: &str, namespace: &str) -> Self {
        let namespace = Namespace::parse(namespace).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let store = store::open(url, Options { namespace, ..Options::default() }).unwrap();
        runtime.block_on(store.prepare()).unwrap();
        Self { runtime, scheduler: Scheduler::new(Arc::clone(&store)), store }
    }

    /// Some tasks that are there.
    fn tasks(&self) -> Vec<TaskId> {
        let list = List { filter: Filter::default(), limit: 1000, cursor: None };
        let page = self.runtime.block_on(self.scheduler.list(&list)).unwrap();
        page.tasks.into_iter().map(|task| task.id).collect()
    }

    fn add(&self, task: Task) {
        self.runtime.block_on(self.scheduler.add(task)).unwrap();
    }

    /// Takes a task away; answers whether it was still there.
    fn remove(&self, id: &TaskId) -> bool {
        self.runtime.block_on(self.scheduler.remove(id)).unwrap().affected == 1
    }

    /// Waits until there are tasks, and answers some.
    fn first_tasks(&self) -> Vec<TaskId> {
        let patience = SystemClock.steady() + Duration::from_secs(30);
        loop {
            let tasks = self.tasks();
            if !tasks.is_empty() {
                return tasks;
            }
            assert!(SystemClock.steady() < patience, "tasks are added");
        }
    }

    /// Fails unless neither tasks nor leases nor nodes are left.
    fn assert_empty(&self) {
        assert_eq!(self.tasks(), []);
        let stats = self.runtime.block_on(self.scheduler.stats()).unwrap();
        assert!(stats.queues.iter().all(|queue| queue.running == 0), "{stats:?}");
        let cluster = self.runtime.block_on(self.store.cluster()).unwrap();
        assert!(cluster.nodes.is_empty() && cluster.leader.is_none(), "{cluster:?}");
    }
}

/// The URL of a file of a place.
fn file(place: &Place) -> String {
    format!("sqlite:{}", place.path("tasks.db").display())
}

fn bench<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["bench", "--store", url, "--runs", "1"], more].concat()
}

/// Starts a bench whose lines on standard error can be read.
fn start(place: &Place, args: &[&str]) -> Child {
    let mut command = place.command(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs all scenarios with a few tasks and checks what is shown and what is left.
fn measures(place: &Place, url: &str) {
    let args = bench(url, &["--tasks", "60", "--nodes", "2", "--output", "table"]);
    let ran = place.run(&args);

    assert_eq!(ran.code, 0, "{}", ran.err);
    let rows: Vec<Vec<&str>> =
        ran.out.lines().map(|row| row.split_whitespace().collect()).collect();
    assert!(ran.out.contains("60 tasks, 2 node(s), 500 at once"), "{}", ran.out);
    for (scenario, figures) in FIGURES {
        let shown = rows.iter().filter(|row| row.first() == Some(&scenario));
        let shown: Vec<_> = shown.collect();
        assert_eq!(shown.len(), figures.len(), "{}", ran.out);
        for row in shown {
            let [.., median, least, most, unit, runs] = row[..] else { panic!("{}", ran.out) };
            assert!(median.parse::<f64>().is_ok() && least == most, "{}", ran.out);
            assert!(["tasks/s", "ms", "µs", "s"].contains(&unit) && runs == "1", "{}", ran.out);
        }
    }
    let last = ran.out.lines().last();
    assert_eq!(last, Some("tasks lost: 0, run twice: 0, left to run again: 0"));
}

#[test]
fn a_store_in_memory_is_measured() {
    measures(&Place::new(""), "memory:");
}

#[test]
fn a_file_is_measured_and_left_without_tasks() {
    let place = Place::new("");
    let url = file(&place);

    measures(&place, &url);

    Look::at(&url, "bench").assert_empty();
}

#[test]
fn a_redis_is_measured_and_left_without_tasks() {
    let (place, server) = (Place::new(""), RedisServer::start(&[]));

    measures(&place, &server.url());

    Look::at(&server.url(), "bench").assert_empty();
}

#[cfg(feature = "mysql")]
#[test]
fn a_mariadb_is_measured_once_it_has_tables_and_left_without_tasks() {
    let (place, server) = (Place::new(""), MariadbServer::start(&[]));

    let early = place.run(&bench(&server.url(), &[]));
    assert_eq!(early.code, 1, "{}", early.err);
    assert!(early.err.contains("run `taskshed migrate --store URL`"), "{}", early.err);
    place.done(&["migrate", "--store", &server.url()]);
    measures(&place, &server.url());

    let look = Look::at(&server.url(), "bench");
    look.assert_empty();
    stops_in_good_order(&place, &server.url(), &look, Signal::TERM);
}

#[test]
fn each_run_is_a_line_of_json() {
    let (place, server) = (Place::new(""), RedisServer::start(&[]));
    let args = ["--tasks", "40", "--runs", "2", "--rate", "100", "--concurrency", "7"];
    let url = server.url();
    let command = ["bench", "--store", &url, "--output", "json"];

    let out = place.done(&[&command[..], &args].concat());

    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let runs: Vec<_> =
        lines.iter().map(|line| (line["scenario"].clone(), line["run"].clone())).collect();
    let wanted = FIGURES.iter().flat_map(|(name, _)| [(json!(name), 1), (json!(name), 2)]);
    let wanted: Vec<_> = wanted.map(|(name, run)| (name, json!(run))).collect();
    assert_eq!(runs, wanted);
    for line in &lines {
        let named = FIGURES.iter().find(|(name, _)| line["scenario"] == *name).unwrap();
        let figures = line["figures"].as_object().unwrap();
        assert_eq!(figures.keys().collect::<Vec<_>>(), named.1, "{line}");
        assert!(figures.values().all(Value::is_number), "{line}");
        assert_eq!(line["tasks"], if named.0 == "add" { 44 } else { 40 }, "{line}");
        assert_eq!([&line["lost"], &line["twice"], &line["left"]], [0, 0, 0], "{line}");
        assert_eq!([&line["nodes"], &line["concurrency"]], [1, 7], "{line}");
        assert_eq!(line["version"], env!("CARGO_PKG_VERSION"));
        assert!(line["store"].as_str().unwrap().starts_with("redis "), "{line}");
        assert!(line["cores"].as_u64() > Some(0), "{line}");
    }
}

#[test]
fn only_what_was_asked_for_is_measured_in_the_order_of_the_list() {
    let place = Place::new("");
    let args = bench("memory:", &["--tasks", "30", "--scenario", "cpu,add", "--scenario", "cpu"]);

    let out = place.done(&args);

    let line = |line: &str| serde_json::from_str::<Value>(line).unwrap()["scenario"].clone();
    assert_eq!(out.lines().map(line).collect::<Vec<_>>(), ["add", "cpu"]);
}

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

/// Tells a bench with many tasks to stop, first while they are added, then while they wait.
fn stops_in_good_order(place: &Place, url: &str, look: &Look, signal: Signal) {
    for args in [["200000", "--scenario", "add"], ["5000", "--scenario", "lag"]] {
        let bench = start(place, &bench(url, &[&["--tasks"][..], &args].concat()));
        look.first_tasks();
        kill_process(Pid::from_child(&bench), signal).unwrap();

        let output = bench.wait_with_output().unwrap();

        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("error: stopped; its tasks are removed"), "{said}");
        look.assert_empty();
    }
}

#[test]
fn a_bench_that_is_stopped_removes_its_tasks_from_a_redis() {
    let (place, server) = (Place::new(""), RedisServer::start(&[]));
    let look = Look::at(&server.url(), "bench");
    for signal in [Signal::TERM, Signal::INT] {
        stops_in_good_order(&place, &server.url(), &look, signal);
    }
}

#[test]
fn a_bench_that_is_stopped_removes_its_tasks_from_a_file() {
    let place = Place::new("");
    let look = Look::at(&file(&place), "bench");
    stops_in_good_order(&place, &file(&place), &look, Signal::TERM);
}

/// Starts a bench, lets `meddle` do something to its tasks, and answers how it ended.
fn meddled(args: &[&str], meddle: impl FnOnce(&Look)) -> Ran {
    let (place, server) = (Place::new(""), RedisServer::start(&[]));
    let look = Look::at(&server.url(), "bench");
    let mut child = start(&place, &bench(&server.url(), args));
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut begun = String::new();
    said.read_line(&mut begun).unwrap();

    meddle(&look);

    let output = child.wait_with_output().unwrap();
    let mut err = String::new();
    std::io::Read::read_to_string(&mut said, &mut err).unwrap();
    look.assert_empty();
    let out = String::from_utf8(output.stdout).unwrap();
    Ran { code: output.status.code().unwrap_or(128), out, err }
}

#[test]
fn a_task_that_the_store_lost_is_told() {
    let ran = meddled(&["--tasks", "100000", "--scenario", "add"], |look| {
        while !look.first_tasks().iter().any(|id| look.remove(id)) {}
    });

    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.err.contains("error: tasks lost: 1, run twice: 0, left"), "{}", ran.err);
}

#[test]
fn a_task_that_never_runs_is_told() {
    let ran = meddled(&["--tasks", "500", "--scenario", "lag"], |look| {
        while !look.first_tasks().iter().any(|id| look.remove(id)) {}
    });

    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.err.contains("nothing more ran for 30s: "), "{}", ran.err);
    assert!(ran.err.contains("error: tasks lost: 1, run twice: 0, left"), "{}", ran.err);
}

#[test]
fn a_task_that_runs_twice_is_told() {
    let ran = meddled(&["--tasks", "2000", "--scenario", "lag"], |look| {
        look.first_tasks();
        look.add(Task::new("taskshed.bench", &json!({ "number": 0, "text": "" })).unwrap());
    });

    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.err.contains("error: tasks lost: 0, run twice: 1, left"), "{}", ran.err);
}

#[test]
fn a_store_that_goes_away_is_told() {
    let (place, mut server) = (Place::new(""), RedisServer::start(&[]));
    let look = Look::at(&server.url(), "bench");
    let args = ["--tasks", "1000000", "--scenario", "add"];
    let url = server.url();
    let bench = start(&place, &bench(&url, &args));
    look.first_tasks();

    server.kill();

    let output = bench.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("tasks may be left in namespace bench"), "{said}");
    assert!(said.contains(&format!("store: {url}")), "{said}");
}

#[test]
fn what_cannot_be_measured_is_a_usage_error() {
    let place = Place::new("");
    for args in [
        ["--tasks", "0"],
        ["--nodes", "0"],
        ["--concurrency", "0"],
        ["--rate", "0"],
        ["--runs", "0"],
        ["--scenario", "speed"],
        ["--namespace", "a b"],
    ] {
        let ran = place.run(&bench("memory:", &args));
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.err);
    }
    let away = place.run(&bench("redis://me:hunter2@127.0.0.1:1/0", &[]));
    assert_eq!(away.code, 3, "{}", away.err);
    assert!(!away.err.contains("hunter2"), "{}", away.err);
}
