//! What became of the spans that this process made.

use super::count::Counter;

/// Counts spans that are sent to a collector.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    /// The collector took them.
    pub(crate) sent: Counter,
    /// In the order of [`Lost::NAMES`].
    pub(super) dropped: [Counter; Lost::NAMES.len()],
}

/// Why spans were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// As many as may were waiting.
    QueueFull,
    /// The collector could not be reached, or did not take them.
    NotSent,
}

impl Lost {
    pub(super) const NAMES: [&str; 2] = ["queue_full", "not_sent"];
}

impl Spans {
    /// Spans were dropped.
    pub(crate) fn drop(&self, why: Lost, count: u64) {
        self.dropped[why as usize].add(count);
    }
}
