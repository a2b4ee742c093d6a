//! All runs: a line of JSON for each, and the rows that tables and plots are made of.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use serde_json::json;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;

use crate::install::Ready;
use crate::run::Run;
use crate::speed_report::machine;
use crate::speed_report::median;

/// The same measure of the same peer, in several rounds.
pub(crate) struct Row {
    /// What is measured.
    pub(crate) name: &'static str,
    /// Of whom.
    pub(crate) title: String,
    /// Of a peer, or of ours.
    pub(crate) version: Option<String>,
    pub(crate) unit: &'static str,
    /// Whether it is ours.
    pub(crate) ours: bool,
    pub(crate) runs: Vec<Run>,
}

impl Row {
    /// Median, least and most of the runs that came to their end; nothing if none did.
    pub(crate) fn spread(&self) -> Option<[f64; 3]> {
        spread(self.runs.iter().filter_map(Run::value).collect())
    }

    /// The same of a part of what was measured.
    pub(crate) fn part(&self, name: &str) -> Option<[f64; 3]> {
        let of = |run: &Run| run.parts.iter().find(|(part, _)| *part == name).map(|part| part.1);
        let whole = self.runs.iter().filter(|run| run.value().is_some());
        spread(whole.filter_map(of).collect())
    }

    /// Runs that failed, tasks that did not run, and runs of a task after its first one.
    pub(crate) fn faults(&self) -> String {
        let failed = self.runs.iter().filter(|run| run.error.is_some()).count();
        let counts: Vec<_> = self.runs.iter().filter_map(Run::faults).collect();
        if counts.is_empty() {
            return format!("{failed} / – / –");
        }
        let lost: usize = counts.iter().map(|(lost, _)| lost).sum();
        let twice: usize = counts.iter().map(|(_, twice)| twice).sum();
        format!("{failed} / {lost} / {twice}")
    }
}

fn spread(mut values: Vec<f64>) -> Option<[f64; 3]> {
    values.sort_unstable_by(f64::total_cmp);
    let (least, most) = (*values.first()?, *values.last()?);
    Some([median(&values), least, most])
}

/// All runs.
pub(crate) struct Report {
    lines: File,
    machine: String,
    redis: String,
    mariadb: String,
    rows: Vec<Row>,
}

impl Report {
    pub(crate) fn new(scratch: &Path) -> Self {
        let lines = File::create(scratch.join("runs.jsonl")).unwrap();
        let machine = machine();
        println!("{machine}");
        let mut parts = machine.lines().map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        Self { machine: part(), redis: part(), mariadb: part(), lines, rows: Vec::new() }
    }

    /// Takes down a run: of a peer, or of what stands beside them.
    pub(crate) fn note(&mut self, round: usize, ready: Option<&Ready>, run: Run) {
        let title = title(ready, &run);
        self.line(round, ready, &title, &run);
        let told = run.value().map_or_else(
            || format!("failed: {}", run.error.as_deref().unwrap_or("it has no value")),
            |value| format!("{} {}", shown(value), run.unit),
        );
        println!("{round}: {}, {title}: {told}", run.name);
        let same = |row: &&mut Row| row.name == run.name && row.title == title;
        if let Some(row) = self.rows.iter_mut().find(same) {
            return row.runs.push(run);
        }
        let ours = ready.is_some_and(|ready| ready.peer.name == "taskshed");
        let version = ready.map(|ready| ready.version.clone());
        let (name, unit) = (run.name, run.unit);
        self.rows.push(Row { name, title, version, unit, ours, runs: vec![run] });
    }

    fn line(&mut self, round: usize, ready: Option<&Ready>, title: &str, run: &Run) {
        let (executed, distinct) = run.counted.unzip();
        let parts: serde_json::Map<_, _> =
            run.parts.iter().map(|(part, value)| ((*part).to_owned(), json!(value))).collect();
        let line = json!({
            "at": SystemClock.wall().to_string(), "machine": self.machine,
            "redis": self.redis, "mariadb": self.mariadb,
            "measure": run.name, "of": title, "version": ready.map(|ready| &ready.version),
            "round": round, "unit": run.unit, "value": run.value(), "error": run.error,
            "parts": parts, "tasks": run.tasks(), "executed": executed, "distinct": distinct,
        });
        writeln!(self.lines, "{line}").unwrap();
    }

