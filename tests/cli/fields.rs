//! Each field of a task wrong in each way: the message names the field, and nothing is stored.

use crate::program::Place;

#[test]
fn a_wrong_field_is_named_and_nothing_is_stored() {
    let mut place = Place::new("");
    let node = place.node(&["--no-run"]);
    place.talk_to(&node);
    let long = "x".repeat(256);

    for (args, field) in [
        (&["a\nb"][..], "callback"),
        (&[""], "callback"),
        (&[long.as_str()], "callback"),
        (&["x", "--id", ""], "task_id"),
        (&["x", "--id", "a\tb"], "task_id"),
        (&["x", "--id", &long], "task_id"),
        (&["x", "--kwargs", "[1]"], "kwargs"),
        (&["x", "--kwargs", "{"], "kwargs"),
        (&["x", "--kwargs", ""], "kwargs"),
        (&["x", "--kwargs", "[1]", "--kwarg", "a=1"], "kwargs"),
        (&["x", "--at", "tomorrow"], "run_at"),
        (&["x", "--at", "2026-11-24T05:00:00"], "run_at"),
        (&["x", "--at", "2300-01-01T00:00:00Z"], "run_at"),
        (&["x", "--in", "5"], "run_in"),
        (&["x", "--in=-5s"], "run_in"),
        (&["x", "--in", "5s", "--at", "2100-01-01T00:00:00Z"], "run_in"),
        (&["x", "--every", "1us"], "interval"),
        (&["x", "--every", "often"], "interval"),
        (&["x", "--every", "5s", "--cron", "* * * * *"], "cron"),
        (&["x", "--cron", "61 * * * *"], "cron"),
        (&["x", "--cron", "daily"], "cron"),
        (&["x", "--cron", "* * * * *", "--tz", "Mars/Base"], "timezone"),
        (&["x", "--tz", "Europe/Rome"], "timezone"),
        (&["x", "--group", ""], "group_id"),
        (&["x", "--queue", "a b"], "queue"),
        (&["x", "--queue", ""], "queue"),
        (&["x", "--priority", "urgent"], "priority"),
        (&["x", "--max-attempts", "0"], "max_attempts"),
        (&["x", "--max-attempts", "1001"], "max_attempts"),
        (&["x", "--max-attempts", "many"], "max_attempts"),
        (&["x", "--timeout", "0s"], "timeout"),
        (&["x", "--timeout", "long"], "timeout"),
        (&["x", "--expires-in", "soon"], "expires_in"),
        (&["x", "--unique", ""], "unique_key"),
        (&["x", "--retention", "forever"], "retention"),
    ] {
        let ran = place.run(&[&["add"], args].concat());
        assert_eq!(ran.code, 1, "{args:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.starts_with(&format!("error: {field}: ")), "{args:?}: {}", ran.err);
        assert_eq!(ran.out, "", "{args:?}");
    }
    assert_eq!(place.done(&["list"]), "");
}

#[test]
fn all_faults_are_told_at_once() {
    let mut place = Place::new("");
    let node = place.node(&["--no-run"]);
    place.talk_to(&node);

    let ran = place.run(&["add", "x", "--queue", "a b", "--priority", "urgent", "--in", "soon"]);

    for field in ["queue: ", "priority: ", "run_in: "] {
        assert!(ran.err.contains(field), "{}", ran.err);
    }
}

#[test]
fn filters_are_checked_by_the_server() {
    let mut place = Place::new("");
    let node = place.node(&["--no-run"]);
    place.talk_to(&node);

    for args in [
        &["list", "--state", "sleeping"][..],
        &["list", "--queue", "a b"],
        &["list", "--group", ""],
        &["list", "--cursor", "nonsense"],
        &["cancel", "--state", "sleeping"],
        &["retry", "--queue", "a b"],
    ] {
        let ran = place.run(args);
        assert_eq!(ran.code, 1, "{args:?}: {}{}", ran.out, ran.err);
    }
}
