//! Commands that add and look: `add`, `list`, `show`, `queues`, `nodes`, `leader`, `completions`.

use serde_json::Value;
use serde_json::json;

use crate::program::NodeProcess;
use crate::program::Place;
use crate::program::number_in;
use crate::program::until;

/// A node on a memory store that runs nothing.
fn still() -> (Place, NodeProcess) {
    let mut place = Place::new("");
    let node = place.node(&["--no-run", "--name", "anna"]);
    place.talk_to(&node);
    (place, node)
}

#[test]
fn every_option_of_add_reaches_the_task() {
    let (place, _node) = still();

    let id = place.done(&[
        "add",
        "resize",
        "--id",
        "Task 0/a",
        "--kwargs",
        "{\"big\": 12345678901234567890123}",
        "--every",
        "1h30m",
        "--no-coalesce",
        "--queue",
        "mail",
        "--priority",
        "high",
        "--group",
        "g",
        "--unique",
        "u",
        "--exclusive",
        "--max-attempts",
        "7",
        "--timeout",
        "2m",
        "--expires-in",
        "1d",
        "--retention",
        "1h",
        "--paused",
        "--at",
        "2100-01-01T01:00:00+01:00",
    ]);

    assert_eq!(id, "Task 0/a");
    let shown = place.done(&["show", "Task 0/a"]);
    assert!(shown.contains("{\"big\": 12345678901234567890123}"), "byte for byte: {shown}");
    let task: Value = serde_json::from_str(&shown).unwrap();
    for (field, wanted) in [
        ("callback", json!("resize")),
        ("run_at", json!("2100-01-01T00:00:00.000000Z")),
        ("run_type", json!("recurring")),
        ("interval", json!(5400.0)),
        ("coalesce", json!(false)),
        ("queue", json!("mail")),
        ("priority", json!("high")),
        ("group_id", json!("g")),
        ("unique_key", json!("u")),
        ("exclusive", json!(true)),
        ("max_attempts", json!(7)),
        ("timeout", json!("2m")),
        ("retention", json!("1h")),
        ("paused", json!(true)),
        ("state", json!("scheduled")),
    ] {
        assert_eq!(task[field], wanted, "{field}");
    }
    assert!(task["expires_at"].is_string());
}

#[test]
fn a_cron_task_has_a_time_zone_and_a_delay_is_counted_from_now() {
    let (place, _node) = still();

    let id = place.done(&["add", "bill", "--cron", "0 2 * * *", "--tz", "Europe/Rome"]);
    let task = place.task(&id).unwrap();
    assert_eq!((&task["cron"], &task["timezone"]), (&json!("0 2 * * *"), &json!("Europe/Rome")));

    let id = place.done(&["add", "bill", "--in", "1h"]);
    let task = place.task(&id).unwrap();
    assert_ne!(task["run_at"], task["created_at"]);
}

#[test]
fn arguments_come_from_text_from_pairs_and_from_standard_input() {
    let (place, _node) = still();
    let kwargs = |id: &str| place.task(id).unwrap()["kwargs"].clone();

    place.done(&[
        "add", "x", "--id", "pairs", "--kwarg", "n=5", "--kwarg", "name=ada", "--kwarg", "e=",
    ]);
    assert_eq!(kwargs("pairs"), json!({ "n": 5, "name": "ada", "e": "" }));

    place.done(&["add", "x", "--id", "both", "--kwargs", "{\"a\":1}", "--kwarg", "b=[2]"]);
    assert_eq!(kwargs("both"), json!({ "a": 1, "b": [2] }));

    let ran = place.run_with_input(&["add", "x", "--id", "input", "--kwargs", "-"], "{\"c\": 3}\n");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(kwargs("input"), json!({ "c": 3 }));
}

#[test]
fn an_id_that_exists_is_replaced_or_kept_and_a_key_is_unique() {
    let (place, _node) = still();
    let callback = |id: &str| place.task(id).unwrap()["callback"].clone();
    place.done(&["add", "one", "--id", "a", "--unique", "k", "--in", "1h"]);

    let kept = place.run(&["add", "two", "--id", "a", "--keep-existing"]);
    assert_eq!((kept.code, kept.out.trim()), (0, "a"));
    assert!(kept.err.contains("kept"), "{}", kept.err);
    assert_eq!(callback("a"), "one");

    let duplicate = place.run(&["add", "two", "--unique", "k"]);
    assert_eq!((duplicate.code, duplicate.out.trim()), (0, "a"));
    assert!(duplicate.err.contains("duplicate"), "{}", duplicate.err);

    place.done(&["add", "two", "--id", "a"]);
    assert_eq!(callback("a"), "two");
}

