//! How one node works.

use std::time::Duration;

use crate::domain::id::NodeName;
use crate::domain::id::QueueName;
use crate::domain::lease::DEFAULT_LEASE;
use crate::domain::lease::LEASE_MAX;
use crate::domain::lease::LEASE_MIN;

/// How a node learns that there is work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wake {
    /// It sleeps until just before the next `run_at` and is hinted at new work.
    #[default]
    EventDriven,
    /// It asks this often.
    Polling(Duration),
}

/// A queue that a node serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueWeight {
    /// Its name.
    pub queue: QueueName,
    /// How often it comes first, against the others: 1 to 1000.
    pub weight: u32,
}

/// How one node works.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeConfig {
    /// Name by which people know it. It outlives restarts; nothing is decided by it alone.
    pub name: NodeName,
    /// Most tasks that run at once: 1 to 100,000; 64 suits handlers that mostly wait.
    pub concurrency: usize,
    /// Queues to serve.
    pub queues: Vec<QueueWeight>,
    /// Whether an earlier queue is always served before a later one, weights aside.
    pub strict_queues: bool,
    /// Length of a lease: 1 s to 10 min. 10 s survives a failover and brings tasks back in 13.5 s.
    pub lease: Duration,
    /// How long running tasks may take to end after SIGTERM; below the 30 s after which Kubernetes
    /// kills.
    pub drain_timeout: Duration,
    /// How it learns that there is work.
    pub wake: Wake,
    /// Whether it stands for leader.
    pub stands_for_leader: bool,
    /// Whether it claims and runs tasks.
    pub runs_tasks: bool,
    /// A run is stopped after this, unless its task or handler says otherwise.
    pub default_timeout: Duration,
}

/// Why a node cannot work like that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {message}")]
pub struct InvalidConfig {
    /// Name of the setting.
    pub setting: &'static str,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl NodeConfig {
    /// Defaults for a node called `name`.
    #[must_use]
    pub fn new(name: NodeName) -> Self {
        Self {
            name,
            concurrency: 64,
            queues: vec![QueueWeight { queue: QueueName::default(), weight: 1 }],
            strict_queues: false,
            lease: DEFAULT_LEASE,
            drain_timeout: Duration::from_secs(25),
            wake: Wake::EventDriven,
            stands_for_leader: true,
            runs_tasks: true,
            default_timeout: Duration::from_secs(3600),
        }
    }

    /// Checks the knobs, alone and against each other.
    ///
    /// # Errors
    ///
    /// The first setting that is outside its range.
    pub fn check(&self) -> Result<(), InvalidConfig> {
        let refuse =
            |setting, message: &str| Err(InvalidConfig { setting, message: message.into() });
        if !(1..=100_000).contains(&self.concurrency) {
            return refuse("concurrency", "must be from 1 to 100000");
        }
        if !(LEASE_MIN..=LEASE_MAX).contains(&self.lease) {
            return refuse("lease", "must be from 1s to 10m");
        }
        if self.queues.is_empty() {
            return refuse("queues", "must name at least one queue");
        }
        if self.queues.iter().any(|queue| !(1..=1000).contains(&queue.weight)) {
            return refuse("queues", "weights must be from 1 to 1000");
        }
        let mut names: Vec<_> = self.queues.iter().map(|queue| &queue.queue).collect();
        names.sort();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return refuse("queues", "must not name a queue twice");
        }
        if self.default_timeout.is_zero() {
            return refuse("default_timeout", "must be longer than zero");
        }
        match self.wake {
            Wake::Polling(every) if every < Duration::from_millis(1) => {
                refuse("wake", "polling must be at least 1ms apart")
            }
            _ => Ok(()),
        }
    }
}
