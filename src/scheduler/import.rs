//! Tasks of the Python library `TaskShed`, in a store of ours.

use std::collections::HashSet;
use std::time::Duration;

use crate::domain::draft::Fault;
use crate::domain::draft::Task;
use crate::domain::id::Callback;
use crate::domain::id::TaskId;
use crate::domain::json::Kwargs;
use crate::domain::schedule::Interval;
use crate::domain::time::Timestamp;
use crate::store;
use crate::store::Existing;
use crate::store::python::PythonTask;
use crate::store::python::PythonTasks;
use crate::store::python::Unit;

use super::ADD_AGAIN_AFTER;
use super::ADD_TRIES;
use super::BATCH_BYTES_MAX;
use super::CopyError;
use super::Error;
use super::Outcome;
use super::Scheduler;
use super::batch;

/// How long an imported task that runs once is kept when it has completed, so that the same import
/// again finds it and does not run it twice.
pub const IMPORTED_KEPT: Duration = Duration::from_secs(7 * 86_400);

/// Most bytes of arguments that go into one add; the rest of a task is small.
const BYTES_MAX: usize = BATCH_BYTES_MAX / 4;

/// What became of the tasks of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// How many were added.
    pub imported: u64,
    /// How many were there already, and stayed as they were.
    pub kept: u64,
    /// Tasks that cannot be tasks here, and why.
    pub refused: Vec<(String, String)>,
}

/// A page of tasks, sound ones and others.
#[derive(Default)]
struct Sorted {
    tasks: Vec<Task>,
    refused: Vec<(String, String)>,
}

impl Scheduler {
    /// Adds all tasks of a data store of the Python library; what has the same id here is kept.
    ///
    /// Stop its workers first. It may be repeated: recurring tasks are found by their ids, those that
    /// run once for [`IMPORTED_KEPT`] after they have completed.
    ///
    /// After each batch `told` is given what was done so far. Cost: some round trips per 200 tasks, and
    /// memory for all ids.
    ///
    /// # Errors
    ///
    /// [`CopyError`] after [`ADD_TRIES`] tries; what was added so far stays.
    pub async fn import(
        &self,
        from: &mut dyn PythonTasks,
        mut told: impl FnMut(&Imported),
    ) -> Result<Imported, CopyError> {
        let (mut imported, mut seen) = (Imported::default(), HashSet::new());
        while let Some(page) = self.page(from, &mut seen).await? {
            imported.refused.extend(page.refused);
            for tasks in batch::parts(page.tasks, BYTES_MAX, bytes) {
                let ids: Vec<_> = tasks.iter().map(id_of).collect();
                match self.add_all(tasks, Existing::Keep).await {
                    Ok(added) => added.iter().for_each(|added| match added.outcome {
                        Outcome::Created | Outcome::Replaced => imported.imported += 1,
                        Outcome::Kept | Outcome::Duplicate => imported.kept += 1,
                    }),
                    Err(Error::Store(error)) => return Err(CopyError::To(error)),
                    Err(refused) => {
                        let why = refused.to_string();
                        imported.refused.extend(ids.into_iter().map(|id| (id, why.clone())));
                    }
                }
                told(&imported);
            }
        }
        Ok(imported)
    }

    /// What [`Scheduler::import`] would do; nothing is written.
    ///
    /// Cost: some round trips per 200 tasks.
    ///
    /// # Errors
    ///
    /// [`CopyError`] after [`ADD_TRIES`] tries.
    pub async fn would_import(
        &self,
        from: &mut dyn PythonTasks,
        mut told: impl FnMut(&Imported),
    ) -> Result<Imported, CopyError> {
        let (mut imported, mut seen) = (Imported::default(), HashSet::new());
        while let Some(page) = self.page(from, &mut seen).await? {
            imported.refused.extend(page.refused);
            let ids: Vec<TaskId> =
                page.tasks.iter().filter_map(|task| task.chosen_id().cloned()).collect();
            let there = self.which_exist(ids).await.map_err(CopyError::To)?;
            for task in &page.tasks {
                let is_there = task.chosen_id().is_some_and(|id| there.contains(id));
                *if is_there { &mut imported.kept } else { &mut imported.imported } += 1;
            }
            told(&imported);
        }
        Ok(imported)
    }

    async fn page(
        &self,
        from: &mut dyn PythonTasks,
        seen: &mut HashSet<String>,
    ) -> Result<Option<Sorted>, CopyError> {
        let mut wait = ADD_AGAIN_AFTER;
        let mut tries = 1;
        let page = loop {
            match from.next().await {
                Ok(page) => break page,
                Err(store::Error::Unavailable { .. }) if tries < ADD_TRIES => {
                    self.clock.sleep(wait).await;
                    (wait, tries) = (wait * 2, tries + 1);
                }
                Err(error) => return Err(CopyError::From(error)),
            }
        };
        let Some(page) = page else { return Ok(None) };
        let mut sorted = Sorted::default();
        for found in page.into_iter().filter(|found| seen.insert(found.id.clone())) {
            let checked = task_of(&found)
                .and_then(|task| task.clone().check(self.kwargs_bytes_max).map(|_| task));
            match checked {
                Ok(task) => sorted.tasks.push(task),
                Err(faults) => {
                    let why: Vec<_> = faults.iter().map(Fault::to_string).collect();
                    sorted.refused.push((found.id, why.join("; ")));
                }
            }
        }
        Ok(Some(sorted))
    }
}

fn id_of(task: &Task) -> String {
    task.chosen_id().map(ToString::to_string).unwrap_or_default()
}

fn bytes(task: &Task) -> usize {
    task.kwargs().as_str().len()
}

