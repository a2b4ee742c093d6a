//! When a worker that waits is looked for again.

use std::time::Duration;

use crate::store::Claimed;

/// One that heard no hint is looked for after this long, ± 20 %, because hints may be lost.
const SAFETY_POLL: Duration = Duration::from_secs(5);

/// On a store that gives no hints, the first wait between two looks; it doubles.
const POLL_MIN: Duration = Duration::from_millis(10);

/// And the longest.
const POLL_MAX: Duration = Duration::from_millis(500);

/// Looks in a row without a task, although something seemed due, after which they get slower.
const FRUITLESS_FREE: u32 = 2;

/// Decides how long to wait between two looks for one worker.
#[derive(Debug, Default)]
pub(super) struct Pace {
    looks: u32,
    fruitless: u32,
}

impl Pace {
    /// Notes a hint: the next look is free.
    pub(super) fn hint(&mut self) {
        self.fruitless = 0;
    }

    /// How long to wait after a claim that gave nothing; `None`: it was not answered. `die` in `[0, 1)`
    /// spreads those who wait.
    pub(super) fn wait(
        &mut self,
        claimed: Option<&Claimed>,
        has_hints: bool,
        die: f64,
    ) -> Duration {
        self.looks = self.looks.saturating_add(1);
        let poll = POLL_MIN.saturating_mul(1 << self.looks.min(10)).min(POLL_MAX);
        let longest = if has_hints { SAFETY_POLL.mul_f64(0.8 + 0.4 * die) } else { poll };
        let Some(claimed) = claimed else { return poll };
        let until_next = claimed.next_run_at.map(|at| at.since(claimed.now));
        let is_due = claimed.more || until_next.is_some_and(|left| left.is_zero());
        if !is_due {
            return until_next.map_or(longest, |left| left.min(longest));
        }

        self.fruitless = self.fruitless.saturating_add(1);
        match self.fruitless.saturating_sub(FRUITLESS_FREE) {
            0 => Duration::ZERO,
            over => Duration::from_millis(1 << over.min(9)).min(POLL_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn nothing(next_ms: Option<u64>) -> Claimed {
        let now = Timestamp::EPOCH;
        let next_run_at = next_ms.map(|ms| now.plus(Duration::from_millis(ms)));
        Claimed { next_run_at, ..Claimed::nothing(now) }
    }

    #[test]
    fn who_waits_sleeps_until_the_next_task() {
        let mut pace = Pace::default();

        assert_eq!(pace.wait(Some(&nothing(Some(2000))), true, 0.0), Duration::from_secs(2));
        assert_eq!(pace.wait(Some(&nothing(None)), true, 0.0), Duration::from_secs(4));
        assert_eq!(pace.wait(Some(&nothing(Some(60_000))), true, 0.5), SAFETY_POLL);
    }

    #[test]
    fn a_store_without_hints_is_asked_more_slowly_while_nothing_comes() {
        let mut pace = Pace::default();

        let waits: Vec<_> =
            (0..7).map(|_| pace.wait(Some(&nothing(None)), false, 0.0).as_millis()).collect();

        assert_eq!(waits, [20, 40, 80, 160, 320, 500, 500]);
    }

    #[test]
    fn what_seems_due_and_is_not_given_is_not_asked_for_in_a_busy_loop() {
        let mut pace = Pace::default();

        let waits: Vec<_> =
            (0..4).map(|_| pace.wait(Some(&nothing(Some(0))), true, 0.0).as_millis()).collect();
        assert_eq!(waits, [0, 0, 2, 4]);

        pace.hint();
        assert_eq!(pace.wait(Some(&nothing(Some(0))), true, 0.0), Duration::ZERO);
    }
}
