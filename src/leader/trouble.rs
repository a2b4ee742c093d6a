//! A store that does not answer, logged once and not each time.

use std::error::Error;

/// Remembers whether a failure was already told.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    is_known: bool,
}

impl Trouble {
    /// Logs `error`: at warn when it is new, at debug while it goes on.
    pub(super) fn tell(&mut self, what: &'static str, error: &(dyn Error + 'static)) {
        if self.is_known {
            tracing::debug!(what, error, "the leader's call still fails");
        } else {
            tracing::warn!(what, error, "the leader's call failed; it will be repeated");
        }
        self.is_known = true;
    }

    /// Notes that a call went well.
    pub(super) fn over(&mut self) {
        if std::mem::take(&mut self.is_known) {
            tracing::info!("the leader's calls are answered again");
        }
    }
}
