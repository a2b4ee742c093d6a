//! The demo ends by itself, and well; and however it ends, nothing of it is left.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::process::Child;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;

use crate::program::Place;
use crate::program::Ran;
use crate::program::since;
use crate::program::until;

/// A place whose temporary files can be looked at.
fn with_temporary() -> Place {
    let place = Place::new("");
    fs::create_dir(place.path("temporary")).unwrap();
    place
}

fn demo(place: &Place) -> std::process::Command {
    let mut command = place.command(&["demo"]);
    command.env("TMPDIR", place.path("temporary"));
    command
}

fn files(place: &Place) -> usize {
    fs::read_dir(place.path("temporary")).unwrap().count()
}

/// Whether a process was started with something below `folder`.
fn is_used(folder: &Path) -> bool {
    let folder = folder.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.into_iter().any(|process| {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(folder)
    })
}

#[test]
fn the_demo_loses_two_nodes_and_no_task() {
    let begun_at = SystemClock.steady();
    let place = with_temporary();

    let ran = Ran::of(demo(&place));

    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(since(begun_at) < Duration::from_secs(60), "{:?}", since(begun_at));
    assert_eq!(ran.out.matches("is ready at http://127.0.0.1:").count(), 3, "{}", ran.out);
    assert_eq!(ran.out.matches("KILLED").count(), 2, "{}", ran.out);
    assert!(ran.out.matches(" back from the dead").count() >= 2, "{}", ran.out);
    assert_eq!(ran.out.matches("leaves in good order").count(), 1, "{}", ran.out);
    let summary: Vec<_> = ran.out.lines().skip_while(|line| !line.is_empty()).collect();
    let row = |name: &str| {
        let row = summary.iter().find_map(|line| line.trim().strip_prefix(name));
        row.unwrap_or_else(|| panic!("no {name} in {}", ran.out)).trim()
    };
    assert_eq!(row("lost"), "0");
    assert_eq!(row("failures, retried"), "2");
    assert_eq!(row("leaders").split(", then ").count(), 2);
    let (once, completed) = row("tasks that run once").split_once(", completed ").unwrap();
    assert_eq!(once, completed);
    let (cut, again) = row("runs cut short by a death").split_once(", ran again ").unwrap();
    assert_eq!(cut, again.split(',').next().unwrap());
    assert_eq!(files(&place), 0);
    assert!(!is_used(&place.path("temporary")));
}

/// Starts the demo and lets its nodes run something.
fn under_way(place: &Place) -> Child {
    let mut child = demo(place).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.into_iter().any(|line| line.contains("slow-1 starts")), "it gets going");
    assert!(is_used(&place.path("temporary")));
    child
}

#[test]
fn a_demo_that_is_stopped_leaves_nothing_behind() {
    for signal in [Signal::INT, Signal::TERM] {
        let place = with_temporary();
        let demo = under_way(&place);
        kill_process(Pid::from_child(&demo), signal).unwrap();

        let output = demo.wait_with_output().unwrap();

        assert_eq!(output.status.code(), Some(1));
        assert_eq!(files(&place), 0, "{signal:?}");
        until("all processes are gone", || !is_used(&place.path("temporary")));
    }
}

/// What cannot tidy up takes at least its processes along.
#[test]
fn a_demo_that_is_killed_takes_its_nodes_along() {
    let place = with_temporary();
    let mut demo = under_way(&place);

    demo.kill().unwrap();
    demo.wait().unwrap();

    until("all processes are gone", || !is_used(&place.path("temporary")));
}
