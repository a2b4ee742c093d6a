//! How a node leaves: its API outlives it by the shutdown delay.

use rustix::process::Signal;

use crate::program::Place;
use crate::program::until;

const FILE: &str = "store = \"sqlite:t.db\"\n[handlers.note]\nexec = [\"true\"]\n";

#[test]
fn a_node_that_has_left_serves_until_its_delay_is_over() {
    let mut place = Place::new(FILE);
    let mut node = place.node(&["--shutdown-delay", "1h"]);
    place.talk_to(&node);
    place.done(&["add", "note", "--id", "before", "--retention", "1h"]);
    place.wait_for("before", "completed");

    node.signal(Signal::TERM);
    until("it says that it drains", || node.get("/readyz").starts_with("HTTP/1.1 503"));
    until("it has left the cluster", || place.done(&["nodes", "--output", "jsonl"]).is_empty());
    place.done(&["add", "note", "--id", "after"]);

    assert!(node.get("/healthz").starts_with("HTTP/1.1 200"));
    assert_eq!(place.task("after").unwrap()["state"], "scheduled", "nothing new starts");
    assert!(node.is_running());

    node.signal(Signal::TERM);
    assert_eq!(node.end().code(), Some(0), "who is in a hurry need not wait: {}", node.log());
}

#[test]
fn the_delay_ends_by_itself_and_runs_beside_the_drain() {
    let mut place = Place::new(
        "store = \"sqlite:t.db\"\n[handlers.slow]\nexec = [\"sh\", \"-c\", \"sleep 1; echo 7\"]\n",
    );
    let mut node = place.node(&["--shutdown-delay", "2s", "--drain-timeout", "20s"]);
    place.talk_to(&node);
    place.done(&["add", "slow", "--id", "t", "--retention", "1h"]);
    place.wait_for("t", "running");

    node.signal(Signal::TERM);
    let ended = place.wait_for("t", "completed");

    assert_eq!(ended["result"], 7, "its verdict is read from the node that leaves");
    assert_eq!(node.end().code(), Some(0), "{}", node.log());
}
