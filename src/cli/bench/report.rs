//! What was measured, and how it is shown.

use std::borrow::Cow;
use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::output::Format;

use super::Load;
use super::Scenario;
use super::tally::Faults;

/// One figure of one run.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    /// Its name for programs, with its unit.
    key: &'static str,
    /// What it is, for people.
    what: Cow<'static, str>,
    value: f64,
    unit: &'static str,
}

/// One run of a scenario.
#[derive(Debug)]
pub(super) struct Run {
    /// How many tasks it took.
    pub(super) tasks: usize,
    pub(super) figures: Vec<Figure>,
    pub(super) faults: Faults,
}

/// All runs so far, and what they were made on.
#[derive(Debug)]
pub(super) struct Report {
    format: Format,
    load: Load,
    /// The store, by its own word.
    product: String,
    runs: Vec<(Scenario, Run)>,
    /// Of all runs and warm-ups together.
    faults: Faults,
}

impl Figure {
    pub(super) fn new(
        key: &'static str,
        what: impl Into<Cow<'static, str>>,
        value: f64,
        unit: &'static str,
    ) -> Self {
        Self { key, what: what.into(), value, unit }
    }

    /// So many tasks in this time.
    pub(super) fn rate(
        key: &'static str,
        what: impl Into<Cow<'static, str>>,
        tasks: usize,
        took: Duration,
    ) -> Self {
        Self::new(key, what, as_f64(tasks) / took.as_secs_f64().max(1e-9), "tasks/s")
    }

    /// A time that is given in µs.
    #[expect(clippy::cast_precision_loss, reason = "lags are far below 2^52 µs")]
    pub(super) fn ms(key: &'static str, what: &'static str, us: i64) -> Self {
        Self::new(key, what, us as f64 / 1e3, "ms")
    }
}

impl Report {
    pub(super) fn new(format: Format, load: Load, product: String) -> Self {
        Self { format, load, product, runs: Vec::new(), faults: Faults::default() }
    }

    /// Takes note of a warm-up, whose figures count for nothing.
    pub(super) fn warmed_up(&mut self, scenario: Scenario, run: &Run) {
        if !run.faults.is_none() {
            output::note(&format!("{}, warm-up: {}", scenario.word(), told(run.faults)));
        }
        self.faults = self.faults.and(run.faults);
    }

    /// Takes note of a run, and writes its line where lines are asked for.
    pub(super) fn note(&mut self, scenario: Scenario, run: Run) -> Result<(), Failure> {
        self.faults = self.faults.and(run.faults);
        self.runs.push((scenario, run));
        match self.format {
            Format::Table => Ok(()),
            Format::Json | Format::Jsonl => output::json(&self.last_as_json()),
        }
    }

    fn last_as_json(&self) -> Value {
        let Some((scenario, run)) = self.runs.last() else { return Value::Null };
        let number = self.runs.iter().filter(|(of, _)| of == scenario).count();
        let figures: Map<_, _> = run
            .figures
            .iter()
            .map(|figure| (figure.key.to_owned(), json!((figure.value * 1e3).round() / 1e3)))
            .collect();
        json!({
            "scenario": scenario.word(),
            "run": number,
            "tasks": run.tasks,
            "figures": figures,
            "lost": run.faults.lost,
            "twice": run.faults.twice,
            "left": run.faults.left,
            "nodes": self.load.nodes,
            "concurrency": self.load.concurrency,
            "rate_per_second": self.load.rate,
            "version": env!("CARGO_PKG_VERSION"),
            "store": self.product,
            "cores": cores(),
            "processor": processor(),
        })
    }

