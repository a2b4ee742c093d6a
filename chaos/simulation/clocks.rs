//! Clocks that differ, and that can be set.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use async_trait::async_trait;
use taskshed::clock::Alarm;
use taskshed::clock::Clock;
use taskshed::domain::time::Timestamp;

use crate::world::World;

/// What all clocks show at the start, if they are right: 2027-01-15T08:00:00Z.
const START_US: i64 = 1_800_000_000_000_000;

/// The clocks of one machine.
pub(crate) struct MachineClock {
    world: Arc<World>,
    /// What its steady count showed at the start.
    booted: Duration,
    /// How much faster than the world's time it counts, in parts of a million.
    fast_ppm: i64,
    /// How far its wall is ahead.
    ahead_us: AtomicI64,
}

impl std::fmt::Debug for MachineClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MachineClock").finish_non_exhaustive()
    }
}

impl MachineClock {
    pub(crate) fn new(world: &Arc<World>, booted: Duration, fast_ppm: i64, ahead_us: i64) -> Self {
        Self { world: Arc::clone(world), booted, fast_ppm, ahead_us: AtomicI64::new(ahead_us) }
    }

    /// One that is right.
    pub(crate) fn right(world: &Arc<World>) -> Self {
        Self::new(world, Duration::from_secs(1), 0, 0)
    }

    /// The one by which all write down when they saw something.
    pub(crate) fn of_witnesses(world: &Arc<World>) -> Self {
        Self::new(world, Duration::ZERO, 0, 0)
    }

    /// Sets its wall forward or back.
    pub(crate) fn set_by(&self, jump_us: i64) {
        self.ahead_us.fetch_add(jump_us, Relaxed);
    }

    /// How far its wall is ahead.
    pub(crate) fn ahead_us(&self) -> i64 {
        self.ahead_us.load(Relaxed)
    }

    fn scaled(length: Duration, by: i128, per: i128) -> Duration {
        let length_ns = i128::try_from(length.as_nanos()).unwrap_or(i128::MAX / (1 << 40));
        let scaled = (length_ns * by + per - 1) / per;
        Duration::from_nanos(u64::try_from(scaled).unwrap_or(u64::MAX))
    }
}

const MILLION: i128 = 1_000_000;

#[async_trait]
impl Clock for MachineClock {
    fn wall(&self) -> Timestamp {
        let passed_us = i64::try_from(self.world.now_us()).unwrap_or(i64::MAX);
        Timestamp::from_us(START_US + passed_us + self.ahead_us())
    }

    fn steady(&self) -> Duration {
        let rate = MILLION + i128::from(self.fast_ppm);
        self.booted + Self::scaled(self.world.now(), rate, MILLION)
    }

    async fn sleep(&self, length: Duration) {
        let rate = MILLION + i128::from(self.fast_ppm);
        let length = length.min(Duration::from_secs(1 << 30));
        let until = self.steady() + length;
        self.world.sleep(Self::scaled(length, MILLION, rate)).await;
        // Rounding may leave it short by a nanosecond or two.
        while self.steady() < until {
            self.world.sleep(Duration::from_nanos(1)).await;
        }
    }

    fn alarm(&self) -> Arc<dyn Alarm> {
        unreachable!("in a simulation nothing has a thread of its own")
    }
}
