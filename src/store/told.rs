//! What a process tells of itself, as stores keep it.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::id::Callback;
use crate::domain::id::NodeName;
use crate::domain::id::ProcessId;
use crate::domain::id::QueueName;
use crate::domain::time::Timestamp;

use super::Beat;
use super::HolderKind;
use super::NodeView;

/// What a process tells with each beat, beside its name and identity.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Told {
    version: String,
    queues: Vec<QueueName>,
    callbacks: Vec<Callback>,
    concurrency: u64,
    running: u64,
    draining: bool,
    skew_us: i64,
}

impl Told {
    /// What a beat tells.
    pub(super) fn of(beat: &Beat) -> Self {
        Self {
            version: beat.version.clone(),
            queues: beat.queues.clone(),
            callbacks: beat.callbacks.to_vec(),
            concurrency: u64::try_from(beat.concurrency).unwrap_or(u64::MAX),
            running: u64::try_from(beat.running).unwrap_or(u64::MAX),
            draining: beat.draining,
            skew_us: beat.skew_us,
        }
    }

    /// A text that `serde` reads back.
    #[cfg(any(feature = "redis", feature = "sqlite", feature = "mysql"))]
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers can be written as JSON")
    }

    /// The node that told it with its last beat.
    pub(super) fn view(self, node: NodeName, process: ProcessId, beat_at: Timestamp) -> NodeView {
        NodeView {
            node,
            process,
            kind: HolderKind::Node,
            version: self.version,
            queues: self.queues,
            callbacks: self.callbacks,
            concurrency: self.concurrency,
            running: self.running,
            draining: self.draining,
            skew_us: self.skew_us,
            beat_at,
        }
    }
}

impl NodeView {
    /// A remote worker, which tells nothing of itself, with as many tasks as its claims hold.
    pub(super) fn remote(
        node: NodeName,
        process: ProcessId,
        running: u64,
        beat_at: Timestamp,
    ) -> Self {
        Self {
            node,
            process,
            kind: HolderKind::Remote,
            version: String::new(),
            queues: Vec::new(),
            callbacks: Vec::new(),
            concurrency: running,
            running,
            draining: false,
            skew_us: 0,
            beat_at,
        }
    }
}
