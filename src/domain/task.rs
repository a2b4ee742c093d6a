//! What a store keeps of a task.
//!
//! [`draft`](crate::domain::draft) is what a user asks for; this is what became of it. A [`Spec`]
//! never changes while its task lives, which lets a store write it once and hand it on unread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::domain::id::Callback;
use crate::domain::id::GroupId;
use crate::domain::id::NodeName;
use crate::domain::id::QueueName;
use crate::domain::id::TaskId;
use crate::domain::id::UniqueKey;
use crate::domain::json::Json;
use crate::domain::json::Kwargs;
use crate::domain::lease::Lease;
use crate::domain::retry::Backoff;
use crate::domain::retry::DEFAULT_ATTEMPTS_MAX;
use crate::domain::schedule::Schedule;
use crate::domain::state::TaskState;
use crate::domain::time::Moment;
use crate::domain::time::Timestamp;

/// How many errors of a task are remembered.
pub const ERRORS_KEPT: usize = 5;

/// Crashes in a row from which a task is a suspect and runs apart.
pub const SUSPECT_CRASHES: u32 = 2;

/// Urgency inside a queue. The order is that of claiming.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Before all others.
    Critical,
    /// Before normal.
    High,
    /// Unless something else is asked for.
    #[default]
    Normal,
    /// After all others.
    Low,
}

impl Priority {
    /// All, in the order of claiming.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Normal, Self::Low];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

/// The part of a task that never changes while it lives.
///
/// Fields that hold their default are left out when it is written, because stores keep millions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// Name under which the handler is registered.
    pub callback: Callback,
    /// Arguments, handed on byte for byte.
    #[serde(default)]
    pub kwargs: Kwargs,
    /// Once, interval or cron.
    #[serde(default, skip_serializing_if = "is_default")]
    pub schedule: Schedule,
    /// Whether missed recurrences collapse into one run.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub coalesce: bool,
    /// Tasks that belong together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<GroupId>,
    /// Line in which it waits.
    #[serde(default, skip_serializing_if = "is_default")]
    pub queue: QueueName,
    /// Urgency in that line.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: Priority,
    /// Charged runs before the task is dead.
    #[serde(default = "default_attempts", skip_serializing_if = "is_default_attempts")]
    pub max_attempts: u32,
    /// Wait between attempts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub backoff: Backoff,
    /// A run is stopped after it and counts as failed; `None`: the handler's or the node's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Whether a run is aborted before its node's trust in the lease ends (T9).
    #[serde(default, skip_serializing_if = "is_default")]
    pub exclusive: bool,
    /// At most one live task per key (S2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique_key: Option<UniqueKey>,
    /// How long the completed task and its result are kept.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retention: Duration,
    /// Labels and trace context; not passed to the handler as arguments.
    #[serde(default, skip_serializing_if = "is_default")]
    pub metadata: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

fn default_attempts() -> u32 {
    DEFAULT_ATTEMPTS_MAX
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_true(value: &bool) -> bool {
    *value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_default_attempts(value: &u32) -> bool {
    *value == DEFAULT_ATTEMPTS_MAX
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Spec {
    /// A spec for `callback` in which everything else holds its default.
    #[must_use]
    pub fn new(callback: Callback, kwargs: Kwargs) -> Self {
        Self {
            callback,
            kwargs,
            schedule: Schedule::Once,
            coalesce: true,
            group_id: None,
            queue: QueueName::default(),
            priority: Priority::Normal,
            max_attempts: DEFAULT_ATTEMPTS_MAX,
            backoff: Backoff::default(),
            timeout: None,
            exclusive: false,
            unique_key: None,
            retention: Duration::ZERO,
            metadata: BTreeMap::new(),
        }
    }
}

/// A task that was checked and may be added.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTask {
    /// Its identity, chosen by the user or generated before it is sent.
    pub id: TaskId,
    /// Whether the user chose the id; then a taken unique key changes nothing and names no other.
    pub id_chosen: bool,
    /// What does not change.
    pub spec: Arc<Spec>,
    /// From when it may run; for cron already the first match.
    pub run_at: Moment,
    /// Not started by then: expired, never run.
    pub expires: Option<Moment>,
    /// Added paused, since the given moment or the store's now.
    pub paused: Option<Moment>,
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// What the handler said; for commands the end of standard error.
    pub message: String,
    /// When it was decided, by the store's clock as the node knows it.
    pub at: Timestamp,
    /// Where it ran.
    pub node: NodeName,
    /// Number of the attempt.
    pub attempt: u32,
}

/// A task as a store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRecord {
    /// Its identity.
    pub id: TaskId,
    /// What does not change.
    pub spec: Arc<Spec>,
    /// Where it is in its life.
    pub state: TaskState,
    /// When it was added, by the store's clock.
    pub created_at: Timestamp,
    /// From when it may run next.
    pub run_at: Timestamp,
    /// The planned time that its run belongs to; differs from `run_at` after a retry or snooze.
    pub planned_at: Timestamp,
    /// Not started by then: expired.
    pub expires_at: Option<Timestamp>,
    /// Since when it is paused.
    pub paused_at: Option<Timestamp>,
    /// Whether it waits for a node that has its callback.
    pub parked: bool,
    /// Charged runs, a present one included.
    pub attempt: u32,
    /// Deaths of its node in a row.
    pub crashes: u32,
    /// The last [`ERRORS_KEPT`] errors, oldest first.
    pub errors: Vec<RunError>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// What the last completed run gave back.
    pub result: Option<Json>,
    /// Who runs it, while it runs.
    pub lease: Option<Lease>,
}

impl TaskRecord {
    /// Charged runs that are over: `attempt` without a present one.
    #[must_use]
    pub fn attempts_over(&self) -> u32 {
        match self.state {
            TaskState::Running => self.attempt.saturating_sub(1),
            _ => self.attempt,
        }
    }

    /// Whether two of its nodes in a row died while it ran.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.crashes >= SUSPECT_CRASHES
    }

    /// The errors with `error` after them, cut to the last [`ERRORS_KEPT`].
    #[must_use]
    pub fn errors_with(&self, error: RunError) -> Vec<RunError> {
        let skipped = (self.errors.len() + 1).saturating_sub(ERRORS_KEPT);
        self.errors.iter().skip(skipped).cloned().chain([error]).collect()
    }
}
