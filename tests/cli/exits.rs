//! Exit codes: 0 done, 1 refused, 2 usage, 3 out of reach.

use std::net::TcpListener;

use crate::program::Place;
use crate::program::Ran;
use crate::redis_server::RedisServer;

#[test]
fn a_server_that_is_not_there_is_out_of_reach() {
    let place = Place::new("");
    for args in [
        &["list"][..],
        &["add", "x"],
        &["show", "a"],
        &["pause", "a"],
        &["queues"],
        &["nodes"],
        &["leader"],
        &["leader", "resign"],
        &["queue", "pause", "mail"],
        &["reschedule", "a", "--in", "5s"],
    ] {
        let ran = place.run(&[&["--server", "http://127.0.0.1:1"], args].concat());
        assert_eq!(ran.code, 3, "{args:?}: {}", ran.err);
        assert!(ran.err.contains("taskshed node"), "{args:?}: {}", ran.err);
    }
}

#[test]
fn a_store_that_is_not_there_is_out_of_reach_and_its_password_is_not_told() {
    let place = Place::new("");
    let url = "redis://me:hunter2@127.0.0.1:1/0";

    let ran = place.run(&["doctor", "--store", url]);

    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(ran.err.contains("redis://me:***@127.0.0.1:1/0"), "{}", ran.err);
    assert!(ran.err.contains("--store"), "{}", ran.err);
    assert!(!ran.err.contains("hunter2"), "{}", ran.err);
}

#[test]
fn a_store_that_cannot_be_used_is_refused() {
    let place = Place::new("");
    let ran = place.run(&["node", "--store", "oracle://me:hunter2@x/"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("\"oracle\"") && !ran.err.contains("hunter2"), "{}", ran.err);

    let server = RedisServer::start(&["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"]);
    let ran = place.run(&["node", "--listen", "127.0.0.1:0", "--store", &server.url()]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("noeviction"), "{}", ran.err);
}

#[test]
fn an_address_that_is_taken_is_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    let ran = Place::new("").run(&["node", "--listen", &address]);

    assert_eq!(ran.code, 1);
    assert!(ran.err.contains(&address) && ran.err.contains("--listen"), "{}", ran.err);
}

#[test]
fn what_cannot_be_meant_is_a_usage_error() {
    let place = Place::new("");
    for args in [
        &["frobnicate"][..],
        &[],
        &["add"],
        &["show"],
        &["pause"],
        &["cancel"],
        &["cancel", "a", "--queue", "mail"],
        &["reschedule", "a"],
        &["reschedule", "a", "--at", "x", "--in", "y"],
        &["list", "--limit", "0"],
        &["list", "--output", "xml"],
        &["--log-format", "xml", "list"],
        &["queue", "drop", "mail"],
        &["add", "x", "--wait", "--every", "5s"],
        &["add", "x", "--kwarg", "a"],
        &["add", "x", "--kwarg", "a=1", "--kwarg", "a=2"],
        &["--server", "not a url", "list"],
        &["--server", "ftp://127.0.0.1/", "list"],
        &["--config", "missing.toml", "list"],
    ] {
        let ran = place.run(args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.err);
    }
}

#[test]
fn something_else_that_answers_is_not_taken_for_a_node() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = std::thread::spawn(move || {
        use std::io::Read;
        use std::io::Write;
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let _read = stream.read(&mut request).unwrap();
        stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno").unwrap();
    });

    let ran = Place::new("").run(&["--server", &url, "nodes"]);

    answer.join().unwrap();
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("is that the API of a taskshed node?"), "{}", ran.err);
}

#[test]
fn an_output_that_is_closed_is_no_failure() {
    let place = Place::new("");
    let mut command = place.command(&["config", "show"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer).stderr(std::process::Stdio::piped());

    let output = command.spawn().unwrap().wait_with_output().unwrap();

    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn doctor_says_what_it_found() {
    let place = Place::new("");
    let well = RedisServer::start(&["--appendonly", "yes"]);
    let ran = place.run(&["doctor", "--store", &well.url(), "--output", "table"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    for word in ["clocks", "failover", "7."] {
        assert!(ran.out.contains(word), "no {word}: {}", ran.out);
    }

    let ill = RedisServer::start(&["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"]);
    let ran = place.run(&["doctor", "--store", &ill.url()]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    let find = |line: &str| {
        let finding: serde_json::Value = serde_json::from_str(line).unwrap();
        (finding["severity"] == "serious").then(|| finding["advice"].as_str().unwrap().to_owned())
    };
    assert!(ran.out.lines().find_map(find).unwrap().contains("noeviction"), "{}", ran.out);

    assert_eq!(place.run(&["doctor", "--store", "memory:"]).code, 0);
}

#[test]
fn log_lines_can_be_json() {
    let place = Place::new("");
    let mut node = place.node(&["--log-format", "json"]);
    assert_eq!(node.leave(), Some(0));

    let log = node.log();
    assert!(log.lines().count() > 1);
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["level"].is_string(), "{line}");
    }
}

#[test]
fn directives_for_the_log_must_be_readable() {
    let place = Place::new("");
    let mut command = place.command(&["queues"]);
    command.env("TASKSHED_LOG", "taskshed=loud");

    let ran = Ran::of(command);

    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("TASKSHED_LOG"), "{}", ran.err);
}
