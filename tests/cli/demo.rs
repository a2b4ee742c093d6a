//! The demo ends by itself, and well.

use std::time::Duration;

use taskshed::clock::Clock;
use taskshed::clock::SystemClock;

use crate::program::Place;
use crate::program::since;

#[test]
fn the_demo_loses_two_nodes_and_no_task() {
    let begun_at = SystemClock.steady();

    let ran = Place::new("").run(&["demo"]);

    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(since(begun_at) < Duration::from_secs(45), "{:?}", since(begun_at));
    assert_eq!(ran.out.matches("KILLED").count(), 2, "{}", ran.out);
    assert!(ran.out.matches(" back from ").count() >= 2, "{}", ran.out);
    let summary: Vec<_> = ran.out.lines().skip_while(|line| !line.is_empty()).collect();
    let row = |name: &str| {
        let row = summary.iter().find_map(|line| line.trim().strip_prefix(name));
        row.unwrap_or_else(|| panic!("no {name} in {}", ran.out)).trim()
    };
    assert_eq!(row("lost"), "0");
    assert_eq!(row("accepted twice"), "0");
    assert_eq!(row("failures, retried"), "2");
    assert_eq!(row("leaders").split(", then ").count(), 2);
    let (once, completed) = row("tasks that run once").split_once(", completed ").unwrap();
    assert_eq!(once, completed);
}
