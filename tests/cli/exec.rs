//! Commands as handlers of a real node.

use std::time::Duration;

use rustix::process::Signal;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;

use crate::program::NodeProcess;
use crate::program::Place;
use crate::program::number_in;
use crate::program::pause;
use crate::program::runs;
use crate::program::since;
use crate::program::until;

/// A node whose handlers are shell scripts.
fn node_with(scripts: &[(&str, &str)], args: &[&str]) -> (Place, NodeProcess) {
    let handler = |(name, script): &(&str, &str)| {
        format!("[handlers.{name}]\nexec = [\"sh\", \"-c\", {}]\n", serde_json::json!(script))
    };
    let mut place = Place::new(&scripts.iter().map(handler).collect::<String>());
    let node = place.node(args);
    place.talk_to(&node);
    (place, node)
}

#[test]
fn a_command_gets_arguments_and_facts_and_its_json_is_the_result() {
    let script = "printf '{\"got\":%s,\"facts\":\"%s %s %s %s %s\"}' \"$(cat)\" \"$TASKSHED_TASK_ID\" \
                  \"$TASKSHED_CALLBACK\" \"$TASKSHED_ATTEMPT\" \"$TASKSHED_QUEUE\" \"$TASKSHED_NODE\"";
    let (place, _node) = node_with(&[("echo", script)], &["--name", "anna"]);

    let result =
        place.done(&["add", "echo", "--id", "Task 0", "--kwargs", "{\"n\": 1e400}", "--wait"]);

    assert_eq!(result, "{\"got\":{\"n\": 1e400},\"facts\":\"Task 0 echo 1 default anna\"}");
}

#[test]
fn the_working_directory_and_the_environment_are_those_of_the_node() {
    let (place, _node) =
        node_with(&[("where", "printf '[\"%s\",\"%s\"]' \"$PWD\" \"$LANG\"")], &[]);

    let result = place.done(&["add", "where", "--wait"]);

    assert!(
        result.contains(&*place.path("").canonicalize().unwrap().to_string_lossy()),
        "{result}"
    );
}

#[test]
fn exit_codes_and_what_cannot_start_are_told_with_their_reason() {
    let mut place = Place::new(
        "[handlers.dead]\nexec = [\"sh\", \"-c\", \"echo bad input >&2; exit 65\"]\n\
         [handlers.fails]\nexec = [\"sh\", \"-c\", \"echo later >&2; exit 75\"]\n\
         [handlers.missing]\nexec = [\"no-such-program\"]\n\
         [handlers.forbidden]\nexec = [\"./taskshed.toml\"]\n",
    );
    let node = place.node(&[]);
    place.talk_to(&node);

    for callback in ["dead", "fails", "missing", "forbidden"] {
        place.done(&["add", callback, "--id", callback]);
    }

    assert_eq!(place.wait_for("dead", "dead")["last_error"]["message"], "bad input");
    for (callback, message) in [
        ("fails", "later"),
        ("missing", "cannot start \"no-such-program\": No such file or directory (os error 2)"),
        ("forbidden", "cannot start \"./taskshed.toml\": Permission denied (os error 13)"),
    ] {
        let mut task = None;
        until("it was tried", || {
            task = place.task(callback).filter(|task| task["last_error"].is_object());
            task.is_some()
        });
        let task = task.unwrap();
        assert_eq!(task["last_error"]["message"], message);
        assert_eq!(task["state"], "scheduled", "it is retried");
    }
}

#[test]
fn a_cancelled_command_gets_sigterm_with_its_whole_group() {
    let script = "trap 'echo 1 > cleaned; exit 0' TERM; sleep 60 & echo $! > child; wait";
    let (place, _node) = node_with(&[("slow", script)], &["--lease", "2s"]);
    place.done(&["add", "slow", "--id", "slow"]);
    let child = number_in(&place.path("child"));

    place.done(&["cancel", "slow"]);

    place.wait_for("slow", "cancelled");
    number_in(&place.path("cleaned"));
    until("the child is dead", || !runs(child));
}

#[test]
fn a_command_that_takes_too_long_is_stopped_and_has_failed() {
    let mut place =
        Place::new("[handlers.slow]\nexec = [\"sleep\", \"60\"]\ntimeout = \"300ms\"\n");
    let node = place.node(&[]);
    place.talk_to(&node);

    let ran = place.run(&["add", "slow", "--max-attempts", "1", "--wait"]);

    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("is dead: ") && ran.err.contains("300ms"), "{}", ran.err);
}

