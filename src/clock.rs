//! The only reader of time, and the only sleeper.
//!
//! Everything else takes an `Arc<dyn Clock>`, so tests own time. A clock has two faces: the wall,
//! which a store in this process uses as the store's clock, and a steady count that nobody can set
//! back, which nodes use to time their own sleeps and their trust in leases.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::SystemTime;

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::domain::time::Timestamp;

/// Reads time and sleeps.
#[async_trait]
pub trait Clock: Send + Sync + Debug + 'static {
    /// The wall clock, UTC. It may be set back.
    fn wall(&self) -> Timestamp;

    /// A steady count since some fixed moment. It never goes back, and goes on while the machine is
    /// suspended, so that a lease is not trusted after a long sleep of the machine.
    fn steady(&self) -> Duration;

    /// Returns after `length`, or a little later.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future forgets the sleep.
    async fn sleep(&self, length: Duration);
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place the wall clock is read")]
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::EPOCH.plus(since)
    }

    fn steady(&self) -> Duration {
        let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(boot.tv_sec).unwrap_or(0);
        Duration::new(seconds, u32::try_from(boot.tv_nsec).unwrap_or(0))
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
    async fn sleep(&self, length: Duration) {
        tokio::time::sleep(length).await;
    }
}

/// A clock that stands until it is told to move. Cheap to clone; clones share the time.
#[derive(Clone, Debug)]
pub struct ManualClock {
    time: Arc<Mutex<ManualTime>>,
    moved: Arc<Notify>,
}

#[derive(Debug)]
struct ManualTime {
    wall: Timestamp,
    steady: Duration,
}

impl ManualClock {
    /// A clock whose wall shows `wall`.
    #[must_use]
    pub fn at(wall: Timestamp) -> Self {
        let time = ManualTime { wall, steady: Duration::from_secs(1) };
        Self { time: Arc::new(Mutex::new(time)), moved: Arc::new(Notify::new()) }
    }

    /// Moves both faces forward and wakes who slept long enough.
    pub fn advance(&self, length: Duration) {
        let mut time = self.time();
        time.wall = time.wall.plus(length);
        time.steady += length;
        drop(time);
        self.moved.notify_waiters();
    }

    /// Sets the wall alone, forward or back, as an operator or a time server might.
    pub fn set_wall(&self, wall: Timestamp) {
        self.time().wall = wall;
    }

    fn time(&self) -> MutexGuard<'_, ManualTime> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn wall(&self) -> Timestamp {
        self.time().wall
    }

    fn steady(&self) -> Duration {
        self.time().steady
    }

    async fn sleep(&self, length: Duration) {
        let until = self.steady() + length;
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if self.steady() >= until {
                return;
            }
            moved.await;
        }
    }
}