/// The task that this one becomes, or all that keeps it from being one.
fn task_of(found: &PythonTask) -> Result<Task, Vec<Fault>> {
    let mut faults = Vec::new();
    for name in ["callback", "kwargs", "run_at", "run_type"] {
        if !found.fields.contains_key(name) {
            faults.push(Fault::new(name, "is missing: it was written by nobody, or in part"));
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let field = |name: &str| found.fields.get(name).map(String::as_str).filter(|it| !it.is_empty());
    let text = |name: &str| field(name).unwrap_or_default();

    let callback = Callback::parse(text("callback"));
    let callback = sound(&mut faults, "callback", callback);
    let kwargs = sound(&mut faults, "kwargs", Kwargs::parse(text("kwargs")));
    let run_at = sound(&mut faults, "run_at", moment(text("run_at"), found.unit));
    let paused_at = field("paused_at").map(|text| moment(text, found.unit));
    let paused_at = paused_at.and_then(|moment| sound(&mut faults, "paused_at", moment));
    let every = match text("run_type") {
        "once" => None,
        "recurring" => sound(&mut faults, "interval", interval(text("interval"))),
        _ => {
            faults.push(Fault::new("run_type", "is neither once nor recurring"));
            None
        }
    };
    let (Some(callback), Some(kwargs), Some(run_at)) = (callback, kwargs, run_at) else {
        return Err(faults);
    };
    if !faults.is_empty() {
        return Err(faults);
    }

    let mut task = Task::of(callback, kwargs).id(field("task_id").unwrap_or(&found.id));
    task = task.run_at(run_at);
    task = match every {
        Some(every) => task.every(every.every()),
        None => task.retention(IMPORTED_KEPT),
    };
    if let Some(group) = field("group_id") {
        task = task.group(group);
    }
    if field("coalesce") == Some("0") {
        task = task.catch_up();
    }
    if field("paused").is_some_and(|flag| flag != "0") {
        task = task.paused();
        task = paused_at.into_iter().fold(task, Task::paused_at);
    }
    Ok(task)
}

/// What was read of a field, or nothing and a fault more.
fn sound<T>(faults: &mut Vec<Fault>, name: &str, read: Result<T, impl ToString>) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(why) => {
            faults.push(Fault::new(name, why.to_string()));
            None
        }
    }
}

/// Seconds as the library writes them.
fn interval(text: &str) -> Result<Interval, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is not a number of seconds"))?;
    Interval::try_from(seconds).map_err(|error| error.to_string())
}

fn moment(text: &str, unit: Unit) -> Result<Timestamp, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    let number = number.ok_or_else(|| format!("{text:?} is not a moment"))?;
    let us = match unit {
        Unit::Seconds => (number * 1e6).round(),
        Unit::Micros => number,
    };
    #[expect(clippy::cast_precision_loss, reason = "the bound is far from where it matters")]
    let max_us = Timestamp::MAX.as_us() as f64;
    if !(0.0..=max_us).contains(&us) {
        return Err(format!("{text} is outside the years 1970 to 2255"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is whole, and inside the range")]
    let us = us as i64;
    Ok(Timestamp::from_us(us))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(change: &[(&str, Option<&str>)]) -> PythonTask {
        let mut fields: std::collections::BTreeMap<String, String> = [
            ("task_id", "Task 0"),
            ("callback", "mail"),
            ("kwargs", "{\"a\":1.50}"),
            ("run_at", "1764000000.123457"),
            ("run_type", "once"),
            ("paused", "0"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        for (name, value) in change {
            match value {
                Some(value) => drop(fields.insert((*name).into(), (*value).into())),
                None => drop(fields.remove(*name)),
            }
        }
        PythonTask { id: "Task 0".into(), fields, unit: Unit::Seconds }
    }

    #[test]
    fn an_old_record_without_later_fields_is_a_task() {
        let draft = task_of(&found(&[])).unwrap().check(usize::MAX).unwrap();
        let fresh = TaskId::parse("x").unwrap();
        let task = draft.plan(fresh, Timestamp::EPOCH).unwrap();

        assert_eq!(task.id.as_str(), "Task 0");
        assert_eq!(task.run_at.resolve(Timestamp::EPOCH).as_us(), 1_764_000_000_123_457);
        assert_eq!(task.spec.kwargs.as_str(), "{\"a\":1.50}");
        assert!(task.spec.coalesce && task.paused.is_none());
    }

    #[test]
    fn what_cannot_be_a_task_here_says_why() {
        for (change, field) in [
            (&[("callback", None)][..], "callback"),
            (&[("kwargs", Some("{\"x\":NaN}"))], "kwargs"),
            (&[("run_at", Some("inf"))], "run_at"),
            (&[("run_at", Some("-1.5"))], "run_at"),
            (&[("run_at", Some("99999999999"))], "run_at"),
            (&[("run_type", Some("None"))], "run_type"),
            (&[("run_type", Some("recurring"))], "interval"),
            (&[("run_type", Some("recurring")), ("interval", Some("1e-06"))], "interval"),
            (&[("task_id", Some("a\nb"))], "task_id"),
            (&[("group_id", Some("a\nb"))], "group_id"),
            (&[("paused", Some("1")), ("paused_at", Some("x"))], "paused_at"),
        ] {
            let checked = task_of(&found(change)).and_then(|task| task.check(usize::MAX));
            let faults = checked.unwrap_err();
            assert_eq!(faults[0].field, field, "{faults:?}");
        }
    }

    #[test]
    fn an_interval_of_what_runs_once_means_nothing() {
        let task = task_of(&found(&[("interval", Some("5.0"))])).unwrap();

        let draft = task.check(usize::MAX).unwrap();
        assert!(!draft.spec().schedule.is_recurring());
        assert_eq!(draft.spec().retention, IMPORTED_KEPT);
    }
}
