//! How a bench ends: told to stop, robbed of tasks or given some, on a store that goes away.

use std::io::BufRead;
use std::io::BufReader;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde_json::json;
use taskshed::Task;

use crate::program::Place;
use crate::program::Ran;
use crate::redis_server::RedisServer;

use super::Look;
use super::bench;
use super::file;
use super::start;

/// Tells a bench with many tasks to stop, first while they are added, then while they wait.
pub(super) fn stops_in_good_order(place: &Place, url: &str, look: &Look, signal: Signal) {
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

/// A store that hangs cannot be tidied up, and a bench that waits for it need not be waited for.
#[test]
fn a_second_signal_ends_a_bench_at_once() {
    let (place, server) = (Place::new(""), RedisServer::start(&[]));
    let url = server.url();
    let look = Look::at(&url, "bench");
    let mut bench = start(&place, &bench(&url, &["--tasks", "5000", "--scenario", "lag"]));
    look.first_tasks();
    kill_process(Pid::from_raw(server.pid()).unwrap(), Signal::STOP).unwrap();
    let mut said = BufReader::new(bench.stderr.take().unwrap()).lines().map_while(Result::ok);

    kill_process(Pid::from_child(&bench), Signal::TERM).unwrap();
    assert!(said.any(|line| line == "stops, and removes its tasks"));
    kill_process(Pid::from_child(&bench), Signal::INT).unwrap();

    let last = said.last().unwrap();
    assert_eq!(bench.wait().unwrap().code(), Some(1), "{last}");
    assert!(last.contains("stopped at once; tasks may be left in namespace bench"), "{last}");
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
