//! Who runs next.
//!
//! Runs wait here, in the order in which they came, for *executors*, of which a node has at most one
//! for each slot. An executor takes the next run when its last one has ended, so short runs cost no
//! task of the runtime each, and ends when there is none.
//!
//! While runs are short a node claims more tasks than it has slots, so that the store works while
//! they run. How many more is reckoned from the runs that ended lately: no more than are likely to
//! start within [`SOON`]. Where that was wrong, what has waited for [`LATE`] goes back to the store,
//! where other nodes find it.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use crate::clock::Clock;

/// Within this time a task is to start for which there is no slot yet.
const SOON: Duration = Duration::from_millis(25);

/// A task that has waited so long for a slot is handed back.
const LATE: Duration = Duration::from_millis(100);

/// For so long after that no task is claimed for which there is no slot.
const ONCE_BITTEN: Duration = Duration::from_secs(1);

/// How often it is reckoned anew how many may be claimed beyond the slots.
const RECKONED_EVERY: Duration = Duration::from_millis(10);

/// Most tasks beyond the slots of a node that has few: enough for two large batches, of which one runs
/// as the other comes. Where there are many slots, these are room enough.
const BEYOND_MAX: usize = 500;

/// Most executors that are started in one go, before the runtime has done what else there is.
const STARTED_AT_ONCE: usize = 8;

/// The runs of a node that wait for an executor, and how many of those may be started.
#[derive(Debug)]
pub(super) struct Line<R> {
    slots: usize,
    state: Mutex<State<R>>,
}

#[derive(Debug)]
struct State<R> {
    /// Slots without an executor.
    free: usize,
    /// Executors that have not begun.
    starting: usize,
    /// With the steady counts at which they came.
    waiting: VecDeque<(Duration, R)>,
    is_closed: bool,
    lately: Lately,
    beyond: usize,
}

/// What ended since a steady count.
#[derive(Debug, Default)]
struct Lately {
    since: Duration,
    ended: usize,
    /// How long they took together.
    took: Duration,
}

/// What is to be started for the runs of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Starts {
    pub(super) executors: usize,
    /// Whether more are to be started after these.
    pub(super) are_more: bool,
}

impl<R> Line<R> {
    /// A line before so many slots.
    pub(super) fn new(slots: usize) -> Self {
        let state = State {
            free: slots,
            starting: 0,
            waiting: VecDeque::new(),
            is_closed: false,
            lately: Lately::default(),
            beyond: 0,
        };
        Self { slots, state: Mutex::new(state) }
    }

    /// Puts runs at the end. Then [`Line::start`] is to be asked. Answers those that came after
    /// [`Line::close`].
    pub(super) fn enter(&self, runs: Vec<R>, now: Duration) -> Vec<R> {
        let mut state = self.lock();
        if state.is_closed {
            return runs;
        }
        state.waiting.extend(runs.into_iter().map(|run| (now, run)));
        Vec::new()
    }

    /// Takes slots for executors that are to be started for what waits.
    ///
    /// Few at once: if runs are short these have done all before more would have begun.
    pub(super) fn start(&self) -> Starts {
        let mut state = self.lock();
        let wanted = state.waiting.len().saturating_sub(state.starting).min(state.free);
        let executors = wanted.min(STARTED_AT_ONCE);
        state.free -= executors;
        state.starting += executors;
        Starts { executors, are_more: wanted > executors }
    }

    /// The first run of an executor. Without one its slot is free again.
    pub(super) fn begin(&self) -> Option<R> {
        let mut state = self.lock();
        state.starting -= 1;
        state.next()
    }

    /// The next run of an executor, whose last one `took` so long. Without one its slot is free again.
    pub(super) fn next(&self, took: Duration) -> Option<R> {
        let mut state = self.lock();
        state.lately.ended += 1;
        state.lately.took += took;
        state.next()
    }

    /// How many tasks more than there are slots may be claimed now, if there is work for them.
    pub(super) fn beyond(&self, now: Duration) -> usize {
        let mut state = self.lock();
        if state.lately.since > now {
            return 0;
        }
        let length = now.saturating_sub(state.lately.since);
        if length >= RECKONED_EVERY {
            state.beyond = state.lately.forecast(self.slots, length, state.waiting.len());
            state.lately = Lately { since: now, ..Lately::default() };
        }
        state.beyond
    }

    /// Returns when some have waited too long for a slot, and takes them out.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and asked again.
    pub(super) async fn late(&self, clock: &dyn Clock) -> Vec<R> {
        loop {
            let now = clock.steady();
            let (late, look_at) = self.take_late(now);
            if !late.is_empty() {
                return late;
            }
            clock.sleep(look_at.saturating_sub(now)).await;
        }
    }

