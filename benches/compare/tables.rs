//! The tables of `docs/benchmarks.md`.

use std::fmt::Write;
use std::path::Path;

use crate::report::Report;
use crate::report::Row;
use crate::report::beside;
use crate::report::grouped;
use crate::report::heading;
use crate::report::shown;

/// All of them, each under a heading.
pub(crate) fn all(report: &Report) -> String {
    let mut text = String::new();
    for rows in report.measures() {
        let title = heading(rows[0].name, rows[0].unit);
        let _infallible = write!(text, "### {title}\n\n{}\n", table(&rows));
    }
    text
}

/// Puts each into the page, where a comment with the name of its measure stands before it.
pub(crate) fn fill(report: &Report) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
    let mut page = std::fs::read_to_string(&path).unwrap();
    for rows in report.measures().into_iter().filter(|rows| rows[0].unit != "runs") {
        let (mark, end) = (format!("<!-- {} -->\n", rows[0].name), "<!-- end -->");
        let Some((before, rest)) = page.split_once(&mark) else {
            println!("docs/benchmarks.md has no place for {}", rows[0].name);
            continue;
        };
        let (_, after) = rest.split_once(end).unwrap();
        page = format!("{before}{mark}{}{end}{after}", table(&rows));
    }
    std::fs::write(path, page).unwrap();
}

fn table(rows: &[&Row]) -> String {
    let unit = rows[0].unit;
    let (value, better) = match unit {
        "/s" => ("median", "faster"),
        "ms" => ("p50", "better"),
        _ => ("median", "better"),
    };
    let mut parts: Vec<&str> = Vec::new();
    for (part, _) in rows.iter().flat_map(|row| &row.runs).flat_map(|run| &run.parts) {
        if !parts.contains(part) {
            parts.push(part);
        }
    }
    let mut head = vec!["", value, "least to most"];
    let ratio = format!("ours is {better} by");
    head.push(&ratio);
    head.extend(&parts);
    head.extend(["tasks × rounds", "failed / lost / twice"]);
    let mut text = format!("| {} |\n{}|\n", head.join(" | "), "|---".repeat(head.len()));
    for row in rows {
        let _infallible = writeln!(text, "{}", line(rows, row, &parts));
    }
    text
}

fn line(rows: &[&Row], row: &Row, parts: &[&str]) -> String {
    let bold = if row.ours { "**" } else { "" };
    let version = row.version.as_ref().filter(|_| !row.ours);
    let version = version.map(|version| format!(" {version}")).unwrap_or_default();
    // What distinguishes a row of a peer stands behind its version.
    let (name, more) = row.title.split_at(row.title.find(',').unwrap_or(row.title.len()));
    let (median, range) = row.spread().map_or(("–".to_owned(), "–".to_owned()), |spread| {
        let [median, least, most] = spread.map(shown);
        (format!("{bold}{median}{bold}"), format!("{least} to {most}"))
    });
    let ratio = if row.ours { String::new() } else { beside(rows, row) };
    let mut cells = vec![format!("{bold}{name}{version}{more}{bold}"), median, range, ratio];
    cells.extend(parts.iter().map(|part| cell(row, part)));
    cells.push(format!("{} × {}", grouped(row.runs[0].tasks()), row.runs.len()));
    cells.push(row.faults());
    format!("| {} |", cells.join(" | "))
}

/// A part of what was measured, with its spread where that tells something.
fn cell(row: &Row, part: &str) -> String {
    match row.part(part).map(|spread| spread.map(shown)) {
        None => "–".to_owned(),
        Some([median, least, most]) if part == "p99" => format!("{median} ({least} to {most})"),
        Some([median, ..]) => median,
    }
}
