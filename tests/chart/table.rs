//! The README's table of values is what `values.yaml` says.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

use crate::helm::chart;
use crate::helm::objects;
use crate::helm::read;

/// Where the table begins and ends in the README.
const MARKS: [&str; 2] = ["<!-- values: made from values.yaml -->\n", "<!-- end of values -->"];

#[test]
fn the_table_is_what_the_values_say() {
    let values = read("helm/taskshed/values.yaml");
    let page = read("helm/taskshed/README.md");
    let (before, rest) = page.split_once(MARKS[0]).unwrap();
    let (_, after) = rest.split_once(MARKS[1]).unwrap();

    let fresh = format!("{before}{}{}{}{after}", MARKS[0], table(&values), MARKS[1]);

    if fresh != page {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("README.md");
        std::fs::write(&place, fresh).unwrap();
        let page = chart().join("README.md");
        panic!("{} is stale; copy {} there", page.display(), place.display());
    }
}

/// Every value is documented, once, and every documented line is a value.
#[test]
fn every_value_is_in_the_table() {
    let text = read("helm/taskshed/values.yaml");
    let documented: Vec<_> = documented(&text).into_iter().map(|(key, _)| key).collect();
    let mut leaves = Vec::new();
    collect(&objects(&text)[0], "", &documented, &mut leaves);

    let mut sorted = documented;
    sorted.sort();
    leaves.sort();
    assert_eq!(sorted, leaves);
}

/// The paths of all values that hold no others; a documented map counts as one.
fn collect(value: &Value, path: &str, documented: &[String], leaves: &mut Vec<String>) {
    let map = value.as_object().filter(|_| !documented.iter().any(|key| key == path));
    let Some(map) = map.filter(|map| !map.is_empty()) else {
        leaves.push(path.to_owned());
        return;
    };
    for (key, value) in map {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        collect(value, &path, documented, leaves);
    }
}

fn table(values: &str) -> String {
    let defaults = objects(values).remove(0);
    let mut table = "| value | default | meaning |\n|---|---|---|\n".to_owned();
    for (key, meaning) in documented(values) {
        let pointer = format!("/{}", key.replace('.', "/"));
        let default = defaults.pointer(&pointer).unwrap();
        let meaning = meaning.replace('|', "\\|");
        writeln!(table, "| `{key}` | `{default}` | {meaning} |").unwrap();
    }
    table
}

/// The keys behind a `# --`, by their whole path, with what is said of them.
fn documented(values: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut parents: Vec<(usize, &str)> = Vec::new();
    let mut meaning: Option<String> = None;
    for line in values.lines() {
        let text = line.trim_start();
        let depth = line.len() - text.len();
        if let Some(first) = text.strip_prefix("# -- ") {
            meaning = Some(first.to_owned());
        } else if let (Some(more), Some(meaning)) = (text.strip_prefix("# "), meaning.as_mut()) {
            meaning.push(' ');
            meaning.push_str(more);
        } else if let Some((key, _)) = text.split_once(':').filter(|_| !text.starts_with('#')) {
            parents.retain(|(at, _)| *at < depth);
            parents.push((depth, key));
            if let Some(meaning) = meaning.take() {
                let path: Vec<_> = parents.iter().map(|(_, key)| *key).collect();
                found.push((path.join("."), meaning));
            }
        }
    }
    found
}