    /// Lets nothing wait from here on, and takes out what does.
    pub(super) fn close(&self) -> Vec<R> {
        let mut state = self.lock();
        state.is_closed = true;
        state.waiting.drain(..).map(|(_, run)| run).collect()
    }

    /// Takes out what has waited too long; answers, too, when that may next be.
    fn take_late(&self, now: Duration) -> (Vec<R>, Duration) {
        let mut state = self.lock();
        let mut late = Vec::new();
        if state.free == 0 {
            while state.waiting.front().is_some_and(|(since, _)| *since + LATE <= now) {
                late.extend(state.waiting.pop_front().map(|(_, run)| run));
            }
        }
        if !late.is_empty() {
            state.beyond = 0;
            state.lately = Lately { since: now + ONCE_BITTEN, ..Lately::default() };
        }
        let first = state.waiting.front().filter(|_| state.free == 0);
        (late, first.map_or(now, |(since, _)| *since) + LATE)
    }

    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R> State<R> {
    /// The next run of an executor, or its slot.
    fn next(&mut self) -> Option<R> {
        let next = self.waiting.pop_front();
        if next.is_none() {
            self.free += 1;
        }
        next.map(|(_, run)| run)
    }
}

impl Lately {
    /// How many tasks more than `slots` may be claimed, beside those that are `waiting`, if all goes
    /// on as in this `length` of time.
    ///
    /// Both by how many ended, which counts only slots that became free, and by how long they took,
    /// because long runs that began together end together.
    fn forecast(&self, slots: usize, length: Duration, waiting: usize) -> usize {
        let soon = |runs: usize, time: Duration| {
            let runs = u128::try_from(runs).unwrap_or(u128::MAX);
            let soon = runs.saturating_mul(SOON.as_micros()) / time.as_micros().max(1);
            usize::try_from(soon).unwrap_or(usize::MAX)
        };
        let by_rate = soon(self.ended, length).saturating_sub(waiting);
        let by_time = soon(self.ended.saturating_mul(slots), self.took);
        by_rate.min(by_time).min(BEYOND_MAX.saturating_sub(slots / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn forecast(ended: usize, each: Duration, waiting: usize) -> usize {
        let took = each * u32::try_from(ended).unwrap();
        let lately = Lately { ended, took, ..Lately::default() };
        lately.forecast(10, MS * 10, waiting)
    }

    #[test]
    fn as_many_are_claimed_beyond_the_slots_as_start_soon() {
        assert_eq!(forecast(0, MS, 0), 0);
        assert_eq!(forecast(10, MS, 0), 25, "one a millisecond");
        assert_eq!(forecast(10, MS, 20), 5, "of which some are there");
        assert_eq!(forecast(10, MS, 30), 0);
        assert_eq!(forecast(10, MS * 50, 0), 5, "long runs that ended together");
        assert_eq!(forecast(10, MS * 10_000, 0), 0);
        assert_eq!(forecast(10_000, Duration::ZERO, 0), BEYOND_MAX - 5);
    }

    #[test]
    fn executors_are_started_few_at_a_time_and_never_more_than_slots() {
        let line: Line<u32> = Line::new(10);
        assert_eq!(line.start(), Starts { executors: 0, are_more: false });
        assert!(line.enter((0..12).collect(), MS).is_empty());
        assert_eq!(line.start(), Starts { executors: 8, are_more: true });
        assert_eq!(line.start(), Starts { executors: 2, are_more: false });
        for run in 0..10 {
            assert_eq!(line.begin(), Some(run));
        }
        assert_eq!(line.start(), Starts { executors: 0, are_more: false });
        assert_eq!([line.next(MS), line.next(MS)], [Some(10), Some(11)]);
        assert_eq!(line.next(MS), None, "its slot is free");
        assert!(line.enter(vec![12, 13], MS).is_empty());
        assert_eq!(line.start(), Starts { executors: 1, are_more: false });
    }

    #[test]
    fn what_waits_late_for_a_slot_is_taken_out_and_nothing_claimed_beyond_for_a_while() {
        let line: Line<u32> = Line::new(1);
        assert!(line.enter(vec![0, 1], MS).is_empty());
        assert!(line.take_late(LATE * 2).0.is_empty(), "there is a slot");
        assert_eq!(line.start().executors, 1);
        assert_eq!(line.begin(), Some(0));
        assert!(line.enter(vec![2], LATE).is_empty());

        assert_eq!(line.take_late(LATE + MS), (vec![1], LATE * 2));
        line.lock().lately.ended += 100;
        assert_eq!(line.beyond(LATE + ONCE_BITTEN / 2), 0);
        assert!(line.beyond(LATE + MS * 20 + ONCE_BITTEN) > 0);

        assert_eq!(line.close(), [2]);
        assert_eq!(line.enter(vec![3], LATE), [3], "it is handed back");
    }
}
