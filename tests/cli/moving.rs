//! `copy` and `migrate`, as an operator uses them.

use std::fmt::Write as _;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;

use serde_json::json;

use crate::program::Place;
use crate::redis_server::RedisServer;

/// Says something to a server past the program.
fn tell(server: &RedisServer, words: &[&str]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        write!(command, "${}\r\n{word}\r\n", word.len()).unwrap();
    }
    stream.write_all(format!("{command}QUIT\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A store in which a node that has left was given tasks.
fn filled(place: &mut Place, tasks: &[&[&str]]) -> RedisServer {
    let server = RedisServer::start(&[]);
    let mut node = place.node(&["--no-run", "--store", &server.url()]);
    place.talk_to(&node);
    for task in tasks {
        place.done(&[&["add", "noop"], *task].concat());
    }
    place.done(&["queue", "pause", "mail"]);
    assert_eq!(node.leave(), Some(0));
    server
}

#[test]
fn a_copy_tells_what_it_did_and_can_be_repeated() {
    let mut place = Place::new("");
    let from = filled(&mut place, &[&["--id", "a", "--in", "1h"], &["--id", "b", "--every", "1h"]]);
    let to = RedisServer::start(&[]);
    let copy = ["copy", "--from", &from.url(), "--to", &to.url()];
    let whole = |copied: u64, kept: u64, dry_run: bool| {
        json!({
            "dry_run": dry_run, "copied": copied, "kept": kept,
            "duplicates": [], "refused": [], "corrupt": [], "paused_queues": ["mail"],
        })
    };

    assert_eq!(place.json(&[&copy[..], &["--dry-run"]].concat()), whole(2, 0, true));
    assert_eq!(place.json(&copy), whole(2, 0, false));
    assert_eq!(place.json(&copy), whole(0, 2, false));
    let said = place.done(&[&copy[..], &["--output", "table", "--to-namespace", "other"]].concat());
    assert_eq!(said, "2 copied, 0 there already\npaused queues: mail");

    let node = place.node(&["--no-run", "--store", &to.url(), "--namespace", "other"]);
    place.talk_to(&node);
    assert_eq!(place.task("b").unwrap()["interval"], 3600.0);
}

/// From a file to a server and back, as who outgrows a machine or leaves a cluster.
#[test]
fn tasks_go_from_a_file_to_a_server_and_back() {
    let mut place = Place::new("");
    let server = RedisServer::start(&[]);
    let mut node = place.node(&["--no-run"]);
    place.talk_to(&node);
    place.done(&["add", "noop", "--id", "a", "--cron", "0 2 * * *", "--kwargs", "{\"f\": 1.50}"]);
    let before = place.done(&["show", "a"]);
    assert_eq!(node.leave(), Some(0));
    let copy =
        |from: &str, to: &str| place.json(&["copy", "--from", from, "--to", to])["copied"].clone();

    assert_eq!(copy("sqlite:taskshed.db", &server.url()), 1);
    assert_eq!(copy(&server.url(), "sqlite:back.db"), 1);

    let node = place.node(&["--no-run", "--store", "sqlite:back.db"]);
    place.talk_to(&node);
    assert_eq!(place.done(&["show", "a"]), before);
}

#[test]
fn what_could_not_be_copied_is_named() {
    let mut place = Place::new("");
    let from = filled(
        &mut place,
        &[&["--id", "a", "--unique", "k", "--in", "1h"], &["--id", "torn", "--in", "1h"]],
    );
    let to = filled(&mut place, &[&["--id", "holder", "--unique", "k", "--in", "1h"]]);
    tell(&from, &["HSET", "{ts:default:0}:rec", "torn", "nonsense"]);
    let copy = ["copy", "--from", &from.url(), "--to", &to.url()];

    let ran = place.run(&copy);

    assert_eq!(ran.code, 1, "{}", ran.out);
    let said: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(said["duplicates"], json!([{ "task_id": "a", "holder": "holder" }]));
    assert_eq!(said["corrupt"], json!(["torn"]));
    for line in [
        "error: 2 tasks were left out:",
        "  a: its unique key is held by holder",
        "  torn: its record cannot be read",
    ] {
        assert!(ran.err.lines().any(|said| said == line), "no {line:?} in {}", ran.err);
    }
}

#[test]
fn a_store_with_nodes_at_work_is_copied_only_on_request() {
    let place = Place::new("");
    let [from, to] = [RedisServer::start(&[]), RedisServer::start(&[])];
    let node = place.node(&["--no-run", "--name", "anna", "--store", &from.url()]);
    let copy = ["copy", "--from", &from.url(), "--to", &to.url()];

    let refused = place.run(&copy);
    assert_eq!(refused.code, 1, "{}", refused.out);
    assert!(refused.err.contains("\n  anna (heard "), "{}", refused.err);
    assert!(refused.err.contains("--live"), "{}", refused.err);
    assert_eq!(place.run(&[&copy[..], &["--dry-run"]].concat()).code, 0, "a look harms nobody");
    assert_eq!(place.run(&[&copy[..], &["--live"]].concat()).code, 0);

    drop(node);
    let killed = place.run(&copy);
    assert_eq!(killed.code, 1, "a node that was just killed may only be cut off");
}

#[test]
fn a_copy_that_cannot_be_meant_is_a_usage_error() {
    let place = Place::new("");
    let url = "redis://127.0.0.1:1/0";
    for args in [
        &["copy"][..],
        &["copy", "--from", url],
        &["copy", "--from", url, "--to", url],
        &["copy", "--from", url, "--to", url, "--namespace", "a", "--to-namespace", "a"],
        &["copy", "--from", "memory:", "--to", url],
        &["copy", "--from", url, "--to", "memory:"],
        &["copy", "--from", url, "--to", url, "--to-namespace", "a b"],
    ] {
        let ran = place.run(args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.err);
    }
}

#[test]
fn a_store_that_is_away_is_named_without_its_password() {
    let place = Place::new("");
    let here = RedisServer::start(&[]);
    let away = "redis://me:hunter2@127.0.0.1:1/0";
    for args in [
        &["copy", "--from", away, "--to", &here.url()][..],
        &["copy", "--from", &here.url(), "--to", away],
        &["migrate", "--store", away],
    ] {
        let ran = place.run(args);
        assert_eq!(ran.code, 3, "{args:?}: {}", ran.err);
        assert!(ran.err.contains("redis://me:***@127.0.0.1:1/0"), "{}", ran.err);
        assert!(!ran.err.contains("hunter2"), "{}", ran.err);
    }
}

#[test]
fn nothing_is_migrated_where_nothing_is_to_do() {
    let place = Place::new("");
    let server = RedisServer::start(&[]);
    let made = place.done(&["migrate"]);
    assert!(made.contains("made the tables"), "{made}");
    for store in ["memory:", "sqlite:taskshed.db", &server.url(), &server.url()] {
        assert_eq!(
            place.done(&["migrate", "--store", store]),
            "nothing to do: the schema is up to date"
        );
    }
}

#[test]
fn another_schema_is_refused_with_what_to_do() {
    let mut place = Place::new("");
    let server = filled(&mut place, &[]);
    for (schema, advice) in [
        ("0", "run `taskshed migrate --store URL`"),
        ("99", "a newer taskshed has been at work here; upgrade this one"),
    ] {
        tell(&server, &["SET", "{ts:default:0}:schema", schema]);
        let ran = place.run(&["node", "--store", &server.url(), "--listen", "127.0.0.1:0"]);
        assert_eq!(ran.code, 1, "{}", ran.err);
        assert!(ran.err.contains(advice), "{}", ran.err);
    }
    let ran = place.run(&["migrate", "--store", &server.url()]);
    assert_eq!(ran.code, 1, "{}", ran.err);
}
