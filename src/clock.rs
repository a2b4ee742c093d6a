//! The only reader of time, and the only sleeper.
//!
//! Everything else takes an `Arc<dyn Clock>`, so tests own time. A clock has two faces: the wall,
//! which a store in this process uses as the store's clock, and a steady count that nobody can set
//! back, which nodes use to time their own sleeps and their trust in leases.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
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

    /// An alarm that follows this clock, for a thread of its own.
    fn alarm(&self) -> Arc<dyn Alarm>;
}

/// Blocks a thread until a moment, far more precisely than a runtime's timer wakes a task.
pub trait Alarm: Send + Sync + Debug + 'static {
    /// Blocks until [`Clock::steady`] shows `until`, or until it is rung; without `until` only until
    /// it is rung. It never returns early for another reason.
    fn wait(&self, until: Option<Duration>);

    /// Ends the present wait, or the next one if nobody waits.
    fn ring(&self);
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

    fn alarm(&self) -> Arc<dyn Alarm> {
        Arc::new(SystemAlarm::default())
    }
}

/// Before the moment an alarm sleeps until here and then spins: a thread that sleeps wakes some 50 µs
/// late, one that spins does not.
const SPUN: Duration = Duration::from_micros(100);

/// For so long after that it sleeps to the end. Where moments are close together, a thread that spins
/// all the time would take a core from those that have to do what is due.
const SLEPT: Duration = Duration::from_micros(900);

#[derive(Debug, Default)]
struct SystemAlarm {
    state: Mutex<AlarmState>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct AlarmState {
    is_rung: bool,
    /// The steady count from which it may spin.
    spins_from: Duration,
}

impl Alarm for SystemAlarm {
    fn wait(&self, until: Option<Duration>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if std::mem::take(&mut state.is_rung) {
                return;
            }
            let now = SystemClock.steady();
            let left = until.map(|until| until.saturating_sub(now));
            state = match left {
                None => self.bell.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return,
                Some(left) => {
                    let spun = if now + left >= state.spins_from { SPUN } else { Duration::ZERO };
                    if left <= spun {
                        state.spins_from = now + left + SLEPT;
                        break;
                    }
                    let waited = self.bell.wait_timeout(state, left.saturating_sub(spun));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }

        drop(state);
        while until.is_some_and(|until| SystemClock.steady() < until) {
            std::hint::spin_loop();
        }
    }

    fn ring(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_rung = true;
        self.bell.notify_one();
    }
}

/// A clock that stands until it is told to move. Cheap to clone; clones share the time.
#[derive(Clone, Debug)]
pub struct ManualClock {
    time: Arc<Mutex<ManualTime>>,
    moved: Arc<Notify>,
    bell: Arc<Condvar>,
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
        Self { time: Arc::new(Mutex::new(time)), moved: Arc::default(), bell: Arc::default() }
    }

    /// Moves both faces forward and wakes who slept long enough.
    pub fn advance(&self, length: Duration) {
        let mut time = self.time();
        time.wall = time.wall.plus(length);
        time.steady += length;
        drop(time);
        self.moved.notify_waiters();
        self.bell.notify_all();
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

    fn alarm(&self) -> Arc<dyn Alarm> {
        Arc::new(ManualAlarm { clock: self.clone(), rung: AtomicBool::new(false) })
    }
}

#[derive(Debug)]
struct ManualAlarm {
    clock: ManualClock,
    rung: AtomicBool,
}

impl Alarm for ManualAlarm {
    fn wait(&self, until: Option<Duration>) {
        let mut time = self.clock.time();
        while !self.rung.swap(false, Ordering::SeqCst) {
            if until.is_some_and(|until| until <= time.steady) {
                return;
            }
            time = self.clock.bell.wait(time).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn ring(&self) {
        self.rung.store(true, Ordering::SeqCst);
        let _time_is_held_so_that_no_ring_is_missed = self.clock.time();
        self.clock.bell.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_of_the_machine_is_never_early() {
        let alarm = SystemClock.alarm();
        let until = SystemClock.steady() + Duration::from_millis(5);

        alarm.wait(Some(until));

        assert!(SystemClock.steady() >= until);
    }

    #[test]
    fn a_ring_before_the_wait_is_not_lost() {
        let manual = ManualClock::at(Timestamp::EPOCH);
        for alarm in [SystemClock.alarm(), manual.alarm()] {
            alarm.ring();
            alarm.wait(None);
        }
    }

    #[test]
    fn an_alarm_of_a_manual_clock_goes_off_when_time_was_moved() {
        let clock = ManualClock::at(Timestamp::EPOCH);
        let alarm = clock.alarm();
        let until = clock.steady() + Duration::from_secs(1);

        let waiting = std::thread::spawn(move || alarm.wait(Some(until)));
        clock.advance(Duration::from_millis(999));
        assert!(!waiting.is_finished());
        clock.advance(Duration::from_millis(1));

        assert!(waiting.join().is_ok());
    }
}
