//! Says whether a seed went well.

use std::collections::BTreeSet;

use crate::checker;
use crate::checker::Violation;
use crate::checker::history::Call;
use crate::checker::history::Event;
use crate::checker::report::explained;
use crate::missing::Missing;
use crate::run::History;
use crate::run::run;
use crate::server::Lost;

/// What holds also of tasks whose acknowledged changes a store lost that was not asked to keep them
/// through a failover.
const WHATEVER_IS_LOST: [&str; 4] = ["T2", "T4", "T10", "L1"];

/// Clocks that are worse than this are not what a node's idea of the store's clock is made for.
const DRIFT_MAX_PPM: u32 = 100;

/// What does not hold.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Ids of the invariants.
    pub(crate) ids: BTreeSet<&'static str>,
    /// The shortest explanation of the first one.
    pub(crate) explanation: String,
}

/// Plays a seed and judges it.
pub(crate) fn judge(seed: u64, missing: Missing) -> Result<(), Fault> {
    let mut history = run(seed, missing);
    judged(&mut history)
}

/// Judges a history.
pub(crate) fn judged(history: &mut History) -> Result<(), Fault> {
    let mut violations = checker::check(&mut history.lines).violations;
    let plan = &history.plan;
    violations.retain(|violation| match violation.id {
        "N4" => plan.only_tasks_kill(),
        // What a node knows of the store's clock is as good as its own clock is.
        "T8" | "S1" => plan.drift_ppm < DRIFT_MAX_PPM,
        _ => true,
    });
    if !violations.is_empty() && !history.lost.tasks.is_empty() {
        let lost = with_same_keys(history);
        violations.retain(|violation| counts(violation, &lost, &history.lost));
    }
    let Some(first) = violations.first() else { return Ok(()) };
    Err(Fault {
        ids: violations.iter().map(|violation| violation.id).collect(),
        explanation: explained(first, &history.lines),
    })
}

/// Whether the promise was given for what the violation is about.
fn counts(violation: &Violation, tasks: &BTreeSet<String>, lost: &Lost) -> bool {
    if WHATEVER_IS_LOST.contains(&violation.id) {
        return true;
    }
    match &violation.task {
        Some(task) => !tasks.contains(task),
        None => violation.id != "T5" || !lost.has_reclaim,
    }
}

/// The tasks that something was lost of, and those that share a unique key with one of them.
fn with_same_keys(history: &History) -> BTreeSet<String> {
    let adds = history.lines.iter().filter_map(|line| match &line.event {
        Event::Invoked { what: Call::Add { tasks, .. }, .. } => Some(tasks),
        _ => None,
    });
    let keyed: BTreeSet<(&str, &str)> = adds
        .flatten()
        .filter_map(|added| Some((added.unique_key.as_deref()?, added.task.as_str())))
        .collect();
    let is_lost = |task: &str| history.lost.tasks.contains(task);
    let keys: BTreeSet<&str> =
        keyed.iter().filter(|(_, task)| is_lost(task)).map(|(key, _)| *key).collect();
    let shared = keyed.iter().filter(|(key, _)| keys.contains(key));
    let mut tasks = history.lost.tasks.clone();
    tasks.extend(shared.map(|(_, task)| (*task).to_owned()));
    tasks
}
