//! What happened, for the summary to be computed from.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use crate::domain::id::TaskId;
use crate::domain::state::TaskState;
use crate::domain::time::Timestamp;
use crate::events::Event;
use crate::events::Run;

use super::tasks::SLOW;

/// What happened so far. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    facts: Arc<Mutex<Facts>>,
}

/// What is counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Runs that started and have not ended.
    open: Vec<Run>,
    /// How often an outcome was accepted, by task and planned time. A failure that is retried is none.
    pub(super) accepted: BTreeMap<(TaskId, Timestamp), u64>,
    /// Runs that a death cut short.
    pub(super) interrupted: Vec<Interrupted>,
    /// Failures that were retried.
    pub(super) failures: u64,
    /// Leaders in the order of their terms.
    pub(super) leaders: BTreeMap<u64, String>,
    /// Events that were missed because they came too fast.
    pub(super) missed: u64,
}

/// A run that a death cut short.
#[derive(Clone, Debug)]
pub(super) struct Interrupted {
    task: TaskId,
    planned_at: Timestamp,
    died_at: Duration,
    /// From the death to the start of the next run.
    pub(super) again_after: Option<Duration>,
}

impl History {
    /// Notes an event that was heard at `time`.
    pub(super) fn note(&self, event: &Event, time: Duration) {
        let mut facts = self.facts();
        match event {
            Event::Started { run, .. } => facts.start(run, time),
            Event::Ended { run, state, error, .. } => facts.end(run, *state, error.is_some()),
            Event::Stale { run } => facts.open.retain(|open| open != run),
            Event::LeaderChanged { node: Some(node), term } => {
                facts.leaders.insert(term.0, node.to_string());
            }
            _ => {}
        }
    }

    /// Notes that events were missed.
    pub(super) fn miss(&self, count: u64) {
        self.facts().missed += count;
    }

    /// Whether this is the first word of a term.
    pub(super) fn is_new_term(&self, term: u64) -> bool {
        !self.facts().leaders.contains_key(&term)
    }

    /// How many slow runs are under way on a node.
    pub(super) fn slow_runs_of(&self, node: &str) -> usize {
        let is_slow = |run: &&Run| run.node.as_str() == node && run.callback.as_str() == SLOW;
        self.facts().open.iter().filter(is_slow).count()
    }

    /// Notes that a node died at `time`, and names what it ran.
    pub(super) fn bury(&self, node: &str, time: Duration) -> Vec<String> {
        let mut facts = self.facts();
        let open = std::mem::take(&mut facts.open);
        let (dead, open): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|run| run.node.as_str() == node);
        facts.open = open;
        let interrupted = dead.iter().map(|run| Interrupted {
            task: run.task.clone(),
            planned_at: run.planned_at,
            died_at: time,
            again_after: None,
        });
        facts.interrupted.extend(interrupted);
        dead.into_iter().map(|run| run.task.to_string()).collect()
    }

    /// Whether a run is the one after a run that a death cut short.
    pub(super) fn was_interrupted(&self, run: &Run) -> bool {
        self.facts().interrupted.iter().any(|cut| cut.is_before(run))
    }

    /// How many runs that were cut short have not been made up for by one that was accepted.
    pub(super) fn interrupted_open(&self) -> usize {
        let facts = self.facts();
        let is_open =
            |cut: &&Interrupted| !facts.accepted.contains_key(&(cut.task.clone(), cut.planned_at));
        facts.interrupted.iter().filter(is_open).count()
    }

    /// All of it.
    pub(super) fn read(&self) -> Facts {
        self.facts().clone()
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Interrupted {
    /// Whether `run` takes its place.
    fn is_before(&self, run: &Run) -> bool {
        self.again_after.is_none() && self.task == run.task && self.planned_at == run.planned_at
    }
}

impl Facts {
    fn start(&mut self, run: &Run, time: Duration) {
        self.open.push(run.clone());
        if let Some(cut) = self.interrupted.iter_mut().find(|cut| cut.is_before(run)) {
            cut.again_after = Some(time.saturating_sub(cut.died_at));
        }
    }

    fn end(&mut self, run: &Run, state: TaskState, has_failed: bool) {
        self.open.retain(|open| open != run);
        if has_failed && state == TaskState::Scheduled {
            self.failures += 1;
        } else {
            *self.accepted.entry((run.task.clone(), run.planned_at)).or_default() += 1;
        }
    }
}