/// Guards N1: after a drain that exits 0 nothing runs, and the store has its tasks back.
#[test]
fn a_node_that_leaves_lets_short_commands_end_and_stops_long_ones() {
    let server = crate::redis_server::RedisServer::start(&[]);
    let toml = format!(
        "store = \"{}\"\n[handlers.short]\nexec = [\"sh\", \"-c\", \"echo $$ > short; sleep 0.5\"]\n\
         [handlers.long]\nexec = [\"sh\", \"-c\", \"echo $$ > long; sleep 60\"]\n",
        server.url()
    );
    let mut place = Place::new(&toml);
    let mut node = place.node(&["--drain-timeout", "2s"]);
    let watcher = place.node(&["--no-run"]);
    place.talk_to(&watcher);
    place.done(&["add", "short", "--id", "short", "--retention", "1h"]);
    place.done(&["add", "long", "--id", "long"]);
    let pids = [number_in(&place.path("short")), number_in(&place.path("long"))];

    let told_at = SystemClock.steady();
    assert_eq!(node.leave(), Some(0), "{}", node.log());

    assert!(since(told_at) < Duration::from_secs(8), "{:?}", since(told_at));
    assert!(!pids.into_iter().any(runs), "nothing runs any more");
    assert_eq!(place.task("short").unwrap()["state"], "completed");
    let long = place.task("long").unwrap();
    assert_eq!((long["state"].as_str(), long["attempt"].as_u64()), (Some("scheduled"), Some(0)));
}

#[test]
fn a_second_signal_stops_everything_at_once() {
    let script = "trap '' TERM; echo $$ > command; sleep 60; sleep 60";
    let (place, mut node) = node_with(&[("stubborn", script)], &[]);
    place.done(&["add", "stubborn"]);
    let command = number_in(&place.path("command"));

    node.signal(Signal::TERM);
    pause(Duration::from_millis(300));
    assert!(node.is_running() && runs(command), "the first one only drains");
    let told_at = SystemClock.steady();
    node.signal(Signal::INT);

    assert_eq!(node.end().code(), Some(0), "{}", node.log());
    assert!(since(told_at) < Duration::from_secs(3), "{:?}", since(told_at));
    until("the command is dead", || !runs(command));
}

#[test]
fn commands_and_their_children_die_with_a_killed_node() {
    let script = "sh -c 'echo $$ > child; sleep 60; :' & echo $$ > command; wait";
    let (place, mut node) = node_with(&[("slow", script)], &[]);
    place.done(&["add", "slow"]);
    let (command, child) = (number_in(&place.path("command")), number_in(&place.path("child")));
    assert!(runs(command) && runs(child));

    node.kill();

    let killed_at = SystemClock.steady();
    until("the command is dead", || !runs(command));
    until("its child is dead", || !runs(child));
    assert!(since(killed_at) < Duration::from_secs(1), "{:?}", since(killed_at));
}

/// The kernel kills a command when the *thread* that started it ends, and idle threads of a runtime
/// end after ten seconds.
#[test]
fn a_command_outlives_the_idle_threads_of_the_node() {
    let (place, _node) = node_with(&[("slow", "sleep 13; echo 7"), ("quick", "true")], &[]);
    place.done(&["add", "slow", "--id", "slow", "--retention", "1h"]);
    for _ in 0..3 {
        place.done(&["add", "quick", "--wait"]);
    }

    let task = place.wait_for("slow", "completed");

    assert_eq!((task["result"].as_u64(), task["attempt"].as_u64()), (Some(7), Some(1)));
}

#[test]
fn a_command_that_prints_megabytes_and_leaves_children_ends_all_the_same() {
    let script = "yes | head -c 3000000; yes no | head -c 3000000 >&2; sleep 60 & echo $! > child";
    let (place, _node) = node_with(&[("loud", script)], &[]);

    assert_eq!(place.done(&["add", "loud", "--wait"]), "null");

    let child = number_in(&place.path("child"));
    until("the child is dead", || !runs(child));
}

#[test]
fn many_commands_run_at_once() {
    let (place, _node) = node_with(&[("nap", "sleep 1")], &["--concurrency", "32"]);
    let begun_at = SystemClock.steady();

    for number in 0..32 {
        place.done(&["add", "nap", "--id", &number.to_string(), "--retention", "1h"]);
    }
    until("all are done", || place.done(&["list", "--state", "completed"]).lines().count() == 32);

    assert!(since(begun_at) < Duration::from_secs(12), "{:?}", since(begun_at));
}
