//! A trace goes on from command to command.

use crate::program::Place;
use crate::program::Ran;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Runs `taskshed add` as a part of a trace, and answers what the handler printed.
fn added_in(place: &Place, trace: &str) -> String {
    let mut command = place.command(&["add", "tell", "--wait"]);
    command.env("TRACEPARENT", trace);
    let ran = Ran::of(command);
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.out
}

#[test]
fn a_command_runs_in_the_trace_of_the_add() {
    let mut place = Place::new(
        "[handlers.tell]\nexec = [\"sh\", \"-c\", \"printf '[\\\"%s\\\"]' \\\"${TRACEPARENT-none}\\\"\"]\n",
    );
    let node = place.node(&[]);
    place.talk_to(&node);

    assert_eq!(added_in(&place, TRACE), format!("[\"{TRACE}\"]\n"));
    assert_eq!(added_in(&place, "nonsense"), "[\"none\"]\n");
    assert_eq!(place.done(&["add", "tell", "--wait"]), "[\"none\"]");
}
