//! The reference of the command line is what the program itself says.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::program::Place;
use crate::program::until;

/// Commands in the order of the page.
const COMMANDS: [&str; 29] = [
    "node",
    "node drain",
    "demo",
    "add",
    "list",
    "show",
    "pause",
    "resume",
    "cancel",
    "remove",
    "retry",
    "reschedule",
    "queues",
    "queue",
    "queue pause",
    "queue resume",
    "nodes",
    "leader",
    "leader resign",
    "events",
    "doctor",
    "migrate",
    "copy",
    "import",
    "import taskshed-python",
    "bench",
    "config",
    "config show",
    "completions",
];

/// Where the written part of the page ends.
const MARK: &str = "<!-- From here on, what the program itself says. -->\n";

#[test]
fn the_reference_is_what_the_program_says() {
    let place = Place::new("");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/cli.md");
    let written = fs::read_to_string(&path).unwrap();
    let introduction = written.split(MARK).next().unwrap();

    let mut page = format!("{introduction}{MARK}");
    for command in COMMANDS {
        let mut args: Vec<_> = command.split(' ').collect();
        args.push("--help");
        let help = place.done(&args);
        let help: Vec<_> = help.lines().map(str::trim_end).collect();
        write!(page, "\n## `taskshed {command}`\n\n```text\n{}\n```\n", help.join("\n")).unwrap();
    }
    if page != written {
        let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli.md");
        fs::write(&fresh, &page).unwrap();
        panic!("docs/reference/cli.md is stale; look at {} and copy it there", fresh.display());
    }
}

#[test]
fn the_help_lists_every_command() {
    let help = Place::new("").done(&["--help"]);
    let listed = help.lines().filter_map(|line| line.strip_prefix("  "));
    let listed: Vec<_> = listed.filter_map(|line| line.split_whitespace().next()).collect();

    for command in COMMANDS.iter().filter(|command| !command.contains(' ')) {
        assert!(listed.contains(command), "{command} is not in the help");
    }
    assert!(!help.contains("__exec"), "the helper of exec handlers is nobody's command");
}

/// What the guide tells to type when an alert fires can be typed, and does what it says.
#[test]
fn the_commands_for_alerts_do_as_the_guide_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/kubernetes.md");
    let guide = fs::read_to_string(path).unwrap().replace('\n', " ");
    let (_, section) = guide.split_once(" # What to do for each alert ").unwrap();
    let (section, _) = section.split_once(" # What pods may do ").unwrap();
    let mut place = Place::new("[handlers.die]\nexec = [\"false\"]\n");
    let node = place.node(&[]);
    place.talk_to(&node);
    for task in
        [&["die", "--id", "dead", "--max-attempts", "1"][..], &["unknown", "--id", "parked"]]
    {
        place.done(&[&["add"], task].concat());
    }
    place.wait_for("dead", "dead");
    until("nobody has that callback", || place.task("parked").unwrap()["parked"] == true);

    let mut typed = Vec::new();
    for command in section.split('`').skip(1).step_by(2) {
        let Some(words) = command.strip_prefix("taskshed ") else { continue };
        let words =
            words.replace("QUEUE", "default").replace("ID", "dead").replace("NAME", "unknown");
        let out = place.done(&words.split(' ').collect::<Vec<_>>());
        typed.push((command.to_owned(), out));
    }

    let out = |command: &str| &typed.iter().find(|(typed, _)| typed == command).unwrap().1;
    assert!(typed.len() >= 9, "{typed:?}");
    assert!(out("taskshed list --state scheduled --queue QUEUE").contains("unknown"));
    assert!(out("taskshed list --state dead").contains("\"dead\""));
    assert_eq!(place.task("parked").unwrap()["state"], "cancelled");
    assert_eq!(place.task("dead"), None);
}
