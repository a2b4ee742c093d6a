//! Counts which task ran how often.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::cli::output;
use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::domain::time::format_duration;

/// How often it is looked for progress while it is waited for.
const LOOKS: u32 = 30;

/// How often each of the tasks `0..count` ran. Handlers of several nodes share it.
#[derive(Debug)]
pub(super) struct Tally {
    runs: Vec<AtomicU32>,
    /// Tasks that ran at least once.
    ran: AtomicUsize,
    /// Runs of what is none of these tasks.
    strange: AtomicUsize,
    all_ran: CancellationToken,
}

/// What is wrong with tasks that were to run once each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// Tasks that never ran, or that a store did not have though it said so.
    pub(super) lost: usize,
    /// Tasks that ran more than once, or that a store had without being asked.
    pub(super) twice: usize,
    /// Tasks that ran and were still in the store when all outcomes were: they would run again.
    pub(super) left: usize,
}

impl Tally {
    pub(super) fn of(count: usize) -> Self {
        let all_ran = CancellationToken::new();
        if count == 0 {
            all_ran.cancel();
        }
        let runs = (0..count).map(|_| AtomicU32::new(0)).collect();
        Self { runs, ran: AtomicUsize::new(0), strange: AtomicUsize::new(0), all_ran }
    }

    /// Counts a run of this task.
    pub(super) fn note(&self, task: usize) {
        let Some(runs) = self.runs.get(task) else {
            self.strange.fetch_add(1, Relaxed);
            return;
        };
        if runs.fetch_add(1, Relaxed) == 0 && self.ran.fetch_add(1, Relaxed) + 1 == self.runs.len()
        {
            self.all_ran.cancel();
        }
    }

    /// Returns when each task has run, when `stop` is cancelled, or when no further one has run for
    /// as long as `patience`.
    pub(super) async fn settled(&self, patience: Duration, stop: &CancellationToken) {
        let (mut ran, mut idle_looks) = (0, 0);
        while idle_looks < LOOKS {
            tokio::select! {
                biased;
                () = self.all_ran.cancelled() => return,
                () = stop.cancelled() => return,
                () = SystemClock.sleep(patience / LOOKS) => {}
            }
            let before = std::mem::replace(&mut ran, self.ran.load(Relaxed));
            idle_looks = if before == ran { idle_looks + 1 } else { 0 };
        }
        let (waited, all) = (format_duration(patience), self.runs.len());
        output::note(&format!("nothing more ran for {waited}: {ran} of {all} tasks did"));
    }

    /// What went wrong, with `left` tasks still in the store.
    pub(super) fn faults(&self, left: usize) -> Faults {
        let ran = |runs: &AtomicU32| runs.load(Relaxed);
        let lost = self.runs.iter().filter(|runs| ran(runs) == 0).count();
        let twice = self.runs.iter().filter(|runs| ran(runs) > 1).count();
        let twice = twice + self.strange.load(Relaxed);
        // What never ran may well be among what is left; it is lost already.
        Faults { lost, twice, left: left.saturating_sub(lost) }
    }
}

impl Faults {
    /// What is wrong with a store that was given `added` tasks and has `found`.
    pub(super) fn of_adds(added: usize, found: usize) -> Self {
        let (lost, twice) = (added.saturating_sub(found), found.saturating_sub(added));
        Self { lost, twice, left: 0 }
    }

    /// These and others.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            lost: self.lost + other.lost,
            twice: self.twice + other.twice,
            left: self.left + other.left,
        }
    }

    pub(super) fn is_none(self) -> bool {
        self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(count: usize, runs: &[usize]) -> Tally {
        let tally = Tally::of(count);
        for task in runs {
            tally.note(*task);
        }
        tally
    }

    #[test]
    fn tasks_that_ran_once_each_are_no_faults() {
        let tally = after(3, &[2, 0, 1]);

        assert!(tally.all_ran.is_cancelled());
        assert!(tally.faults(0).is_none());
    }

    #[test]
    fn what_never_ran_is_lost_and_what_ran_again_is_not_in_its_place() {
        let tally = after(3, &[0, 1, 1, 1]);

        assert!(!tally.all_ran.is_cancelled());
        assert_eq!(tally.faults(0), Faults { lost: 1, twice: 1, left: 0 });
    }

    #[test]
    fn a_task_that_nobody_added_counts_as_run_too_often() {
        assert_eq!(after(1, &[0, 1]).faults(0), Faults { lost: 0, twice: 1, left: 0 });
    }

    #[test]
    fn what_is_left_in_the_store_is_told_apart_from_what_is_lost() {
        assert_eq!(after(2, &[0]).faults(1), Faults { lost: 1, twice: 0, left: 0 });
        assert_eq!(after(2, &[0, 1]).faults(1), Faults { lost: 0, twice: 0, left: 1 });
    }

    #[test]
    fn adds_are_held_against_what_is_there() {
        assert!(Faults::of_adds(5, 5).is_none());
        assert_eq!(Faults::of_adds(5, 4), Faults { lost: 1, twice: 0, left: 0 });
        assert_eq!(Faults::of_adds(5, 6), Faults { lost: 0, twice: 1, left: 0 });
    }

    #[tokio::test]
    async fn who_waits_for_what_never_runs_waits_no_longer_than_told() {
        let tally = after(2, &[0]);

        tally.settled(Duration::from_millis(1), &CancellationToken::new()).await;

        assert_eq!(tally.faults(0).lost, 1);
    }
}
