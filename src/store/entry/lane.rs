//! Where claimable tasks stand.

use crate::domain::id::Callback;
use crate::domain::id::QueueName;
use crate::domain::task::Priority;
use crate::store::TaskRecord;

/// A place where claimable tasks stand. The order is that of claiming inside a queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) struct Lane {
    pub(in crate::store) queue: QueueName,
    pub(in crate::store) priority: Priority,
    pub(in crate::store) rank: Rank,
    /// `None` in ordinary lanes.
    pub(in crate::store) callback: Option<Callback>,
}

/// What kind of lane it is, in the order of claiming.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) enum Rank {
    /// Suspects with four crashes, which run alone.
    Alone,
    /// Suspects with three crashes.
    Three,
    /// Suspects with two crashes.
    Two,
    /// Tasks that wait for a node that has their callback.
    Parked,
    /// All others.
    Ordinary,
}

impl Lane {
    /// The lane of a task that can be claimed.
    pub(in crate::store) fn of(task: &TaskRecord) -> Self {
        let rank = match task.crashes {
            0 | 1 if task.parked => Rank::Parked,
            0 | 1 => Rank::Ordinary,
            2 => Rank::Two,
            3 => Rank::Three,
            _ => Rank::Alone,
        };
        let spec = &task.spec;
        Self {
            queue: spec.queue.clone(),
            priority: spec.priority,
            rank,
            callback: (rank != Rank::Ordinary).then(|| spec.callback.clone()),
        }
    }
}
