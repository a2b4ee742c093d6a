//! Figures, and how they are shown.

use std::fmt::Write;
use std::time::Duration;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// One figure of one run.
pub(crate) struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit }
    }

    /// So many things in this time.
    pub(crate) fn rate(name: impl Into<String>, count: usize, took: Duration) -> Self {
        Self::new(name, of(count) / took.as_secs_f64(), "/s")
    }

    /// One value as a share of another one.
    pub(crate) fn share(name: impl Into<String>, of: &Self, part: &Self) -> Self {
        Self::new(name, part.value / of.value, "×")
    }

    /// The rate of two things that are done to each, one after the other.
    pub(crate) fn in_turn(name: impl Into<String>, first: &Self, then: &Self) -> Self {
        Self::new(name, 1.0 / (1.0 / first.value + 1.0 / then.value), first.unit)
    }

    pub(crate) fn value(&self) -> f64 {
        self.value
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn time(name: impl Into<String>, took: Duration) -> Self {
        Self::new(name, took.as_secs_f64() * 1e3, "ms")
    }
}

/// A count as a number to reckon with.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn of(count: usize) -> f64 {
    count as f64
}

/// The value below which a share of the sorted ones lie.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index into a few thousand values"
)]
pub(crate) fn quantile<T: Copy>(sorted: &[T], share: f64) -> T {
    sorted[(of(sorted.len() - 1) * share) as usize]
}

/// The value in the middle of the sorted ones, or between the two in the middle.
pub(crate) fn median(sorted: &[f64]) -> f64 {
    f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2])
}

/// The runs of one measure on one store.
pub(crate) struct Report {
    measure: &'static str,
    store: &'static str,
    /// What each line of JSON says beside the figures, if there are to be lines.
    beside: Option<Value>,
    runs: Vec<Vec<Figure>>,
}

impl Report {
    pub(crate) fn new(measure: &'static str, store: &'static str, beside: Option<Value>) -> Self {
        Self { measure, store, beside, runs: Vec::new() }
    }

    pub(crate) fn note(&mut self, figures: Vec<Figure>) {
        if let Some(mut line) = self.beside.clone().filter(|_| !figures.is_empty()) {
            let values = figures.iter().map(|Figure { name, value, unit }| {
                (name.clone(), json!({ "value": value, "unit": unit }))
            });
            line["measure"] = self.measure.into();
            line["store"] = self.store.into();
            line["run"] = (self.runs.len() + 1).into();
            line["figures"] = values.collect::<Map<_, _>>().into();
            println!("{line}");
        }
        self.runs.push(figures);
    }

    /// The median of each figure, with the least and the most if there were several runs.
    pub(crate) fn print(&self) {
        let Some(first) = self.runs.first().filter(|first| !first.is_empty()) else { return };
        let mut text = format!("{} on {}\n", self.measure, self.store);
        for (at, Figure { name, unit, .. }) in first.iter().enumerate() {
            let mut values: Vec<f64> = self.runs.iter().map(|run| run[at].value).collect();
            values.sort_unstable_by(f64::total_cmp);
            let median = shown(median(&values));
            let _infallible = write!(text, "  {name:<60} {median:>11} {unit}");
            if values.len() > 1 {
                let (least, most) = (shown(values[0]), shown(values[values.len() - 1]));
                let _infallible = write!(text, "  [{least} to {most}]");
            }
            text.push('\n');
        }
        print!("{text}");
    }
}

fn shown(value: f64) -> String {
    let digits = if value.abs() >= 100.0 { 0 } else { 3 };
    format!("{value:.digits$}")
}

/// What the figures were measured on, for people.
pub(crate) fn machine() -> String {
    let versions = versions().map(|(name, version)| match name {
        "taskshed" => format!("taskshed {version}, {}", hardware()),
        _ => version,
    });
    versions.join("\n")
}

/// The processor and how many cores of it there are.
pub(crate) fn hardware() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores of {}", name.unwrap_or("an unknown processor"))
}

/// Ours, and those of the servers and of the compiler by their own words.
pub(crate) fn versions() -> [(&'static str, String); 4] {
    let version = |program: &str| {
        let answer = std::process::Command::new(program).arg("--version").output();
        let text = answer.map(|answer| String::from_utf8_lossy(&answer.stdout).into_owned());
        let text = text.unwrap_or_else(|_| format!("no {program}"));
        text.lines().next().unwrap_or_default().to_owned()
    };
    [
        ("taskshed", env!("CARGO_PKG_VERSION").to_owned()),
        ("redis", version("redis-server")),
        ("mariadb", version("mariadbd")),
        ("rustc", version("rustc")),
    ]
}
