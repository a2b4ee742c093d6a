//! How long to wait before the next attempt.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::domain::time::duration_text;

/// Charged runs before a task is dead, unless the task says otherwise.
pub const DEFAULT_ATTEMPTS_MAX: u32 = 20;

/// Most charged runs that a task may ask for.
pub const ATTEMPTS_MAX: u32 = 1000;

/// Node deaths in a row after which a task is dead.
pub const CRASHES_MAX: u32 = 5;

/// A die that was rolled elsewhere: a value in `[0, 1)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jitter(f64);

impl Jitter {
    /// No deviation: the middle of the band.
    pub const NONE: Self = Self(0.5);

    /// Takes `value`, held inside `[0, 1)`.
    #[must_use]
    pub fn new(value: f64) -> Self {
        Self(if value.is_finite() { value.clamp(0.0, 1.0) } else { 0.5 })
    }

    /// A factor inside `1 ± width`.
    #[must_use]
    pub fn factor(self, width: f64) -> f64 {
        1.0 + width * (2.0 * self.0 - 1.0)
    }
}

/// Wait before attempt n + 1: `min(cap, base · factor^(n−1) · (1 ± jitter))`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backoff {
    /// Wait after the first failure.
    #[serde(with = "duration_text")]
    pub base: Duration,
    /// Growth of the wait with each failure.
    pub factor: f64,
    /// Longest wait, jitter included.
    #[serde(with = "duration_text")]
    pub cap: Duration,
    /// Half the width of the band around the wait, as a share of it.
    pub jitter: f64,
}

impl Default for Backoff {
    /// 5 s, doubling, at most 6 h, ± 20 %: twenty attempts take about four days.
    fn default() -> Self {
        Self {
            base: Duration::from_secs(5),
            factor: 2.0,
            cap: Duration::from_secs(6 * 3600),
            jitter: 0.2,
        }
    }
}

/// Why a backoff cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBackoff {
    /// The factor shrinks the wait, or is not a number.
    #[error("factor must be a number from 1 to 1000")]
    Factor,
    /// The band reaches below zero, or is not a number.
    #[error("jitter must be a number from 0 to 1")]
    Jitter,
    /// The longest wait is shorter than the first.
    #[error("cap must not be less than base")]
    Cap,
}

impl Backoff {
    /// Checks the parts against each other.
    ///
    /// # Errors
    ///
    /// If a part is outside its range.
    pub fn check(&self) -> Result<(), InvalidBackoff> {
        if !(1.0..=1000.0).contains(&self.factor) {
            return Err(InvalidBackoff::Factor);
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(InvalidBackoff::Jitter);
        }
        if self.cap < self.base { Err(InvalidBackoff::Cap) } else { Ok(()) }
    }

    /// The wait after failed attempt `attempt` (1 is the first).
    #[must_use]
    pub fn delay(&self, attempt: u32, jitter: Jitter) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let cap = self.cap.as_secs_f64();
        let plain = self.base.as_secs_f64() * self.factor.powi(exponent);
        let seconds = (plain.min(f64::MAX) * jitter.factor(self.jitter)).min(cap);
        Duration::from_secs_f64(seconds.max(0.0)).min(self.cap)
    }
}

/// The wait before a suspect runs again: 0.5 s · 2^(crashes − 2), at most 10 s, ± 20 %.
///
/// After a first crash there is none: one death of a node says little about its tasks.
#[must_use]
pub fn suspect_delay(crashes: u32, jitter: Jitter) -> Duration {
    if crashes < 2 {
        return Duration::ZERO;
    }
    let exponent = i32::try_from(crashes - 2).unwrap_or(i32::MAX).min(16);
    Duration::from_secs_f64((0.5 * 2_f64.powi(exponent) * jitter.factor(0.2)).min(10.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_backoff() -> impl Strategy<Value = Backoff> {
        (1_u64..100_000, 1.0..10.0_f64, 1_u64..1_000_000, 0.0..=1.0_f64).prop_map(
            |(base_ms, factor, more_ms, jitter)| Backoff {
                base: Duration::from_millis(base_ms),
                factor,
                cap: Duration::from_millis(base_ms + more_ms),
                jitter,
            },
        )
    }

    proptest! {
        /// The wait never passes the cap and stays inside the band around the plain value.
        #[test]
        fn a_wait_stays_inside_its_band(
            backoff in any_backoff(),
            attempt in 1..=1000_u32,
            roll in 0.0..1.0_f64,
        ) {
            prop_assert_eq!(backoff.check(), Ok(()));
            let plain = backoff.delay(attempt, Jitter::NONE).as_secs_f64();
            let wait = backoff.delay(attempt, Jitter::new(roll)).as_secs_f64();

            prop_assert!(wait <= backoff.cap.as_secs_f64());
            prop_assert!(wait >= plain * (1.0 - backoff.jitter) - 1e-6);
            prop_assert!(wait <= plain * (1.0 + backoff.jitter) + 1e-6);
        }
    }

    #[test]
    fn the_default_doubles_from_five_seconds_to_six_hours() {
        let backoff = Backoff::default();

        assert_eq!(backoff.delay(1, Jitter::NONE), Duration::from_secs(5));
        assert_eq!(backoff.delay(3, Jitter::NONE), Duration::from_secs(20));
        assert_eq!(backoff.delay(20, Jitter::NONE), Duration::from_secs(6 * 3600));
    }

    #[test]
    fn a_suspect_waits_longer_with_each_crash_and_at_most_ten_seconds() {
        assert_eq!(suspect_delay(1, Jitter::NONE), Duration::ZERO);
        assert_eq!(suspect_delay(2, Jitter::NONE), Duration::from_millis(500));
        assert_eq!(suspect_delay(4, Jitter::NONE), Duration::from_secs(2));
        assert_eq!(suspect_delay(60, Jitter::new(0.99)), Duration::from_secs(10));
    }
}
