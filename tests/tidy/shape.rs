//! How files look: their length, their names, and what must not stand in them.

use std::collections::BTreeSet;

use crate::source::Source;
use crate::source::files;
use crate::source::rust_files;
use crate::source::words;

const FILE_LINES_MAX: usize = 500;

const TRAIT_METHODS_MAX: usize = 7;

/// What was written by people and is kept in the repository.
const WRITTEN: &[&str] = &[
    "src",
    "tests",
    "benches",
    "chaos",
    "docs",
    "helm",
    ".ci",
    ".cargo",
    ".config",
    "Cargo.toml",
    "README.md",
    ".clippy.toml",
    ".deny.toml",
    ".rustfmt.toml",
];

/// Written by a program, which a test of the command line compares with it.
const GENERATED: &str = "docs/reference/cli.md";

/// Drawers: a file with such a name holds what nobody found a place for.
const DRAWERS: &[&str] = &["util", "utils", "common", "helpers", "misc", "types", "manager"];

#[test]
fn a_file_fits_in_the_head() {
    let mut long = Vec::new();
    for source in files(WRITTEN) {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX && source.path != GENERATED {
            long.push(format!("{}: {lines} lines, at most {FILE_LINES_MAX}", source.path));
        }
    }

    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn no_file_is_a_drawer() {
    let is_drawer = |source: &Source| {
        source.path.split('/').any(|part| DRAWERS.contains(&part.split('.').next().unwrap_or(part)))
    };
    let drawers: Vec<_> =
        files(WRITTEN).into_iter().filter(is_drawer).map(|source| source.path).collect();

    assert!(drawers.is_empty(), "name them after what they hold: {drawers:?}");
}

#[test]
fn a_trait_has_few_methods() {
    let mut large = Vec::new();
    for source in rust_files(&["src"]) {
        let mut depth = 0_usize;
        let mut open: Option<(String, usize, usize)> = None;
        for line in source.lines() {
            let found = words(&line.code);
            if let Some(at) = found.iter().position(|(word, ..)| *word == "trait") {
                let name = found.get(at + 1).map_or("", |(name, ..)| name);
                open = Some((name.to_owned(), depth, 0));
            }
            if let Some((_, at, methods)) = &mut open
                && depth == *at + 1
                && found.iter().any(|(word, ..)| *word == "fn")
            {
                *methods += 1;
            }
            depth += line.code.matches('{').count();
            depth = depth.saturating_sub(line.code.matches('}').count());
            let is_closed = open.as_ref().is_some_and(|(_, at, _)| {
                depth <= *at && (line.code.contains('}') || line.code.trim_end().ends_with(';'))
            });
            if is_closed
                && let Some((name, _, methods)) = open.take()
                && methods > TRAIT_METHODS_MAX
            {
                large.push(format!("{}: {name} has {methods} methods", source.path));
            }
        }
    }

    assert!(large.is_empty(), "at most {TRAIT_METHODS_MAX}:\n{}", large.join("\n"));
}

#[test]
fn nothing_is_left_for_later() {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
    let mut left = Vec::new();
    for source in files(WRITTEN) {
        for (index, row) in source.text.lines().enumerate() {
            if words(row).iter().any(|(word, ..)| marks.contains(word)) {
                left.push(format!("{}:{}: {}", source.path, index + 1, row.trim()));
            }
        }
    }

    assert!(left.is_empty(), "{}", left.join("\n"));
}

#[test]
fn no_code_is_commented_out() {
    let mut dead = Vec::new();
    for source in rust_files(&["src", "tests", "benches", "chaos"]) {
        for line in source.lines() {
            let plain =
                line.comment.strip_prefix("//").filter(|text| !text.starts_with(['/', '!']));
            if plain.is_some_and(|text| looks_like_code(text.trim())) {
                dead.push(format!("{}:{}: {}", source.path, line.number, line.comment));
            }
        }
    }
    for source in files(&["src"]).iter().filter(|source| source.is("lua")) {
        for (index, row) in source.text.lines().enumerate() {
            let plain = row.trim().strip_prefix("--").filter(|text| !text.starts_with("[["));
            let is_code = |text: &str| {
                text.starts_with("local ") || text.starts_with("if ") && text.ends_with(" then")
            };
            if plain.is_some_and(|text| is_code(text.trim())) {
                dead.push(format!("{}:{}: {row}", source.path, index + 1));
            }
        }
    }

    assert!(dead.is_empty(), "commented-out code:\n{}", dead.join("\n"));
}

fn looks_like_code(text: &str) -> bool {
    let starts = ["let ", "use ", "pub ", "fn ", "mod ", "impl ", "match ", "#[", "assert"];
    text.ends_with([';', '{', '}']) || starts.iter().any(|start| text.starts_with(start))
}

#[test]
fn one_import_a_line() {
    let mut broken = Vec::new();
    for source in rust_files(&["src", "tests", "benches", "chaos"]) {
        for line in source.lines() {
            let code = line.code.trim_start();
            let is_import = ["use ", "pub use ", "pub(crate) use ", "pub(super) use "]
                .iter()
                .any(|start| code.starts_with(start));
            let is_tree = is_import && code.contains('{');
            if is_tree || code.contains("super::super") {
                broken.push(format!("{}:{}: {code}", source.path, line.number));
            }
        }
    }

    assert!(broken.is_empty(), "one module a line, without trees:\n{}", broken.join("\n"));
}

#[test]
fn every_module_is_part_of_the_program() {
    let mut dead = Vec::new();
    let all = rust_files(&["src", "tests", "chaos"]);
    let declared: BTreeSet<String> = all.iter().flat_map(declares).collect();
    for source in &all {
        let is_root = matches!(source.name(), "main.rs" | "lib.rs")
            || source.path.starts_with("tests/") && source.path.matches('/').count() == 1;
        let stem = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
        if !is_root && !declared.contains(stem) {
            dead.push(source.path.clone());
        }
    }

    assert!(dead.is_empty(), "no module declares them: {dead:?}");
}

/// The files, without `.rs` or `/mod.rs`, that the modules of a file stand in.
fn declares(source: &Source) -> Vec<String> {
    let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let is_root = matches!(source.name(), "main.rs" | "lib.rs" | "mod.rs");
    let base = if is_root { folder } else { source.path.trim_end_matches(".rs") };
    let mut found = Vec::new();
    let mut path = None;
    for line in source.lines() {
        if line.code.trim_start().starts_with("#[path") {
            let given = line.strings.trim().trim_end_matches(".rs").trim_end_matches("/mod");
            path = Some(join(folder, given));
        }
        let code = line.code.trim();
        let name = code.strip_suffix(';').and_then(|code| code.rsplit_once("mod "));
        if let Some((_, name)) = name {
            let beside = if source.path.starts_with("tests/") && !is_root {
                format!("{folder}/{name}")
            } else {
                format!("{base}/{name}")
            };
            found.push(path.take().unwrap_or(beside));
        }
    }
    found
}

/// `given` as seen from `folder`.
fn join(folder: &str, given: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in given.split('/') {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn no_path_of_a_machine_is_written_down() {
    let places = [
        concat!("/ho", "me/"),
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/Us", "ers/"),
        concat!("/tmp", "/wt"),
    ];
    let mut broken = Vec::new();
    for source in files(WRITTEN) {
        for (index, row) in source.text.lines().enumerate() {
            if places.iter().any(|place| row.contains(place)) {
                broken.push(format!("{}:{}: {}", source.path, index + 1, row.trim()));
            }
        }
    }

    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
