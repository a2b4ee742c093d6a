//! Runs, and how they are told: a line of JSON for each, a table of medians for all.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use serde_json::json;

use crate::install::Ready;
use crate::program::Counted;
use crate::speed_report::machine;
use crate::speed_report::median;

/// One measured value of one run, with what belongs to it.
pub(crate) struct Run {
    name: &'static str,
    /// What it is of, beside a peer or instead of one.
    title: String,
    unit: &'static str,
    value: f64,
    parts: Vec<(&'static str, f64)>,
    tasks: usize,
    /// Runs that there were, and of how many tasks.
    counted: Option<(usize, usize)>,
}

impl Run {
    pub(crate) fn new(name: &'static str, unit: &'static str, value: f64) -> Self {
        Self { name, title: String::new(), unit, value, parts: Vec::new(), tasks: 0, counted: None }
    }

    pub(crate) fn titled(self, title: &str) -> Self {
        Self { title: title.to_owned(), ..self }
    }

    /// Of so many tasks.
    pub(crate) fn of(self, tasks: usize) -> Self {
        Self { tasks, ..self }
    }

    /// Of so many tasks, of which these ran.
    pub(crate) fn counted(self, tasks: usize, counted: &Counted) -> Self {
        Self { tasks, counted: Some((counted.executed, counted.distinct)), ..self }
    }

    /// How many tasks were lost, and how many runs there were too many, if that was counted.
    pub(crate) fn faults(&self) -> Option<(usize, usize)> {
        self.counted.map(|(executed, distinct)| (self.tasks - distinct, executed - distinct))
    }

    pub(crate) fn with(mut self, part: &'static str, value: f64) -> Self {
        self.parts.push((part, value));
        self
    }
}

/// The same measure of the same peer, in several rounds.
pub(crate) struct Row {
    /// What is measured.
    pub(crate) name: &'static str,
    /// Of whom.
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    /// Whether it is ours.
    pub(crate) ours: bool,
    runs: Vec<Run>,
}

impl Row {
    /// Its median, least and most.
    pub(crate) fn spread(&self) -> [f64; 3] {
        let mut values: Vec<_> = self.runs.iter().map(|run| run.value).collect();
        values.sort_unstable_by(f64::total_cmp);
        [median(&values), values[0], values[values.len() - 1]]
    }

    fn parts(&self) -> String {
        let mut text = Vec::new();
        for (at, (part, _)) in self.runs[0].parts.iter().enumerate() {
            let mut values: Vec<_> = self.runs.iter().map(|run| run.parts[at].1).collect();
            values.sort_unstable_by(f64::total_cmp);
            text.push(format!("{part} {}", shown(median(&values))));
        }
        text.join(", ")
    }

    /// Tasks that were lost or ran twice, over all runs.
    fn faults(&self) -> String {
        let (mut lost, mut again, mut known) = (0, 0, false);
        for (more_lost, more_again) in self.runs.iter().filter_map(Run::faults) {
            known = true;
            lost += more_lost;
            again += more_again;
        }
        if known { format!("{lost} / {again}") } else { String::new() }
    }
}

/// All runs.
pub(crate) struct Report {
    lines: File,
    machine: String,
    rows: Vec<Row>,
}

impl Report {
    pub(crate) fn new(scratch: &Path, peers: &[Ready]) -> Self {
        let lines = File::create(scratch.join("runs.jsonl")).unwrap();
        let machine = machine();
        println!("{machine}");
        let versions: serde_json::Map<_, _> =
            peers.iter().map(|ready| (ready.peer.name.into(), json!(ready.version))).collect();
        let mut report = Self { lines, machine, rows: Vec::new() };
        report.line(&json!({ "machine": report.machine, "versions": versions }));
        report
    }

    /// Takes down a run of a peer.
    pub(crate) fn note(&mut self, round: usize, ready: &Ready, run: Run) {
        let title = match run.title.as_str() {
            "" => ready.peer.title.to_owned(),
            more => format!("{}, {more}", ready.peer.title),
        };
        self.add(round, Some(ready), Run { title, ..run });
    }

    /// Takes down what is no peer.
    pub(crate) fn note_beside(&mut self, round: usize, run: Run) {
        self.add(round, None, run);
    }

    fn add(&mut self, round: usize, ready: Option<&Ready>, run: Run) {
        let (executed, distinct) = run.counted.unzip();
        let parts: serde_json::Map<_, _> =
            run.parts.iter().map(|(part, value)| ((*part).to_owned(), json!(value))).collect();
        let line = json!({
            "measure": run.name, "of": run.title, "version": ready.map(|ready| &ready.version),
            "round": round, "unit": run.unit, "value": run.value, "parts": parts,
            "tasks": run.tasks, "executed": executed, "distinct": distinct,
            "machine": self.machine.lines().next(),
        });
        self.line(&line);
        println!("{round}: {}, {}: {} {}", run.name, run.title, shown(run.value), run.unit);
        let same = |row: &&mut Row| row.name == run.name && row.title == run.title;
        if let Some(row) = self.rows.iter_mut().find(same) {
            row.runs.push(run);
        } else {
            let ours = ready.is_some_and(|ready| ready.peer.name == "taskshed");
            let (name, title, unit) = (run.name, run.title.clone(), run.unit);
            self.rows.push(Row { name, title, unit, ours, runs: vec![run] });
        }
    }

    fn line(&mut self, line: &serde_json::Value) {
        writeln!(self.lines, "{line}").unwrap();
    }

    /// The rows of each measure, in the order in which they came.
    pub(crate) fn measures(&self) -> Vec<Vec<&Row>> {
        let mut measures: Vec<Vec<&Row>> = Vec::new();
        for row in &self.rows {
            match measures.iter_mut().find(|rows| rows[0].name == row.name) {
                Some(rows) => rows.push(row),
                None => measures.push(vec![row]),
            }
        }
        measures
    }

    /// Medians as Markdown.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        for rows in self.measures() {
            let _infallible = write!(
                text,
                "### {}\n\n| | median | least to most | ours is better by | more | tasks, runs | lost / twice |\n\
                 |---|---|---|---|---|---|---|\n",
                heading(rows[0].name, rows[0].unit)
            );
            for row in &rows {
                let [median, least, most] = row.spread();
                let _infallible = writeln!(
                    text,
                    "| {} | {} | {} to {} | {} | {} | {} × {} | {} |",
                    row.title,
                    shown(median),
                    shown(least),
                    shown(most),
                    beside(&rows, row),
                    row.parts(),
                    row.runs[0].tasks,
                    row.runs.len(),
                    row.faults(),
                );
            }
            text.push('\n');
        }
        text
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
    let Some(ours) = rows.iter().find(|row| row.ours) else { return String::new() };
    let (theirs, ours) = (row.spread()[0], ours.spread()[0]);
    if theirs <= 0.0 {
        return "early".to_owned();
    }
    let ratio = if row.unit == "/s" { ours / theirs } else { theirs / ours };
    format!("{} ×", shown(ratio))
}

/// A value with three digits or more.
pub(crate) fn shown(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => format!("{:.0}", (value / 100.0).round() * 100.0),
        large if large >= 100.0 => format!("{value:.0}"),
        large if large >= 10.0 => format!("{value:.1}"),
        large if large >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