    /// How many tasks a second a peer has drained so far.
    pub(crate) fn drained(&self, ready: &Ready) -> Option<f64> {
        let same = |row: &&Row| row.name == "drained" && row.title == ready.peer.title;
        self.rows.iter().find(same).and_then(Row::spread).map(|[median, ..]| median)
    }

    /// The rows of each measure: ours, then peers from the best to the worst, then what is none.
    pub(crate) fn measures(&self) -> Vec<Vec<&Row>> {
        let mut measures: Vec<Vec<&Row>> = Vec::new();
        for row in &self.rows {
            match measures.iter_mut().find(|rows| rows[0].name == row.name) {
                Some(rows) => rows.push(row),
                None => measures.push(vec![row]),
            }
        }
        for rows in &mut measures {
            rows.sort_by(|one, other| place(one).partial_cmp(&place(other)).unwrap());
        }
        measures
    }
}

/// Where a row stands in a table.
fn place(row: &Row) -> (bool, bool, f64) {
    let median = row.spread().map(|[median, ..]| if row.unit == "/s" { -median } else { median });
    // A plain title of ours is what peers are compared with, so it comes before its variants.
    let value =
        if row.ours && !row.title.contains(',') { f64::MIN } else { median.unwrap_or(f64::MAX) };
    (row.version.is_none(), !row.ours, value)
}

fn title(ready: Option<&Ready>, run: &Run) -> String {
    match (ready, run.title.as_str()) {
        (None, title) => title.to_owned(),
        (Some(ready), "") => ready.peer.title.to_owned(),
        (Some(ready), more) => format!("{}, {more}", ready.peer.title),
    }
}

/// A measure with its unit.
pub(crate) fn heading(name: &str, unit: &str) -> String {
    let unit = match unit {
        "/s" => "tasks a second",
        "ms" => "milliseconds, median",
        "runs" => "runs of 1,000 tasks, of which one was left out and one came twice",
        _ => "seconds",
    };
    format!("{name}: {unit}")
}

/// How many times ours is as fast, or as lean; less than one is in favour of the other.
pub(crate) fn beside(rows: &[&Row], row: &Row) -> String {
    let median = |row: &Row| row.spread().map(|[median, ..]| median);
    let ours = rows.iter().find(|row| row.ours).and_then(|row| median(row));
    let (Some(ours), Some(theirs)) = (ours, median(row)) else { return String::new() };
    if theirs <= 0.0 || ours <= 0.0 {
        return "early".to_owned();
    }
    let ratio = if row.unit == "/s" { ours / theirs } else { theirs / ours };
    format!("{} ×", shown(ratio))
}

/// A value with two or three digits that count.
pub(crate) fn shown(value: f64) -> String {
    if value < 0.0 {
        return format!("−{}", shown(-value));
    }
    match value {
        large if large >= 100_000.0 => grouped(whole(value / 1000.0) * 1000),
        large if large >= 1000.0 => grouped(whole(value / 100.0) * 100),
        large if large >= 100.0 => format!("{value:.0}"),
        large if large >= 10.0 => format!("{value:.1}"),
        large if large >= 1.0 => format!("{value:.2}"),
        large if large > 0.0 => format!("{value:.3}"),
        _ => "0".to_owned(),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate or a time")]
fn whole(value: f64) -> usize {
    value.round() as usize
}

/// A number with a comma at each thousand.
pub(crate) fn grouped(number: usize) -> String {
    match (number / 1000, number % 1000) {
        (0, rest) => rest.to_string(),
        (more, rest) => format!("{},{rest:03}", grouped(more)),
    }
}
