//! Schedules that a file declares, and which of two files holds.
//!
//! A *set* is all schedules of one file. Its *edition* names it: two sets that differ have different
//! editions. What is [`InForce`] stands in the store beside the tasks; whoever leads compares it with
//! its own file:
//!
//! | the own file has | then it is |
//! |---|---|
//! | the edition in force | the same: what is missing or half done is put right |
//! | a higher revision | newer: it takes force, and what was before is forgotten |
//! | a lower revision | older: it changes nothing |
//! | the same revision, and an edition that was in force before | older: it changes nothing |
//! | the same revision, and an edition that never was in force | newer: it takes force |
//!
//! So an edition takes force at most once per revision, and revisions only grow. Two files can meet in
//! a cluster for as long as they like: each takes force once at most, and the later one stays.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::domain::draft::Draft;
use crate::domain::draft::Fault;
use crate::domain::id::Callback;
use crate::domain::id::QueueName;
use crate::domain::id::TaskId;
use crate::domain::json::InvalidKwargs;
use crate::domain::json::Kwargs;
use crate::domain::schedule::Schedule;
use crate::domain::state::TaskState;
use crate::domain::task::NewTask;
use crate::domain::task::Spec;
use crate::domain::task::TaskRecord;
use crate::domain::time::Moment;
use crate::domain::time::Timestamp;

/// What the id of a declared task begins with; the name of its schedule follows.
pub const ID_PREFIX: &str = "schedule:";

/// Most schedules of a set: as many as are read, with what is in force, by one call.
pub const SCHEDULES_MAX: usize = 999;

/// Most editions of one revision that are remembered. After that only a higher revision is taken.
pub const EDITIONS_MAX: usize = 10_000;

/// Where what is in force stands. No schedule can be called so.
const REGISTER: &str = "schedule::in-force";

/// Callback of the register, which nobody runs, and its queue.
const REGISTER_WORDS: (&str, &str) = ("taskshed.schedules", "schedules");

/// All schedules of one file.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// Beats every lower one, whatever was in force.
    pub revision: u64,
    /// Names the set: a digest of it.
    pub edition: String,
    /// The tasks, by their ids.
    pub tasks: BTreeMap<TaskId, Draft>,
}

/// The set that holds in a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// Its revision.
    pub revision: u64,
    /// Its edition.
    pub edition: String,
    /// Its tasks, those that are still to be removed included, and whether the file has each paused.
    pub tasks: BTreeMap<TaskId, bool>,
    /// Editions of this revision that were in force before.
    pub superseded: Vec<String>,
}

/// How a set stands to the one that is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is the same.
    Same,
    /// It takes its place.
    Newer,
    /// It was in force before, or has a lower revision.
    Older,
    /// The revision had too many editions to tell.
    Unclear,
}

/// What is to be done so that a set holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Steps {
    /// First: what is in force from now on, if that changes, and the tasks that are new or changed.
    pub add: Vec<NewTask>,
    /// Then: what is not declared any more.
    pub remove: Vec<TaskId>,
    /// Last: what is in force without them, if that changes.
    pub settle: Option<NewTask>,
}

/// The id of the task of a schedule.
#[must_use]
pub fn task_id(name: &str) -> String {
    format!("{ID_PREFIX}{name}")
}

/// The id of the task that keeps what is in force.
#[must_use]
pub fn register_id() -> TaskId {
    TaskId::parse(REGISTER).expect("it is short and without control characters")
}

impl InForce {
    /// Reads it from the task that keeps it; nothing if that is something else.
    #[must_use]
    pub fn read(register: &TaskRecord) -> Option<Self> {
        register.spec.kwargs.read().ok()
    }

    /// The task that keeps it: paused, so that nobody runs it.
    ///
    /// # Errors
    ///
    /// None that is known: names can be written as JSON.
    fn register(&self) -> Result<NewTask, InvalidKwargs> {
        let (callback, queue) = REGISTER_WORDS;
        let callback = Callback::parse(callback).expect("it is a callback");
        let mut spec = Spec::new(callback, Kwargs::of(self)?);
        spec.queue = QueueName::parse(queue).expect("it is a queue");
        let at_once = Moment::In(std::time::Duration::ZERO);
        Ok(NewTask {
            id: register_id(),
            id_chosen: true,
            spec: spec.into(),
            run_at: at_once,
            expires: None,
            paused: Some(at_once),
        })
    }
}

impl Declared {
    /// How this set stands to the one in force.
    #[must_use]
    pub fn standing(&self, in_force: Option<&InForce>) -> Standing {
        let Some(held) = in_force else { return Standing::Newer };
        if self.revision > held.revision {
            Standing::Newer
        } else if self.revision < held.revision {
            Standing::Older
        } else if self.edition == held.edition {
            Standing::Same
        } else if held.superseded.contains(&self.edition) {
            Standing::Older
        } else if held.superseded.len() >= EDITIONS_MAX {
            Standing::Unclear
        } else {
            Standing::Newer
        }
    }

