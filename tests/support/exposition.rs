//! What a node's `/metrics` says, taken apart.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io::Write;
use std::process::Command;
use std::process::Stdio;

/// One text of metrics.
#[derive(Debug)]
pub(crate) struct Exposition {
    text: String,
    /// Type and names of labels by family, without the label of buckets.
    pub(crate) families: BTreeMap<String, (String, BTreeSet<String>)>,
    samples: BTreeMap<String, String>,
}

impl Exposition {
    pub(crate) fn parse(text: &str) -> Self {
        let mut families: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
        let mut samples = BTreeMap::new();
        let mut family = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                name.clone_into(&mut family);
                let news = families.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
                assert!(news.is_none(), "{name} comes twice");
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let name = series.split('{').next().unwrap();
                assert!(name.starts_with(&family), "{name} stands under {family}");
                let labels = labels(series).filter(|label| label != "le");
                families.get_mut(&family).unwrap().1.extend(labels);
                let before = samples.insert(series.to_owned(), value.to_owned());
                assert_eq!(before, None, "{series} comes twice");
                let number: Result<f64, _> = value.parse();
                assert!(number.is_ok(), "{line}");
            }
        }
        Self { text: text.to_owned(), families, samples }
    }

    /// The whole number of a series, written as `name` or `name{label="value"}`.
    #[track_caller]
    pub(crate) fn count(&self, series: &str) -> u64 {
        let count = self.find(series);
        count.unwrap_or_else(|| panic!("there is no whole {series} in\n{}", self.text))
    }

    /// The same, if it is there.
    pub(crate) fn find(&self, series: &str) -> Option<u64> {
        self.samples.get(series)?.parse().ok()
    }

    /// The number of a series that need not be whole.
    #[track_caller]
    pub(crate) fn number(&self, series: &str) -> f64 {
        let number = self.samples.get(series).and_then(|text| text.parse().ok());
        number.unwrap_or_else(|| panic!("there is no {series} in\n{}", self.text))
    }

    /// The labels of all series of this name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let of_name = |series: &&String| series.split('{').next() == Some(name);
        let found = self.samples.keys().filter(of_name);
        found.map(|series| series[name.len()..].trim_matches(['{', '}'])).collect()
    }

    /// Fails unless promtool finds nothing to say about it.
    pub(crate) fn please_promtool(&self) {
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool comes with the package prometheus; see .ci/test");
        promtool.stdin.take().unwrap().write_all(self.text.as_bytes()).unwrap();
        let output = promtool.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success() && said.is_empty(), "{said}\n{}", self.text);
    }
}

/// Names of the labels of a series.
fn labels(series: &str) -> impl Iterator<Item = String> {
    let inside = series.split_once('{').map_or("", |(_, rest)| rest.trim_end_matches('}'));
    let parts = inside.split("\",").filter(|part| !part.is_empty());
    parts.map(|part| part.split('=').next().unwrap().to_owned())
}

/// What the reference says: type and labels by name.
pub(crate) fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let page = include_str!("../../docs/reference/metrics.md");
    let rows = page.lines().filter(|line| line.starts_with("| `taskshed_"));
    let rows = rows.map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let labels = cells[3].split(", ").map(|word| word.trim_matches('`').to_owned());
        let labels = labels.filter(|word| !word.is_empty()).collect();
        (cells[1].trim_matches('`').to_owned(), (cells[2].to_owned(), labels))
    });
    rows.collect()
}