#[test]
fn waiting_for_a_task_prints_its_result_or_why_there_is_none() {
    let mut place = Place::new(
        "[handlers.add]\nexec = [\"sh\", \"-c\", \"cat >/dev/null; sleep 0.3; echo 42\"]\n\
         [handlers.bad]\nexec = [\"sh\", \"-c\", \"echo no >&2; exit 65\"]\n",
    );
    let node = place.node(&[]);
    place.talk_to(&node);

    let ran = place.run(&["add", "add", "--wait"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "42\n"), "{}", ran.err);

    let ran = place.run(&["add", "bad", "--id", "b", "--wait"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert_eq!(ran.err, "error: b is dead: no\n");
}

#[test]
fn listing_filters_pages_and_says_where_to_go_on() {
    let (place, _node) = still();
    for number in 0..5 {
        let (id, queue) = (format!("t{number}"), if number < 2 { "mail" } else { "default" });
        place.done(&["add", "x", "--id", &id, "--queue", queue, "--in", "1h", "--group", "g"]);
    }
    let ids = |args: &[&str]| {
        let mut ids: Vec<_> = place
            .done(args)
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["task_id"].to_string())
            .collect();
        ids.sort();
        ids.len()
    };

    assert_eq!(ids(&["list"]), 5);
    assert_eq!(ids(&["list", "--queue", "mail"]), 2);
    assert_eq!(ids(&["list", "--group", "g", "--state", "scheduled", "--callback", "x"]), 5);
    assert_eq!(ids(&["list", "--group", "other"]), 0);

    let first = place.run(&["list", "--limit", "2"]);
    assert_eq!(first.out.lines().count(), 2);
    let cursor = first.err.trim().strip_prefix("more: --cursor ").unwrap();
    let rest = place.run(&["list", "--limit", "100", "--cursor", cursor]);
    assert_eq!(rest.out.lines().count(), 3, "{}", rest.err);

    let page = place.json(&["list", "--limit", "2", "--output", "json"]);
    assert_eq!(page["tasks"].as_array().unwrap().len(), 2);
    assert_eq!(page["next_cursor"], cursor);
    let table = place.done(&["list", "--output", "table"]);
    assert!(table.starts_with("ID ") && table.lines().count() == 6, "{table}");
}

#[test]
fn a_task_that_is_not_there_is_named() {
    let (place, _node) = still();
    place.done(&["add", "x", "--id", "here", "--in", "1h"]);

    let ran = place.run(&["show", "gone", "here", "lost", "--output", "table"]);

    assert_eq!(ran.code, 1);
    assert!(ran.out.starts_with("task_id       here\n"), "{}", ran.out);
    assert_eq!(ran.err, "error: no such task:\n  gone\n  lost\n");
}

#[test]
fn names_that_mean_something_in_an_address_are_just_names() {
    let (place, _node) = still();
    for id in [".", "..", "a/b", "a?b=c#d", "%2e", "größe 1", "pause"] {
        assert_eq!(place.done(&["add", "x", "--id", id, "--in", "1h"]), id);
        assert_eq!(place.task(id).unwrap()["task_id"], id);
        assert_eq!(place.done(&["cancel", id]), "cancelled 1");
    }
}

#[test]
fn what_a_terminal_would_obey_is_not_printed_in_a_table() {
    let mut place = Place::new(
        "[handlers.loud]\nexec = [\"sh\", \"-c\", \"printf '\\\\033[31mred' >&2; exit 65\"]\n",
    );
    let node = place.node(&[]);
    place.talk_to(&node);
    place.done(&["add", "loud", "--id", "loud"]);
    place.wait_for("loud", "dead");

    for args in [&["list", "--output", "table"][..], &["show", "loud", "--output", "table"]] {
        let shown = place.done(args);
        assert!(shown.contains("[31mred") && !shown.contains('\u{1b}'), "{shown}");
    }
}

#[test]
fn queues_nodes_and_the_leader_are_shown() {
    let (place, _node) = still();
    place.done(&["add", "x", "--queue", "mail", "--in", "1h"]);

    let queue = place.json(&["queues"]);
    assert_eq!((&queue["queue"], &queue["scheduled"]["normal"]), (&json!("mail"), &json!(1)));
    assert!(place.done(&["queues", "--output", "table"]).contains("mail"));
    let node = place.json(&["nodes"]);
    assert_eq!((&node["name"], &node["leader"]), (&json!("anna"), &json!(true)));
    assert!(place.done(&["nodes", "--output", "table"]).contains("node,leader"));
    assert_eq!(place.json(&["leader"])["leader"]["node"], "anna");
    assert!(place.done(&["leader", "--output", "table"]).contains("anna"));
}

#[test]
fn a_leader_can_be_told_to_resign() {
    let (place, _node) = still();

    let said = place.done(&["leader", "resign"]);
    assert!(said.starts_with("anna resigned from term "), "{said}");

    let ran = place.run(&["leader"]);
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.err.contains("no node leads"), "{}", ran.err);
    until("it leads again", || place.run(&["leader"]).code == 0);
}

#[test]
fn a_node_far_away_is_told_to_finish_and_leave() {
    let mut place = Place::new(
        "store = \"sqlite:tasks.db\"\n\
         [handlers.slow]\nexec = [\"sh\", \"-c\", \"echo 1 > begun; sleep 1; echo 7\"]\n",
    );
    let mut node = place.node(&["--name", "berta"]);
    let other = place.node(&["--name", "anna", "--no-run"]);
    place.talk_to(&other);
    place.done(&["add", "slow", "--id", "t", "--retention", "1h"]);
    number_in(&place.path("begun"));

    assert_eq!(place.done(&["node", "drain", "berta"]), "berta drains");

    assert_eq!(node.end().code(), Some(0), "{}", node.log());
    assert!(node.log().contains("the node was told to drain"), "{}", node.log());
    assert_eq!(place.wait_for("t", "completed")["result"], 7, "what ran has ended");
    until("it is gone", || !place.done(&["nodes"]).contains("berta"));
    let gone = place.run(&["node", "drain", "berta"]);
    assert_eq!((gone.code, gone.err.as_str()), (1, "error: no node is called berta\n"));
    let again = place.node(&["--name", "berta"]);
    assert!(place.done(&["nodes"]).contains("\"draining\":false"), "{}", again.log());
}

#[test]
fn completions_are_scripts_that_shells_read() {
    let place = Place::new("nonsense = ");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.done(&["completions", shell]);
        assert!(script.contains("reschedule"), "{shell}");
    }

    let script = place.done(&["completions", "bash"]);
    let mut bash = std::process::Command::new("bash");
    bash.arg("-n").stdin(std::process::Stdio::piped());
    let mut bash = bash.spawn().unwrap();
    std::io::Write::write_all(&mut bash.stdin.take().unwrap(), script.as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success());
}
