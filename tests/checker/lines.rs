//! The form of a history.

use crate::checker::history;

/// Every kind of line that `docs/reference/history.md` shows is read, and written as it was.
#[test]
fn the_lines_of_the_reference_are_read_and_written() {
    let page = include_str!("../../docs/reference/history.md");
    let shown: Vec<_> = page.lines().filter(|line| line.starts_with("{\"at\"")).collect();
    let text = shown.join("\n");

    let lines = history::read(text.as_bytes()).unwrap();
    let mut written = Vec::new();
    for line in &lines {
        history::write(line, &mut written).unwrap();
    }

    assert!(lines.len() > 20, "the reference shows few lines: {}", lines.len());
    let json = |text: &str| -> Vec<serde_json::Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(json(std::str::from_utf8(&written).unwrap()), json(&text));
}

#[test]
fn a_line_that_is_none_is_named() {
    let fault = history::read(&b"{\"at\":1,\"by\":\"a\",\"event\":\"sang\"}\n"[..]).unwrap_err();

    assert!(fault.to_string().starts_with("line 1: unknown variant `sang`"), "{fault}");
}

#[test]
fn half_a_line_of_a_killed_process_is_left_out() {
    let torn = b"{\"at\":1,\"by\":\"a.1\",\"ev{\"at\":2,\"by\":\"b.1\",\"event\":\"asked\",\"process\":\"c\"}\n";

    let lines = history::read(&torn[..]).unwrap();

    assert_eq!(lines.len(), 1);
    assert_eq!((lines[0].at, lines[0].by.as_str()), (2, "b.1"));
}
