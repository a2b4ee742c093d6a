//! Queues as they are shown.

use serde::Serialize;

use crate::domain::id::QueueName;
use crate::domain::time::Timestamp;
use crate::domain::time::format_duration;
use crate::store::QueueStats;
use crate::store::Stats;

/// How deep queues are.
#[derive(Debug, Serialize)]
pub(in crate::http) struct Depths {
    now: Timestamp,
    /// Of all that are shown.
    backlog: u64,
    queues: Vec<QueueView>,
}

/// Depths of one queue: tasks that wait by priority and by what they wait for, then by state.
#[derive(Debug, Serialize)]
struct QueueView {
    queue: QueueName,
    paused: bool,
    scheduled: ByPriority,
    due: u64,
    held: u64,
    parked: u64,
    suspects: u64,
    running: u64,
    backlog: u64,
    completed: u64,
    dead: u64,
    cancelled: u64,
    expired: u64,
    oldest_due_at: Option<Timestamp>,
    oldest_due_age: Option<String>,
}

#[derive(Debug, Serialize)]
struct ByPriority {
    critical: u64,
    high: u64,
    normal: u64,
    low: u64,
}

/// Whether a queue is paused.
#[derive(Debug, Serialize)]
pub(in crate::http) struct GateView {
    pub(in crate::http) queue: QueueName,
    pub(in crate::http) paused: bool,
}

/// When there is something to do next.
#[derive(Debug, Serialize)]
pub(in crate::http) struct NextWakeup {
    pub(in crate::http) run_at: Option<Timestamp>,
}

impl Depths {
    pub(in crate::http) fn of(stats: Stats) -> Self {
        let now = stats.now;
        Self {
            now,
            backlog: stats.queues.iter().map(QueueStats::backlog).sum(),
            queues: stats.queues.into_iter().map(|queue| QueueView::of(queue, now)).collect(),
        }
    }
}

impl QueueView {
    fn of(stats: QueueStats, now: Timestamp) -> Self {
        let [critical, high, normal, low] = stats.scheduled;
        let backlog = stats.backlog();
        Self {
            queue: stats.queue,
            paused: stats.paused,
            scheduled: ByPriority { critical, high, normal, low },
            due: stats.due,
            held: stats.held,
            parked: stats.parked,
            suspects: stats.suspects,
            running: stats.running,
            backlog,
            completed: stats.completed,
            dead: stats.dead,
            cancelled: stats.cancelled,
            expired: stats.expired,
            oldest_due_at: stats.oldest_due_at,
            oldest_due_age: stats.oldest_due_at.map(|at| format_duration(now.since(at))),
        }
    }
}
