//! Each scenario on each store, with many seeds: every run is a process of its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;

use crate::Arguments;
use crate::Failure;
use crate::checker::Figures;
use crate::checker::Judgement;
use crate::checker::check;
use crate::checker::history::read;
use crate::checker::report::sentence;
use crate::faults::Fault;
use crate::fleet::Kind;
use crate::report;
use crate::scenario::RANDOM;
use crate::scenario::Scenario;

/// After which a run counts as failed.
const PATIENCE: Duration = Duration::from_secs(240);

/// What one run found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// Id and sentence of each breach.
    pub(crate) broken: Vec<(String, String)>,
    pub(crate) figures: Figures,
}

/// What all runs of one scenario on one store found.
#[derive(Debug, Default)]
pub(crate) struct Row {
    /// By seed.
    pub(crate) runs: BTreeMap<u64, Summary>,
}

/// Scenarios by store and by name.
pub(crate) type Rows = BTreeMap<(Kind, String), Row>;

impl Summary {
    pub(crate) fn of(judgement: &Judgement) -> Self {
        let broken = &judgement.violations;
        Self {
            broken: broken.iter().map(|one| (one.id.to_owned(), sentence(one))).collect(),
            figures: judgement.figures.clone(),
        }
    }

    /// A run that did not come to its end.
    fn failed(what: String) -> Self {
        Self { broken: vec![("run".to_owned(), what)], ..Self::default() }
    }
}

/// Runs them all, and writes the report: 0 if all promises held, 1 if not.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let scenarios = scenarios(arguments);
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(Rows::new()));
    let (began, commit) = (SystemClock.steady(), report::commit());
    std::thread::scope(|scope| {
        for _ in 0..arguments.parallel.max(1) {
            scope.spawn(|| {
                while let Some(scenario) = scenarios.get(next.fetch_add(1, Relaxed)) {
                    let summary = play(arguments, scenario);
                    tell(scenario, &summary);
                    let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
                    let key = (scenario.kind, scenario.name.clone());
                    rows.entry(key).or_default().runs.insert(scenario.seed, summary);
                    keep(arguments, &rows, began, &commit);
                }
            });
        }
    });

    let rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    let took = SystemClock.steady().saturating_sub(began);
    let is_well = rows.values().flat_map(|row| row.runs.values()).all(|run| run.broken.is_empty());
    println!("{} runs in {} s, {}", scenarios.len(), took.as_secs(), verdict(is_well));
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Writes the report of what was found so far, so that a suite that is stopped leaves one.
fn keep(arguments: &Arguments, rows: &Rows, began: Duration, commit: &str) {
    let Some(path) = &arguments.report else { return };
    let took = SystemClock.steady().saturating_sub(began);
    let written =
        report::written(rows, took, commit).and_then(|page| Ok(std::fs::write(path, page)?));
    if let Err(fault) = written {
        eprintln!("{}: {fault}", path.display());
    }
}

pub(crate) fn verdict(is_well: bool) -> &'static str {
    if is_well { "all promises held" } else { "NOT all promises held" }
}

/// Seeds outermost, so that a suite that is stopped has run everything a few times.
fn scenarios(arguments: &Arguments) -> Vec<Scenario> {
    let kinds = if arguments.store.is_empty() { &Kind::ALL[..] } else { &arguments.store };
    let mut names = Vec::new();
    for name in Fault::ALL.map(Fault::name).into_iter().chain([RANDOM]) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut scenarios = Vec::new();
    for seed in arguments.seed..arguments.seed + arguments.seeds {
        for name in &names {
            for kind in kinds {
                let (name, kind, seconds) = ((*name).to_owned(), *kind, arguments.seconds);
                let url = None;
                scenarios.push(Scenario { name, kind, url, seed, seconds });
            }
        }
    }
    scenarios.retain(|scenario| !scenario.faults().is_empty());
    scenarios
}

/// Runs one, unless that was done before.
fn play(arguments: &Arguments, scenario: &Scenario) -> Summary {
    match try_play(arguments, scenario) {
        Ok(summary) => summary,
        Err(fault) => Summary::failed(fault.to_string()),
    }
}

fn try_play(arguments: &Arguments, scenario: &Scenario) -> Result<Summary, Failure> {
    std::fs::create_dir_all(&arguments.histories)?;
    let history = crate::scenario::history(&arguments.histories.canonicalize()?, scenario);
    let kept = history.with_extension("json");
    if arguments.resume && kept.exists() {
        return if history.exists() {
            let mut lines = read(BufReader::new(File::open(&history)?))?;
            Ok(Summary::of(&check(&mut lines)))
        } else {
            Ok(serde_json::from_reader(File::open(&kept)?)?)
        };
    }
    let summary = play_apart(arguments, scenario)?;
    std::fs::write(kept, serde_json::to_string(&summary)?)?;
    if summary.broken.is_empty() {
        std::fs::remove_file(history)?;
    }
    Ok(summary)
}

/// Runs one as a process of its own, and takes what it says at its end.
fn play_apart(arguments: &Arguments, scenario: &Scenario) -> Result<Summary, Failure> {
    let Scenario { name, kind, seed, seconds, .. } = scenario;
    let output = tempfile::NamedTempFile::new()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--json", "--store", &kind.to_string(), "--seed", &seed.to_string()]);
    command.args(["--seconds", &seconds.to_string()]);
    command.arg("--histories").arg(&arguments.histories);
    if name == RANDOM {
        command.arg("--random");
    } else {
        command.args(["--scenario", name]);
    }
    let streams = (output.reopen()?, output.reopen()?);
    let mut child = command.stdin(Stdio::null()).stdout(streams.0).stderr(streams.1).spawn()?;

    let patience = SystemClock.steady() + PATIENCE;
    let alarm = SystemClock.alarm();
    while child.try_wait()?.is_none() {
        if SystemClock.steady() > patience {
            child.kill()?;
            child.wait()?;
            return Err(format!("it did not end within {} s", PATIENCE.as_secs()).into());
        }
        alarm.wait(Some(SystemClock.steady() + Duration::from_millis(100)));
    }
    let text = std::fs::read_to_string(output.path())?;
    let found = text.lines().rev().find_map(|line| serde_json::from_str::<Summary>(line).ok());
    Ok(found.ok_or_else(|| text.lines().last().unwrap_or("it said nothing").to_owned())?)
}

fn tell(scenario: &Scenario, summary: &Summary) {
    let Scenario { name, kind, seed, .. } = scenario;
    let word = if summary.broken.is_empty() { "well" } else { "BROKEN" };
    println!("{word:<6} {kind:<8} {name:<18} seed {seed}");
    for (_, sentence) in &summary.broken {
        println!("       {sentence}");
    }
}