    /// Writes the table where one is asked for, of the runs that there were.
    pub(super) fn show(&self) -> Result<(), Failure> {
        if self.format != Format::Table || self.runs.is_empty() {
            return Ok(());
        }
        let mut rows = Vec::new();
        for scenario in Scenario::ALL {
            let runs: Vec<&Run> =
                self.runs.iter().filter(|(of, _)| *of == scenario).map(|(_, run)| run).collect();
            let Some(first) = runs.first() else { continue };
            for (at, figure) in first.figures.iter().enumerate() {
                let values = runs.iter().filter_map(|run| run.figures.get(at));
                rows.push(row(scenario, figure, values.map(|figure| figure.value).collect()));
            }
        }
        output::line(&self.heading())?;
        output::table(&["SCENARIO", "FIGURE", "MEDIAN", "LEAST", "MOST", "UNIT", "RUNS"], rows)?;
        output::line(&told(self.faults))
    }

    fn heading(&self) -> String {
        let Load { tasks, nodes, concurrency, rate } = self.load;
        format!(
            "taskshed {}, {}, {} cores of {}\n{tasks} tasks, {nodes} node(s), {concurrency} at once, \
             lag at {rate} tasks a second\n",
            env!("CARGO_PKG_VERSION"),
            output::plain(&self.product),
            cores(),
            processor().unwrap_or_else(|| "an unknown processor".into()),
        )
    }

    /// Fails if a task was lost, ran more often than once, or would run again.
    pub(super) fn judge(&self) -> Result<(), Failure> {
        if self.faults.is_none() { Ok(()) } else { Err(Failure::Refused(told(self.faults))) }
    }
}

/// A count as a number to reckon with.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(super) fn as_f64(count: usize) -> f64 {
    count as f64
}

fn told(faults: Faults) -> String {
    let Faults { lost, twice, left } = faults;
    format!("tasks lost: {lost}, run twice: {twice}, left to run again: {left}")
}

fn row(scenario: Scenario, figure: &Figure, mut values: Vec<f64>) -> Vec<String> {
    values.sort_unstable_by(f64::total_cmp);
    let [least, median, most] = spread(&values).map(shown);
    let (unit, runs) = (figure.unit.to_owned(), values.len().to_string());
    vec![scenario.word().to_owned(), figure.what.to_string(), median, least, most, unit, runs]
}

/// The least, the median and the most of sorted values.
fn spread(sorted: &[f64]) -> [f64; 3] {
    let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
    let last = sorted.len().saturating_sub(1);
    [at(0), f64::midpoint(at(last / 2), at(sorted.len() / 2)), at(last)]
}

fn shown(value: f64) -> String {
    let digits = if value.abs() >= 100.0 { 0 } else { 3 };
    format!("{value:.digits$}")
}

fn cores() -> usize {
    thread::available_parallelism().map_or(0, usize::from)
}

/// What the kernel calls the processor, where it tells.
fn processor() -> Option<String> {
    let told = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = told.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map(|(_, name)| output::plain(name.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_between_the_least_and_the_most() {
        for (values, spread_of) in [
            (&[7.0][..], [7.0, 7.0, 7.0]),
            (&[1.0, 2.0], [1.0, 1.5, 2.0]),
            (&[1.0, 2.0, 9.0], [1.0, 2.0, 9.0]),
            (&[1.0, 2.0, 4.0, 9.0], [1.0, 3.0, 9.0]),
        ] {
            let found = spread(values).map(f64::to_bits);
            assert_eq!(found, spread_of.map(f64::to_bits), "{values:?}");
        }
    }

    #[test]
    fn a_fault_of_any_run_or_warm_up_is_a_failure() {
        let run = |lost| Run {
            tasks: 1,
            figures: Vec::new(),
            faults: Faults { lost, ..Faults::default() },
        };
        let load = Load { tasks: 1, nodes: 1, concurrency: 1, rate: 1 };
        let mut report = Report::new(Format::Table, load, "memory".into());

        report.note(Scenario::Drain, run(0)).unwrap();
        assert!(report.judge().is_ok());
        report.warmed_up(Scenario::Lag, &run(1));
        report.note(Scenario::Lag, run(0)).unwrap();

        let failure = report.judge().unwrap_err().to_string();
        assert!(failure.starts_with("tasks lost: 1, "), "{failure}");
    }
}
