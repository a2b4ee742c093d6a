//! The nodes, and how they go.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::NodeConfig;
use crate::domain::id::NodeName;
use crate::events::Events;
use crate::node::Drained;
use crate::node::Node;
use crate::node::NodeHandle;
use crate::store::Store;

use crate::cli::failure::Failure;
use crate::cli::failure::chain;

use super::tasks;

/// Short, so that nobody waits long for the tasks of the dead.
const LEASE: Duration = Duration::from_secs(2);

/// Less than there is to do at times, so that every node gets some of it.
const CONCURRENCY: usize = 4;

/// The nodes that live.
#[derive(Debug)]
pub(super) struct Cast {
    nodes: Vec<Actor>,
    shutdown: CancellationToken,
}

/// A node under way. Dropping it is its sudden death.
#[derive(Debug)]
struct Actor {
    name: NodeName,
    handle: NodeHandle,
    run: JoinSet<Result<Drained, Failure>>,
}

impl Cast {
    pub(super) fn start(store: &Arc<dyn Store>, events: &Events) -> Result<Self, Failure> {
        let shutdown = CancellationToken::new();
        let mut nodes = Vec::new();
        for name in ["anna", "bert", "cleo"] {
            let name =
                NodeName::parse(name).map_err(|error| Failure::Refused(error.to_string()))?;
            let config = NodeConfig {
                lease: LEASE,
                concurrency: CONCURRENCY,
                drain_timeout: Duration::from_secs(5),
                ..NodeConfig::new(name.clone())
            };
            let builder = Node::builder(store.apart()).config(config).events(events.clone());
            let node = tasks::handlers(builder)
                .build()
                .map_err(|error| Failure::Refused(error.to_string()))?;
            let handle = node.handle();
            let told = shutdown.clone();
            let mut run = JoinSet::new();
            run.spawn(async move {
                let drained = node.run_until(told.cancelled_owned()).await;
                drained.map_err(|error| Failure::Refused(chain(&error)))
            });
            nodes.push(Actor { name, handle, run });
        }
        Ok(Self { nodes, shutdown })
    }

    /// Name of the living node that leads.
    pub(super) fn leader(&self) -> Option<String> {
        let leader = self.nodes.iter().find_map(|node| node.handle.leader())?;
        let leads = |node: &&Actor| *node.handle.process() == leader.process;
        self.nodes.iter().find(leads).map(|node| node.name.to_string())
    }

    /// Name of a living node that does not lead.
    pub(super) fn follower(&self) -> Option<String> {
        let leader = self.leader()?;
        let follower = self.nodes.iter().find(|node| node.name.as_str() != leader)?;
        Some(follower.name.to_string())
    }

    /// Drops a node in the middle of what it does.
    pub(super) fn kill(&mut self, name: &str) {
        self.nodes.retain(|node| node.name.as_str() != name);
    }

    /// Lets the living leave in good order.
    pub(super) async fn drain(mut self) -> Result<Drained, Failure> {
        self.shutdown.cancel();
        let mut all = Drained::default();
        for node in &mut self.nodes {
            while let Some(ended) = node.run.join_next().await {
                let drained = ended.map_err(|error| Failure::Refused(chain(&error)))??;
                all.unsent.extend(drained.unsent);
            }
        }
        Ok(all)
    }
}
