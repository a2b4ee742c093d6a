//! What happens on this node, told to whoever listens in this process.
//!
//! Telling never waits: a listener that falls behind loses the oldest events and is told how many.

use std::time::Duration;

use tokio::sync::broadcast;

use crate::domain::id::Callback;
use crate::domain::id::NodeName;
use crate::domain::id::QueueName;
use crate::domain::id::TaskId;
use crate::domain::lease::Fence;
use crate::domain::lease::Term;
use crate::domain::state::Again;
use crate::domain::state::TaskState;
use crate::domain::time::Timestamp;

/// How many events a slow listener may be behind.
pub const EVENTS_KEPT: usize = 4096;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A task was added here.
    Added {
        /// Its identity.
        task: TaskId,
    },
    /// A run started here.
    Started {
        /// Which run.
        run: Run,
        /// From `run_at` to the handler's start, by the store's clock as this node knows it.
        lag: Duration,
    },
    /// The outcome of a run was accepted.
    Ended {
        /// Which run.
        run: Run,
        /// The state that the task is in now.
        state: TaskState,
        /// Why the task is scheduled again, if it is.
        again: Option<Again>,
        /// What went wrong, if anything did.
        error: Option<String>,
        /// From the handler's start to its end.
        took: Duration,
    },
    /// The outcome of a run was refused: its claim did not hold the task any more.
    Stale {
        /// Which run.
        run: Run,
    },
    /// This node, as leader, took tasks back from a lease whose holder is gone.
    Reclaimed {
        /// Name of the holder.
        node: NodeName,
        /// How many tasks.
        count: u64,
        /// Whether the holder seems to have died.
        crashed: bool,
    },
    /// Who leads changed, as seen here.
    LeaderChanged {
        /// The new leader; `None` if nobody leads.
        node: Option<NodeName>,
        /// Its term.
        term: Term,
    },
    /// This node joined the cluster.
    Joined {
        /// Its name.
        node: NodeName,
    },
    /// This node left the cluster.
    Left {
        /// Its name.
        node: NodeName,
    },
}

/// Names one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The task.
    pub task: TaskId,
    /// Its callback.
    pub callback: Callback,
    /// Its queue.
    pub queue: QueueName,
    /// The planned time that the run belongs to.
    pub planned_at: Timestamp,
    /// Number of the attempt.
    pub attempt: u32,
    /// Fence of the run.
    pub fence: Fence,
    /// Where it runs.
    pub node: NodeName,
}

/// Carries events to listeners in this process. Cheap to clone; clones are one bus.
#[derive(Clone, Debug)]
pub struct Events {
    sender: broadcast::Sender<Event>,
}

impl Events {
    /// Tells `event` to all who listen now.
    pub fn tell(&self, event: Event) {
        if self.sender.receiver_count() > 0 {
            let _nobody_listens = self.sender.send(event);
        }
    }

    /// Whether anybody listens, so that nobody else need build events.
    #[must_use]
    pub fn has_listeners(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// Listens from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Event> {
        self.sender.subscribe()
    }
}

impl Default for Events {
    fn default() -> Self {
        Self { sender: broadcast::channel(EVENTS_KEPT).0 }
    }
}
