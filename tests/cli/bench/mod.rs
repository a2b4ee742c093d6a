//! `bench`: it measures, counts each run, keeps away from others, and leaves no task, however it ends.

mod alone;
mod ends;

use std::process::Child;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "mysql")]
use rustix::process::Signal;
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
use crate::redis_server::RedisServer;

#[cfg(feature = "mysql")]
use self::ends::stops_in_good_order;

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
