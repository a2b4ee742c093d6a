//! Whether the store's clock runs evenly beside the own one.

use std::time::Duration;

use crate::domain::time::Timestamp;

/// How far the store's clock may get ahead before it counts as moved, µs. The margin by which holders
/// give up a lease early and its grace cover less.
const STEP_US: i64 = 250_000;

/// How long the earliest replies count, so that clocks that differ in rate do not count as moved.
const WINDOW: Duration = Duration::from_secs(60);

/// How the store's clock runs, as replies show it.
///
/// A store that says `now` in a reply to a request that was sent at `sent` and arrived at `arrived`
/// is ahead of the own clock by at least `now - arrived` and at most `now - sent`. So a clock that is
/// ahead by more than it was ever seen to be at most was moved. One that is set back is not noticed:
/// it makes leases longer, never shorter.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The most that the store's clock was ahead by, µs, since when this is known, and since when the
    /// clock is known to run evenly. `None` before the first reply.
    known: Option<(i64, Duration, Duration)>,
}

impl Pace {
    /// Takes what a reply says. Replies may come in any order.
    pub(super) fn note(&mut self, sent: Duration, arrived: Duration, now: Timestamp) {
        let (least, most) = (ahead(now, arrived), ahead(now, sent));
        self.known = Some(match self.known {
            Some((known, since, even_since)) if least <= known.saturating_add(STEP_US) => {
                if arrived.saturating_sub(since) < WINDOW {
                    (known.min(most), since, even_since)
                } else {
                    (most, arrived, even_since)
                }
            }
            _ => (most, arrived, arrived),
        });
    }

    /// Since when, by the own clock, the store's is known to run evenly.
    pub(super) fn even_since(&self) -> Option<Duration> {
        self.known.map(|(.., even_since)| even_since)
    }
}

fn ahead(now: Timestamp, steady: Duration) -> i64 {
    now.as_us().saturating_sub(i64::try_from(steady.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(pace: &mut Pace, sent_ms: u64, arrived_ms: u64, now_ms: i64) -> Option<u128> {
        let (sent, arrived) = (Duration::from_millis(sent_ms), Duration::from_millis(arrived_ms));
        pace.note(sent, arrived, Timestamp::from_us(now_ms * 1000));
        pace.even_since().map(|since| since.as_millis())
    }

    /// Guards T9: a step is seen in the first reply after it.
    #[test]
    fn a_clock_that_jumps_ahead_runs_evenly_from_then_on() {
        let mut pace = Pace::default();
        assert_eq!(pace.even_since(), None);

        assert_eq!(note(&mut pace, 0, 10, 5000), Some(10));
        assert_eq!(note(&mut pace, 1000, 1010, 6005), Some(10));
        assert_eq!(note(&mut pace, 2000, 2010, 7300), Some(2010));
        assert_eq!(note(&mut pace, 3000, 3010, 8300), Some(2010));
    }

    #[test]
    fn slow_replies_and_replies_that_overtake_each_other_are_no_step() {
        let mut pace = Pace::default();

        assert_eq!(note(&mut pace, 0, 10, 5000), Some(10));
        assert_eq!(note(&mut pace, 20, 3000, 8000), Some(10));
        assert_eq!(note(&mut pace, 30, 3010, 5050), Some(10));
        assert_eq!(note(&mut pace, 40, 50, 5045), Some(10));
    }

    /// Guards T9: many small steps are one.
    #[test]
    fn a_clock_that_runs_far_too_fast_does_not_run_evenly() {
        let mut pace = Pace::default();

        for (second, now) in [(0, 0), (1, 1100), (2, 2200)] {
            assert_eq!(note(&mut pace, second * 1000, second * 1000, now), Some(0));
        }
        assert_eq!(note(&mut pace, 3000, 3000, 3300), Some(3000));
    }

    #[test]
    fn clocks_that_drift_apart_slowly_run_evenly() {
        let mut pace = Pace::default();

        for second in 0..10_000_u64 {
            let now_us = i64::try_from(second * 1_000_100).unwrap();
            let steady = Duration::from_secs(second);
            pace.note(steady, steady, Timestamp::from_us(now_us));
        }
        assert_eq!(pace.even_since(), Some(Duration::ZERO));
    }

    #[test]
    fn a_clock_that_is_set_back_and_right_again_jumped_ahead() {
        let mut pace = Pace::default();

        assert_eq!(note(&mut pace, 0, 0, 5000), Some(0));
        assert_eq!(note(&mut pace, 1000, 1000, 2000), Some(0));
        assert_eq!(note(&mut pace, 2000, 2000, 7000), Some(2000));
    }
}
