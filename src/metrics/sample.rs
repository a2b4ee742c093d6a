//! What the leader sees of the store, now and then.

use std::time::Duration;

use crate::domain::id::QueueName;
use crate::domain::time::Timestamp;

/// Most queues that are shown by name. What more there are is summed up under an empty one, so that a
/// program which makes up names of queues does not fill the memory of who collects metrics.
const QUEUES_MAX: usize = 200;

/// The store at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// The store's now.
    pub(crate) at: Timestamp,
    /// Nodes that beat lately.
    pub(crate) node_count: u64,
    /// All queues, by name.
    pub(crate) queues: Vec<QueueSample>,
}

/// A queue at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct QueueSample {
    /// Its name; `None` for all that are not shown by name.
    pub(crate) queue: Option<QueueName>,
    /// How many tasks are in each state, in the order of [`QueueSample::STATES`].
    pub(crate) tasks: [u64; QueueSample::STATES.len()],
    /// How long the task that is due longest has been due.
    pub(crate) oldest_due_age: Duration,
    /// Whether nothing is claimed from it.
    pub(crate) is_paused: bool,
    /// Nodes that serve it and do not drain.
    pub(crate) node_count: u64,
}

impl QueueSample {
    /// States of a task of a queue, each task in one of them. `waiting` tasks are due later; `held` are
    /// paused, or wait for the run that they replace.
    pub(crate) const STATES: [&str; 10] = [
        "waiting",
        "due",
        "held",
        "parked",
        "suspect",
        "running",
        "completed",
        "dead",
        "cancelled",
        "expired",
    ];

    /// Counts the tasks of another queue in.
    fn merge(&mut self, other: &Self) {
        for (count, more) in self.tasks.iter_mut().zip(other.tasks) {
            *count += more;
        }
        self.oldest_due_age = self.oldest_due_age.max(other.oldest_due_age);
        self.is_paused |= other.is_paused;
        self.node_count = self.node_count.min(other.node_count);
    }
}

impl Sample {
    /// The same with no more queues than are shown by name.
    pub(super) fn bounded(mut self) -> Self {
        if self.queues.len() <= QUEUES_MAX {
            return self;
        }
        let mut more = self.queues.split_off(QUEUES_MAX).into_iter();
        if let Some(mut rest) = more.next() {
            rest.queue = None;
            more.for_each(|queue| rest.merge(&queue));
            self.queues.push(rest);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_beyond_those_that_are_shown_are_summed_up() {
        let queue = |index: usize| QueueSample {
            queue: QueueName::parse(&format!("q{index:03}")).ok(),
            tasks: [1; 10],
            oldest_due_age: Duration::from_secs(index as u64),
            is_paused: false,
            node_count: 2,
        };
        let queues = (0..QUEUES_MAX + 3).map(queue).collect();
        let sample = Sample { at: Timestamp::EPOCH, node_count: 2, queues };

        let bounded = sample.bounded();

        let (rest, named) = bounded.queues.split_last().unwrap();
        assert_eq!(named.len(), QUEUES_MAX);
        assert_eq!((&rest.queue, rest.tasks), (&None, [3; 10]));
        assert_eq!(rest.oldest_due_age, Duration::from_secs(202));
    }
}