    /// What is to be done at `now` so that this set holds, given what the store has: the register and
    /// the tasks of this set that exist.
    ///
    /// Only for a set that is [`Standing::Same`] or [`Standing::Newer`]. Taking the steps, or a part of
    /// them, and asking again leads to the same end.
    ///
    /// # Errors
    ///
    /// A cron expression that has no match any more, with the id of its task.
    pub fn steps(
        &self,
        register: Option<&TaskRecord>,
        found: &BTreeMap<TaskId, TaskRecord>,
        now: Timestamp,
    ) -> Result<Steps, Fault> {
        let held = register.and_then(InForce::read);
        let settled = self.settled(held.as_ref());
        let mut first = settled.clone();
        for (id, by_file) in held.iter().flat_map(|held| &held.tasks) {
            // What the task was added with stands there until the task is another one.
            first.tasks.insert(id.clone(), *by_file);
        }
        let remove = first.tasks.keys().filter(|id| !self.tasks.contains_key(*id));
        let remove: Vec<TaskId> = remove.cloned().collect();

        let is_whole = register
            .is_some_and(|task| task.state == TaskState::Scheduled && task.paused_at.is_some());
        let mut add = Vec::new();
        if !is_whole || held.as_ref() != Some(&first) {
            add.push(first.register().map_err(|error| Fault::new(REGISTER, error))?);
        }
        for (id, draft) in &self.tasks {
            let by_file = held.as_ref().and_then(|held| held.tasks.get(id).copied());
            let old = found.get(id);
            if !old.is_some_and(|old| is_as_declared(old, draft, by_file)) {
                add.push(renewed(id, draft, old, by_file, now)?);
            }
        }
        let settle = (settled != first).then(|| settled.register()).transpose();
        let settle = settle.map_err(|error| Fault::new(REGISTER, error))?;
        Ok(Steps { add, remove, settle })
    }

    /// What is in force when nothing is left to be done.
    fn settled(&self, held: Option<&InForce>) -> InForce {
        let superseded = match held.filter(|held| held.revision == self.revision) {
            None => Vec::new(),
            Some(held) if held.edition == self.edition => held.superseded.clone(),
            Some(held) => held.superseded.iter().cloned().chain([held.edition.clone()]).collect(),
        };
        let tasks = self.tasks.iter().map(|(id, draft)| (id.clone(), draft.is_paused()));
        InForce {
            revision: self.revision,
            edition: self.edition.clone(),
            tasks: tasks.collect(),
            superseded,
        }
    }
}

impl Steps {
    /// Whether all is as declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty() && self.settle.is_none()
    }
}

/// Whether a task is the one that the file has; `by_file` says whether it was added paused, if known.
fn is_as_declared(old: &TaskRecord, draft: &Draft, by_file: Option<bool>) -> bool {
    let is_paused_alike = match by_file {
        Some(by_file) => by_file == draft.is_paused(),
        None => old.paused_at.is_some() || !draft.is_paused(),
    };
    is_paused_alike && *old.spec == *draft.spec()
}

/// A task that takes the place of the one that the schedule had before, if it had one.
fn renewed(
    id: &TaskId,
    draft: &Draft,
    old: Option<&TaskRecord>,
    by_file: Option<bool>,
    now: Timestamp,
) -> Result<NewTask, Fault> {
    let mut task = draft
        .clone()
        .plan(id.clone(), now)
        .map_err(|fault| Fault::new(format!("{id}.{}", fault.field), fault.message))?;
    task.id_chosen = true;
    let Some(old) = old.filter(|old| !old.state.is_ended()) else { return Ok(task) };
    task.run_at = Moment::At(first_run(old, &task, now));
    let by_hand = old.paused_at.filter(|_| by_file != Some(true));
    task.paused = match task.paused {
        Some(_) => Some(old.paused_at.map_or(Moment::At(now), Moment::At)),
        None => by_hand.map(Moment::At),
    };
    Ok(task)
}

/// When a changed schedule runs first: its grid stays where that makes sense.
///
/// An occurrence that is due, runs or waits for a retry stays the next one, so that none is lost. A
/// planned time that lies ahead stays if the interval or the cron expression does. A new interval
/// counts from it, or from now if that is sooner; a new cron expression has its own matches.
fn first_run(old: &TaskRecord, task: &NewTask, now: Timestamp) -> Timestamp {
    let is_pending = old.state == TaskState::Running || old.planned_at <= now;
    if is_pending || old.spec.schedule == task.spec.schedule {
        return old.planned_at;
    }
    match &task.spec.schedule {
        Schedule::Interval(interval) => old.planned_at.min(now.plus(interval.every())),
        Schedule::Once | Schedule::Cron(_) => task.run_at.resolve(now),
    }
}

#[cfg(test)]
mod tests;
