//! When a claimer asks next.

use std::time::Duration;

use crate::config::Wake;
use crate::domain::time::Timestamp;
use crate::store::Claimed;

/// How long before their `run_at` tasks are claimed, at most.
pub(super) const CLAIM_AHEAD: Duration = Duration::from_millis(50);

/// A node that heard no hint asks after this long, ± 20 %, because hints may be lost.
const SAFETY_POLL: Duration = Duration::from_secs(5);

/// A store that gives no hints is asked this often when it was busy lately.
const ADAPTIVE_MIN: Duration = Duration::from_millis(5);

/// And this often when nothing was found for a while.
const ADAPTIVE_MAX: Duration = Duration::from_millis(500);

/// Claims in a row without a task, although something seemed due, after which the claimer slows down.
const FRUITLESS_FREE: u32 = 2;

/// Decides how long to wait, from what the last claims found.
#[derive(Debug)]
pub(super) struct Pace {
    wake: Wake,
    has_hints: bool,
    poll_every: Duration,
    fruitless: u32,
    has_backlog: bool,
    next: Next,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    /// There may be more right now.
    AtOnce,
    /// Nothing is due before this moment.
    At(Timestamp),
    /// Nothing is known to become due.
    Unknown,
}

impl Pace {
    /// The first claim is made at once.
    pub(super) fn new(wake: Wake) -> Self {
        let poll_every = ADAPTIVE_MIN;
        let (has_hints, has_backlog) = (true, false);
        Self { wake, has_hints, poll_every, fruitless: 0, has_backlog, next: Next::AtOnce }
    }

    /// Notes whether hints come.
    pub(super) fn set_hints(&mut self, has_hints: bool) {
        self.has_hints = has_hints;
    }

    /// Whether hints are wanted.
    pub(super) fn wants_hints(&self) -> bool {
        self.wake == Wake::EventDriven
    }

    /// Learns from the reply to a claim of `limit` tasks.
    pub(super) fn learn(&mut self, limit: usize, claimed: &Claimed) {
        let is_empty = claimed.tasks.is_empty();
        let horizon = claimed.now.plus(CLAIM_AHEAD);
        let seems_due = claimed.more || claimed.next_run_at.is_some_and(|at| at <= horizon);
        self.fruitless = if is_empty && seems_due { self.fruitless.saturating_add(1) } else { 0 };
        self.poll_every =
            if is_empty { (self.poll_every * 2).min(ADAPTIVE_MAX) } else { ADAPTIVE_MIN };
        self.has_backlog = claimed.tasks.len() == limit || claimed.more;
        self.next = if self.has_backlog {
            Next::AtOnce
        } else {
            claimed.next_run_at.map_or(Next::Unknown, Next::At)
        };
    }

    /// Notes that something may have become claimable.
    pub(super) fn hint(&mut self) {
        self.next = Next::AtOnce;
        self.fruitless = 0;
    }

    /// How long to wait when the store's clock shows `now`; `die` in `[0, 1)` spreads nodes.
    pub(super) fn wait(&self, now: Timestamp, die: f64) -> Duration {
        let known = match self.next {
            Next::AtOnce => self.brake(),
            Next::At(run_at) => {
                let ahead = CLAIM_AHEAD.mul_f64(1.0 - die / 2.0);
                run_at.since(now).saturating_sub(ahead).max(self.brake())
            }
            Next::Unknown => Duration::MAX,
        };
        match self.wake {
            Wake::Polling(_) if self.next == Next::AtOnce => known,
            Wake::Polling(every) => every,
            Wake::EventDriven if !self.has_hints => known.min(self.poll_every),
            Wake::EventDriven => known.min(SAFETY_POLL.mul_f64(0.8 + 0.4 * die)),
        }
    }

    /// Whether the last claim left tasks behind, as far as it could see.
    pub(super) fn has_backlog(&self) -> bool {
        self.has_backlog
    }

    /// Whether there may be more right now, and what was asked for last was there.
    pub(super) fn is_busy(&self) -> bool {
        self.next == Next::AtOnce && self.fruitless == 0
    }

    /// Whether something seems due and was not given, perhaps for want of room.
    pub(super) fn is_held_up(&self) -> bool {
        self.fruitless > 0 && self.next != Next::Unknown
    }

    /// What seems due and is not given, again and again, is asked for ever more slowly.
    fn brake(&self) -> Duration {
        match self.fruitless.saturating_sub(FRUITLESS_FREE) {
            0 => Duration::ZERO,
            over => Duration::from_millis(1 << over.min(9)).min(ADAPTIVE_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::EPOCH;

    fn empty(next_run_at: Option<Timestamp>) -> Claimed {
        Claimed {
            now: NOW,
            tasks: Vec::new(),
            next_run_at,
            more: false,
            isolate: false,
            corrupt: Vec::new(),
        }
    }

    #[test]
    fn a_node_sleeps_until_just_before_the_next_task() {
        let mut pace = Pace::new(Wake::EventDriven);
        pace.learn(8, &empty(Some(NOW.plus(Duration::from_secs(2)))));

        assert_eq!(pace.wait(NOW, 0.0), Duration::from_millis(1950));
        assert_eq!(pace.wait(NOW.plus(Duration::from_secs(3)), 0.0), Duration::ZERO);
    }

    #[test]
    fn a_lost_hint_is_covered_by_the_safety_poll() {
        let mut pace = Pace::new(Wake::EventDriven);
        pace.learn(8, &empty(None));

        assert_eq!(pace.wait(NOW, 0.0), Duration::from_secs(4));
        assert!(pace.wait(NOW, 0.999) < Duration::from_secs(6));
    }

    #[test]
    fn a_store_without_hints_is_asked_more_slowly_while_nothing_comes() {
        let mut pace = Pace::new(Wake::EventDriven);
        pace.set_hints(false);
        assert_eq!(pace.wait(NOW, 0.0), Duration::ZERO);

        let waits: Vec<_> = (0..9)
            .map(|_| {
                pace.learn(8, &empty(None));
                pace.wait(NOW, 0.0).as_millis()
            })
            .collect();

        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 500, 500, 500]);
    }

    #[test]
    fn a_node_that_found_nothing_for_long_is_there_when_the_next_task_is_due() {
        for has_hints in [true, false] {
            let mut pace = Pace::new(Wake::EventDriven);
            pace.set_hints(has_hints);
            let run_at = NOW.plus(Duration::from_millis(300));
            for _ in 0..20 {
                pace.learn(8, &empty(Some(run_at)));
            }

            assert_eq!(pace.wait(NOW, 0.0), Duration::from_millis(250));
        }
    }

    #[test]
    fn polling_asks_as_often_as_it_was_told() {
        let every = Duration::from_secs(3);
        let mut pace = Pace::new(Wake::Polling(every));
        pace.learn(8, &empty(Some(NOW.plus(Duration::from_secs(1)))));

        assert_eq!(pace.wait(NOW, 0.3), every);
    }

    #[test]
    fn what_seems_due_and_is_not_given_is_not_asked_for_in_a_busy_loop() {
        let mut pace = Pace::new(Wake::EventDriven);
        for _ in 0..20 {
            pace.learn(8, &empty(Some(NOW)));
        }
        assert_eq!(pace.wait(NOW, 0.0), ADAPTIVE_MAX);

        pace.hint();
        assert_eq!(pace.wait(NOW, 0.0), Duration::ZERO);
    }
}
