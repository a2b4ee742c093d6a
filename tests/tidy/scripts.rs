//! What runs inside a store: its text stands in files of its own, with a header.

use crate::source::Source;
use crate::source::files;
use crate::source::rust_files;

/// What the header of a script says, in this order.
const HEADER: &[&str] = &["ARGV", "REPLY", "GUARDS", "COST", "WHY"];

/// What scripts include, so it has no first line of its own.
const PARTS: &[&str] = &["prelude", "calls", "claims", "hints", "leader", "tasks"];

#[test]
fn no_script_stands_in_rust() {
    let marks = [
        concat!("redis.", "call"),
        concat!("KEYS", "["),
        concat!("ARGV", "["),
        concat!("INSERT ", "INTO"),
        concat!("DELETE ", "FROM"),
        concat!("SELECT ", "*"),
        concat!(" FROM ", "task"),
        concat!("UPDATE ", "task"),
    ];
    let mut broken = Vec::new();
    for source in rust_files(&["src"]) {
        for line in source.lines() {
            if marks.iter().any(|mark| line.strings.contains(mark)) {
                broken.push(format!("{}:{}", source.path, line.number));
            }
        }
    }

    assert!(broken.is_empty(), "Lua or SQL inside Rust:\n{}", broken.join("\n"));
}

#[test]
fn every_script_says_what_it_takes_gives_and_guards() {
    let mut broken = Vec::new();
    for source in files(&["src"]).iter().filter(|source| source.is("lua")) {
        let name = source.name().trim_end_matches(".lua");
        let header = source.text.split("]]").next().unwrap_or_default();
        if !header.contains(&format!("\n{name}: ")) {
            broken.push(format!("{}: its header does not start with its name", source.path));
        }
        if !PARTS.contains(&name) && !source.text.starts_with("#!lua") {
            broken.push(format!("{}: line 1 does not say what it may do", source.path));
        }
        let mut rest = header;
        for field in HEADER {
            match rest.split_once(&format!("\n{field}")) {
                Some((_, after)) => rest = after,
                None => broken.push(format!("{}: {field} is missing or misplaced", source.path)),
            }
        }
    }

    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_script_is_loaded() {
    let loaded: String =
        rust_files(&["src"]).iter().flat_map(Source::lines).map(|line| line.strings).collect();
    let unused: Vec<_> = files(&["src"])
        .into_iter()
        .filter(|source| source.is("lua") || source.is("sql"))
        .filter(|source| !loaded.contains(&format!("/{}", source.name())))
        .map(|source| source.path)
        .collect();

    assert!(unused.is_empty(), "no Rust file loads {unused:?}");
}
