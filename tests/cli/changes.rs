//! Commands that steer: `pause`, `resume`, `cancel`, `remove`, `retry`, `reschedule`, `queue`.

use serde_json::Value;

use crate::program::NodeProcess;
use crate::program::Place;
use crate::program::until;

fn shed() -> (Place, NodeProcess) {
    let mut place = Place::new(
        "[handlers.bad]\nexec = [\"sh\", \"-c\", \"exit 65\"]\n[handlers.ok]\nexec = [\"true\"]\n",
    );
    let node = place.node(&[]);
    place.talk_to(&node);
    (place, node)
}

fn field(place: &Place, id: &str, name: &str) -> Value {
    place.task(id).unwrap()[name].clone()
}

#[test]
fn tasks_are_paused_and_resumed_by_id_and_by_group() {
    let (place, _node) = shed();
    place.done(&["add", "ok", "--id", "a", "--in", "1h", "--group", "g"]);
    place.done(&["add", "ok", "--id", "b", "--in", "1h", "--group", "g"]);

    assert_eq!(place.done(&["pause", "a"]), "paused 1");
    assert_eq!(
        (field(&place, "a", "paused"), field(&place, "b", "paused")),
        (true.into(), false.into())
    );
    assert_eq!(place.done(&["pause", "--group", "g"]), "paused 2");
    assert_eq!(place.done(&["resume", "--group", "g"]), "resumed 2");
    assert_eq!(field(&place, "a", "paused"), false);
    assert_eq!(place.done(&["pause", "--group", "nobody"]), "paused 0");
}

#[test]
fn ids_that_do_not_exist_are_named_and_the_rest_is_done() {
    let (place, _node) = shed();
    place.done(&["add", "ok", "--id", "a", "--in", "1h"]);

    for action in ["pause", "resume", "cancel", "remove"] {
        let ran = place.run(&[action, "gone", "a", "lost"]);
        assert_eq!(ran.code, 1, "{action}");
        assert!(
            ran.err.ends_with("error: no such task:\n  gone\n  lost\n"),
            "{action}: {}",
            ran.err
        );
    }
    assert!(place.task("a").is_none(), "the last one removed it");
}

#[test]
fn dead_tasks_run_again_when_they_are_retried() {
    let (place, _node) = shed();
    place.done(&["add", "bad", "--id", "a"]);
    place.wait_for("a", "dead");
    let first = field(&place, "a", "finished_at");

    assert_eq!(place.done(&["retry", "--callback", "bad", "--state", "dead"]), "retried 1");

    until("it is dead again", || {
        field(&place, "a", "state") == "dead" && field(&place, "a", "finished_at") != first
    });
    let ran = place.run(&["cancel", "a"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "cancelled 0\n"));
    assert_eq!(ran.err, "skipped: a (dead)\n");
}

#[test]
fn tasks_are_cancelled_and_removed_by_what_they_have_in_common() {
    let (place, _node) = shed();
    for (id, queue) in [("a", "mail"), ("b", "mail"), ("c", "default")] {
        place.done(&["add", "ok", "--id", id, "--queue", queue, "--in", "1h"]);
    }

    assert_eq!(place.done(&["cancel", "--queue", "mail"]), "cancelled 2");
    assert_eq!(field(&place, "a", "state"), "cancelled");
    assert_eq!(field(&place, "c", "state"), "scheduled");
    assert_eq!(place.done(&["remove", "--state", "cancelled", "--queue", "mail"]), "removed 2");
    assert!(place.task("a").is_none());
    assert_eq!(place.done(&["remove", "c"]), "removed 1");
}

#[test]
fn tasks_are_moved_to_another_time() {
    let (place, _node) = shed();
    place.done(&["add", "ok", "--id", "a", "--in", "1h", "--group", "g", "--retention", "1h"]);

    let at = "2100-01-01T01:00:00+01:00";
    assert_eq!(place.done(&["reschedule", "a", "--at", at]), "rescheduled 1");
    assert_eq!(field(&place, "a", "run_at"), "2100-01-01T00:00:00.000000Z");
    assert_eq!(place.done(&["reschedule", "--group", "g", "--in", "0s"]), "rescheduled 1");
    place.wait_for("a", "completed");

    let ran = place.run(&["reschedule", "a", "--at", "tomorrow"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.starts_with("error: run_at: \"tomorrow\""), "{}", ran.err);
}

#[test]
fn a_paused_queue_runs_nothing_until_it_is_resumed() {
    let (place, _node) = shed();
    assert_eq!(place.done(&["queue", "pause", "default"]), "paused queue default");
    place.done(&["add", "ok", "--id", "a", "--retention", "1h"]);
    assert_eq!(place.json(&["queues"])["paused"], true);
    assert_eq!(field(&place, "a", "state"), "scheduled");

    assert_eq!(place.done(&["queue", "resume", "default"]), "resumed queue default");

    place.wait_for("a", "completed");
    let ran = place.run(&["queue", "pause", "a b"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.starts_with("error: queue: contains ' '"), "{}", ran.err);
}

#[test]
fn more_ids_than_one_request_may_have_are_sent_in_parts() {
    let (place, _node) = shed();
    place.done(&["add", "ok", "--id", "1500", "--in", "1h"]);
    let ids: Vec<_> = (0..1501).map(|number| number.to_string()).collect();
    let args: Vec<_> = ["cancel"].into_iter().chain(ids.iter().map(String::as_str)).collect();

    let ran = place.run(&args);

    assert_eq!((ran.code, ran.out.as_str()), (1, "cancelled 1\n"));
    assert_eq!(ran.err.lines().count(), 1501);
}
