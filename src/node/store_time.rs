//! The store's clock, as this node knows it.
//!
//! A reply that shows the store's `now` was read after its request was sent and before it arrived.
//! So the distance from the node's steady count to the store's clock lies between two values:
//!
//! ```text
//!   now − arrived   <=   store's clock − steady count   <=   now − sent
//!       low                                                     high
//! ```
//!
//! The node takes `low`, and of several replies the highest `low`: the one that arrived fastest. So
//! its idea of the store's clock is never early, which is what T8 needs, and late by one way of the
//! fastest reply. A reply whose `high` lies below what the node believes shows that the store's clock
//! was set back; then, and when the best reply is old, the newest one counts.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::time::Timestamp;
use crate::domain::time::as_us;

/// Follows the store's clock.
#[derive(Debug)]
pub(super) struct StoreTime {
    clock: Arc<dyn Clock>,
    offset_us: AtomicI64,
    best: Mutex<Option<Best>>,
}

#[derive(Clone, Copy, Debug)]
struct Best {
    low_us: i64,
    arrived: Duration,
}

/// After this long another reply takes the place of the fastest one, because clocks drift.
const BEST_KEPT: Duration = Duration::from_secs(10);

/// Clocks are read in whole microseconds; two of them cannot be told apart from a step.
const ROUNDING_US: i64 = 2;

/// A step by more than this changes when tasks are due for which somebody waits precisely.
const STEP_US: u64 = 1_000;

impl StoreTime {
    /// Follows by `clock`. Until the first reply it supposes that the store's clock is this one's
    /// wall.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let offset_us = clock.wall().as_us() - as_us(clock.steady());
        Self { clock, offset_us: AtomicI64::new(offset_us), best: Mutex::new(None) }
    }

    /// The store's now: never early, given that the store's clock was not set back since the last
    /// reply.
    pub(super) fn now(&self) -> Timestamp {
        self.at(self.clock.steady())
    }

    /// What the store's clock showed at the steady count `steady`, likewise.
    pub(super) fn at(&self, steady: Duration) -> Timestamp {
        let offset_us = self.offset_us.load(Ordering::Relaxed);
        Timestamp::from_us(as_us(steady).saturating_add(offset_us))
    }

    /// The steady count at which the store's clock will show `at`.
    pub(super) fn steady_at(&self, at: Timestamp) -> Duration {
        let steady_us = at.as_us().saturating_sub(self.offset_us.load(Ordering::Relaxed));
        Duration::from_micros(u64::try_from(steady_us).unwrap_or(0))
    }

    /// Learns from a reply that showed `now`; `sent` and `arrived` are steady counts from before the
    /// request and after the reply. Answers whether the store's clock turned out to be clearly ahead
    /// or behind, so that who sleeps until a moment of it should look again.
    pub(super) fn observe(&self, now: Timestamp, sent: Duration, arrived: Duration) -> bool {
        let low_us = now.as_us() - as_us(arrived);
        let high_us = now.as_us() - as_us(sent) + ROUNDING_US;

        let mut best = self.best.lock().unwrap_or_else(PoisonError::into_inner);
        let keeps_best = best.is_some_and(|best| {
            let is_fresh = arrived.saturating_sub(best.arrived) < BEST_KEPT;
            is_fresh && low_us <= best.low_us && best.low_us <= high_us
        });
        if keeps_best {
            return false;
        }

        *best = Some(Best { low_us, arrived });
        let before_us = self.offset_us.swap(low_us, Ordering::Relaxed);
        low_us.abs_diff(before_us) > STEP_US
    }

    /// How far this machine's wall clock is ahead of the store's, µs.
    pub(super) fn skew_us(&self) -> i64 {
        self.clock.wall().as_us() - self.now().as_us()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const MS: Duration = Duration::from_millis(1);

    fn start() -> (ManualClock, StoreTime, Timestamp) {
        let wall = Timestamp::from_us(1_700_000_000_000_000);
        let clock = ManualClock::at(wall);
        (clock.clone(), StoreTime::new(Arc::new(clock)), wall)
    }

    /// Guards T8: whatever the way back takes, the estimate is not ahead of the store.
    #[test]
    fn the_estimate_is_never_early_and_as_good_as_the_fastest_reply() {
        let (clock, time, wall) = start();
        let sent = clock.steady();
        clock.advance(MS * 5);

        time.observe(wall, sent, clock.steady());
        assert_eq!(time.now(), wall);

        clock.advance(MS * 100);
        let (store_now, sent) = (clock.wall(), clock.steady());
        clock.advance(MS);
        time.observe(store_now, sent, clock.steady());
        assert_eq!(time.now(), store_now);

        let (store_now, sent) = (clock.wall(), clock.steady());
        clock.advance(MS * 9);
        time.observe(store_now, sent, clock.steady());
        assert_eq!(time.now(), store_now.plus(MS * 8));
    }

    #[test]
    fn a_store_whose_clock_was_set_back_is_believed_at_once() {
        let (clock, time, wall) = start();
        time.observe(wall, clock.steady(), clock.steady());

        let back = wall.minus(Duration::from_secs(3));
        assert!(time.observe(back, clock.steady(), clock.steady()));

        assert_eq!(time.now(), back);
    }

    #[test]
    fn a_step_wakes_who_waits() {
        let (clock, time, wall) = start();
        assert!(!time.observe(wall, clock.steady(), clock.steady()));

        let ahead = wall.plus(Duration::from_secs(3));
        assert!(time.observe(ahead, clock.steady(), clock.steady()));
        assert_eq!(time.steady_at(ahead), clock.steady());
        assert_eq!(time.skew_us(), -3_000_000);
    }
}
