//! Each invariant has a test, and each test guards an invariant that exists.

use std::collections::BTreeSet;

use crate::source::Source;
use crate::source::files;
use crate::source::rust_files;
use crate::source::words;

/// Invariants that may be without a test for now; docs/invariants.md says so.
const UNGUARDED: &[&str] = &["N1"];

#[test]
fn every_invariant_is_guarded_by_a_test() {
    let known = known();
    let guarded: BTreeSet<String> = rust_files(&["src", "tests"])
        .iter()
        .filter(|source| holds_tests(source))
        .flat_map(guards)
        .map(|(_, id)| id)
        .collect();

    let mut unguarded: Vec<_> = known.difference(&guarded).map(String::as_str).collect();
    unguarded.retain(|id| !UNGUARDED.contains(id));
    assert!(unguarded.is_empty(), "no test says that it guards {unguarded:?}");
}

#[test]
fn no_comment_names_an_invariant_that_does_not_exist() {
    let known = known();
    let mut unknown = Vec::new();
    for source in rust_files(&["src", "tests", "benches", "chaos"]) {
        for (line, id) in guards(&source) {
            if !known.contains(&id) {
                unknown.push(format!("{}:{line}: {id}", source.path));
            }
        }
    }

    assert!(unknown.is_empty(), "not in docs/invariants.md:\n{}", unknown.join("\n"));
}

/// The ids that open a row of the table.
fn known() -> BTreeSet<String> {
    let page = files(&["docs/invariants.md"]);
    let known: BTreeSet<String> = page[0]
        .text
        .lines()
        .filter_map(|row| row.strip_prefix("| ")?.split_once(' ').map(|(id, _)| id))
        .filter(|id| is_id(id))
        .map(Into::into)
        .collect();
    assert!(known.len() > 10, "the table of docs/invariants.md was not understood: {known:?}");
    known
}

fn holds_tests(source: &Source) -> bool {
    source.path.starts_with("tests/") || source.text.contains("#[test]")
}

/// Ids that comments name. In files under `src` those of code count, too, if it has tests.
fn guards(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for line in source.lines() {
        for (word, ..) in words(&line.comment) {
            if is_id(word) {
                found.push((line.number, word.to_owned()));
            }
        }
    }
    found
}

fn is_id(word: &str) -> bool {
    let mut letters = word.chars();
    matches!(letters.next(), Some('T' | 'S' | 'L' | 'N'))
        && !letters.as_str().is_empty()
        && letters.as_str().len() <= 2
        && letters.all(|c| c.is_ascii_digit())
}
