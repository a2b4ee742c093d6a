//! The reference of the command line is what the program itself says.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::program::Place;

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
