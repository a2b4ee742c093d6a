//! Tasks of the Python library `TaskShed`, written by the library itself, in a store of ours.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use serde_json::json;

use crate::mariadb_server::MariadbServer;
use crate::program::Place;
use crate::program::Ran;
use crate::redis_server::RedisServer;

const TASKS: u64 = 461;

/// Tasks that cannot be tasks here: an interval of a microsecond, and NaN as an argument.
const REFUSED: u64 = 2;

/// The library, installed if it is not there yet.
fn python() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/python");
    let mut install = Command::new(script);
    install.arg(&folder);
    let ran = Ran::of(install);
    assert_eq!(ran.code, 0, "the Python library cannot be installed: {}{}", ran.out, ran.err);
    folder.join("bin/python")
}

/// Lets the library write its tasks, and answers them as it reads them.
fn fill(words: &[&str]) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/python/fill.py");
    let mut command = Command::new(python());
    command.arg(script).args(words);
    let ran = Ran::of(command);
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_the_python_library_keeps_in_redis_goes_on_here() {
    let server = RedisServer::start(&[]);
    all_goes_on("redis", server.port(), &server.url());

    let place = Place::new("");
    let aged = import(&place, &server.url(), "sqlite:aged.db", &[]);
    assert_eq!(aged.code, 1);
    assert!(aged.err.contains("torn: callback: is missing"), "{}", aged.err);
}

#[test]
fn what_the_python_library_keeps_in_mysql_goes_on_here() {
    let server = MariadbServer::start(&[]);
    all_goes_on("mysql", server.port(), &server.url());
}

fn import(place: &Place, from: &str, to: &str, more: &[&str]) -> Ran {
    let import = ["import", "taskshed-python", "--output", "json", "--from", from, "--to", to];
    place.run(&[&import[..], more].concat())
}

/// The counts of an import that leaves the two out.
fn counts(ran: &Ran) -> (u64, u64) {
    assert_eq!(ran.code, 1, "{}", ran.err);
    let said: Value = serde_json::from_str(&ran.out).unwrap();
    let mut refused: Vec<_> =
        said["refused"].as_array().unwrap().iter().map(|task| &task["task_id"]).collect();
    refused.retain(|id| **id != "torn");
    assert_eq!(refused.len() as u64, REFUSED, "{said}");
    assert!(
        ran.err.contains("nan: kwargs: ") && ran.err.contains("tiny: interval: "),
        "{}",
        ran.err
    );
    (said["imported"].as_u64().unwrap(), said["kept"].as_u64().unwrap())
}

fn all_goes_on(kind: &str, port: u16, from: &str) {
    let written = fill(&[kind, &port.to_string()]);
    assert_eq!(written.len() as u64, TASKS);
    let mut place = Place::new("[handlers.mail]\nexec = [\"true\"]\n");
    let to = "sqlite:tasks.db";

    assert_eq!(counts(&import(&place, from, to, &["--dry-run"])), (TASKS - REFUSED, 0));
    assert_eq!(counts(&import(&place, from, to, &[])), (TASKS - REFUSED, 0));
    assert_eq!(counts(&import(&place, from, to, &["--dry-run"])), (0, TASKS - REFUSED));

    let mut node = place.node(&["--store", to, "--no-run"]);
    place.talk_to(&node);
    for task in written.iter().filter(|task| task["task_id"] != "tiny" && task["task_id"] != "nan")
    {
        let here = place.task(task["task_id"].as_str().unwrap()).unwrap();
        for (field, value) in task.as_object().unwrap() {
            assert_eq!(&here[field], value, "{field} of {task}");
        }
    }
    assert_eq!(node.leave(), Some(0));

    let _runs = place.node(&["--store", to]);
    let runs = place.node(&["--store", to]);
    place.talk_to(&runs);
    assert_eq!(place.wait_for("past", "completed")["attempt"], 1);
    assert_eq!(counts(&import(&place, from, to, &[])), (0, TASKS - REFUSED), "nothing runs twice");
    assert_eq!(place.task("past").unwrap()["state"], "completed");

    fill(&[kind, &port.to_string(), "age"]);
    let (imported, _) = counts(&import(&place, from, "sqlite:old.db", &[]));
    assert_eq!(imported, TASKS - REFUSED);
    let old = place.node(&["--store", "sqlite:old.db", "--no-run"]);
    place.talk_to(&old);
    let paused = place.task("paused").unwrap();
    assert_eq!((&paused["paused"], &paused["coalesce"]), (&json!(true), &json!(true)));
    assert!(paused["paused_at"].is_string(), "{paused}");
}

#[test]
fn an_import_that_cannot_be_meant_is_refused() {
    let place = Place::new("");
    let away = "redis://:hunter2@127.0.0.1:1/0";
    for (args, code) in [
        (&["import"][..], 2),
        (&["import", "taskshed-python"], 2),
        (&["import", "taskshed-python", "--from", away, "--to", "memory:"], 2),
        (&["import", "taskshed-python", "--from", "sqlite:x.db", "--to", "sqlite:t.db"], 1),
        (&["import", "taskshed-python", "--from", away, "--to", "sqlite:t.db"], 3),
        (&["import", "taskshed-python", "--from", "sqlite:x.db", "--to", away], 1),
    ] {
        let ran = place.run(args);
        assert_eq!(ran.code, code, "{args:?}: {}", ran.err);
        assert!(!ran.err.contains("hunter2"), "{}", ran.err);
    }
}
