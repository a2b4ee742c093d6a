//! What happened, for the summary to be computed from.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::id::TaskId;
use crate::domain::time::Timestamp;

use super::note::Note;
use super::note::Run;
use super::note::What;
use super::tasks::SLOW;

/// What happened so far.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Runs that started and have not ended, and when they did.
    open: Vec<(Run, Timestamp)>,
    /// How often a task came to its end, by planned time.
    pub(super) ended: BTreeMap<(TaskId, Timestamp), u64>,
    /// Runs that a death cut short.
    pub(super) interrupted: Vec<Interrupted>,
    /// Attempts that failed.
    pub(super) failures: u64,
    /// Leaders, one after the other.
    pub(super) leaders: Vec<String>,
}

/// A run that a death cut short.
#[derive(Debug)]
pub(super) struct Interrupted {
    run: Run,
    died_at: Timestamp,
    /// From the death to the start of the next run.
    pub(super) again_after: Option<Duration>,
}

impl History {
    /// Takes note of what a run wrote; answers how long it took if it is over, and whether it is the
    /// one after a run that was cut short.
    pub(super) fn note(&mut self, note: &Note) -> (Duration, bool) {
        if note.what == What::Started {
            self.open.push((note.run.clone(), note.at));
            let cut = self.interrupted.iter_mut().find(|cut| cut.is_before(&note.run));
            if let Some(cut) = cut {
                cut.again_after = Some(note.at.since(cut.died_at));
                return (Duration::ZERO, true);
            }
            return (Duration::ZERO, false);
        }

        let at = self.open.iter().position(|(open, _)| *open == note.run);
        let took = at.map(|at| note.at.since(self.open.swap_remove(at).1));
        match note.what {
            What::Failed => self.failures += 1,
            _ => *self.ended.entry((note.run.task.clone(), note.run.planned_at)).or_default() += 1,
        }
        (took.unwrap_or_default(), false)
    }

    /// Takes note of who leads; answers whether that is news.
    pub(super) fn lead(&mut self, node: &str) -> bool {
        if self.leaders.last().is_some_and(|last| last == node) {
            return false;
        }
        self.leaders.push(node.to_owned());
        true
    }

    /// How many slow runs are under way on a node.
    pub(super) fn slow_runs_of(&self, node: &str) -> usize {
        let is_slow = |run: &Run| run.node.as_str() == node && run.callback.as_str() == SLOW;
        self.open.iter().filter(|(run, _)| is_slow(run)).count()
    }

    /// Takes note that a node died, and names what it ran.
    pub(super) fn bury(&mut self, node: &str, died_at: Timestamp) -> Vec<String> {
        let (dead, open): (Vec<_>, Vec<_>) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|(run, _)| run.node.as_str() == node);
        self.open = open;
        let names = dead.iter().map(|(run, _)| run.task.to_string()).collect();
        self.interrupted.extend(dead.into_iter().map(|(run, _)| Interrupted {
            run,
            died_at,
            again_after: None,
        }));
        names
    }

    /// How many runs that were cut short have not been made up for by one that came to its end.
    pub(super) fn interrupted_open(&self) -> usize {
        let is_open = |cut: &&Interrupted| {
            !self.ended.contains_key(&(cut.run.task.clone(), cut.run.planned_at))
        };
        self.interrupted.iter().filter(is_open).count()
    }
}

impl Interrupted {
    /// Whether `run` takes its place.
    fn is_before(&self, run: &Run) -> bool {
        let is_same = self.run.task == run.task && self.run.planned_at == run.planned_at;
        self.again_after.is_none() && is_same
    }
}
