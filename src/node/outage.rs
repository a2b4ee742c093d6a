//! What a loop does when the store does not answer: it waits a little, and tells people once.

use std::time::Duration;

use tracing::info;
use tracing::warn;

use crate::store::Error;

use super::core::Core;

/// First wait after a call without an answer.
const WAIT_MIN: Duration = Duration::from_millis(20);

/// Longest wait between two tries. A store that came back is found within it.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Failures of one loop in a row.
#[derive(Debug)]
pub(super) struct Outage {
    call: &'static str,
    failures: u32,
}

impl Outage {
    /// No failure so far of `call`.
    pub(super) fn new(call: &'static str) -> Self {
        Self { call, failures: 0 }
    }

    /// Notes a failure and waits before the next try: longer each time, up to a second, and with
    /// jitter, so that many nodes do not all come back at once.
    pub(super) async fn wait(&mut self, core: &Core, error: &Error) {
        self.note(error);
        let longest = WAIT_MIN.saturating_mul(1 << self.failures.min(10)).min(WAIT_MAX);
        core.clock.sleep(longest.mul_f64(0.5 + core.dice.fraction() / 2.0)).await;
    }

    /// Notes a failure; the first in a row is told.
    pub(super) fn note(&mut self, error: &Error) {
        if self.failures == 0 {
            let error: &dyn std::error::Error = error;
            warn!(call = self.call, error, "the store does not answer; trying again");
        }
        self.failures = self.failures.saturating_add(1);
    }

    /// Notes an answer; the first after a failure is told.
    pub(super) fn over(&mut self) {
        if self.failures > 0 {
            info!(call = self.call, failures = self.failures, "the store answers again");
        }
        self.failures = 0;
    }
}
