//! Looking at the store for those who collect metrics.
//!
//! It is no duty: nothing depends on it, it needs no mandate, and it goes on beside the duties, because
//! on some stores it takes longer than a look at leases may.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use crate::domain::id::QueueName;
use crate::leader::Candidate;
use crate::leader::SAMPLE_EVERY;
use crate::leader::SAMPLED_FOR;
use crate::metrics::QueueSample;
use crate::metrics::Sample;
use crate::store::Cluster;
use crate::store::HolderKind;
use crate::store::QueueStats;
use crate::store::Result;
use crate::store::Stats;

/// A sample that took long is followed by a pause this many times as long, so that on a store which
/// counts tasks one by one it costs a twentieth of a connection at most.
const PAUSE_PER_SAMPLE: u32 = 20;

impl Candidate {
    /// Samples the store while somebody reads the metrics, and for some minutes after that. For a leader.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    pub(super) async fn sample(&self) -> Infallible {
        loop {
            self.metrics.read().await;
            let until = self.clock.steady() + SAMPLED_FOR;
            while self.clock.steady() < until {
                let began = self.clock.steady();
                let sample = self.look_at_queues().await;
                if let Err(error) = &sample {
                    tracing::debug!(%error, "the store could not be sampled");
                }
                // What was seen before a store went away says nothing of now.
                self.metrics.sampled(sample.ok());
                let took = self.clock.steady().saturating_sub(began);
                self.clock.sleep(SAMPLE_EVERY.max(took * PAUSE_PER_SAMPLE)).await;
            }
        }
    }

    /// Two calls, one after the other, so that they never take two connections.
    async fn look_at_queues(&self) -> Result<Sample> {
        let mut stats = self.tasks.stats().await?;
        let cluster = self.store.cluster().await?;
        stats.with_served(&cluster.nodes);
        Ok(sample(&stats, &cluster))
    }
}

fn sample(stats: &Stats, cluster: &Cluster) -> Sample {
    let nodes = cluster.nodes.iter().filter(|node| node.kind == HolderKind::Node);
    let mut serving: HashMap<&QueueName, u64> = HashMap::new();
    for node in nodes.clone().filter(|node| !node.draining) {
        for queue in &node.queues {
            *serving.entry(queue).or_default() += 1;
        }
    }
    let queues = stats.queues.iter().map(|queue| QueueSample {
        queue: Some(queue.queue.clone()),
        tasks: tasks(queue),
        oldest_due_age: queue.oldest_due_at.map_or(Duration::ZERO, |at| stats.now.since(at)),
        is_paused: queue.paused,
        node_count: serving.get(&queue.queue).copied().unwrap_or(0),
    });
    Sample { at: stats.now, node_count: nodes.count() as u64, queues: queues.collect() }
}

/// In the order of [`QueueSample::STATES`].
fn tasks(queue: &QueueStats) -> [u64; QueueSample::STATES.len()] {
    let scheduled: u64 = queue.scheduled.iter().sum();
    [
        scheduled.saturating_sub(queue.due),
        queue.due,
        queue.held,
        queue.parked,
        queue.suspects,
        queue.running,
        queue.completed,
        queue.dead,
        queue.cancelled,
        queue.expired,
    ]
}
