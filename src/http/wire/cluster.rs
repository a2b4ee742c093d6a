//! Nodes and the leader as they are shown.

use serde::Serialize;

use crate::domain::id::Callback;
use crate::domain::id::NodeName;
use crate::domain::id::ProcessId;
use crate::domain::id::QueueName;
use crate::domain::lease::Term;
use crate::domain::time::Timestamp;
use crate::store::Cluster;
use crate::store::HolderKind;
use crate::store::Leader;
use crate::store::NodeView as Seen;

/// Who is there.
#[derive(Debug, Serialize)]
pub(in crate::http) struct Nodes {
    now: Timestamp,
    nodes: Vec<NodeView>,
}

/// A node, or a remote worker that holds claims.
#[derive(Debug, Serialize)]
struct NodeView {
    name: NodeName,
    process_id: ProcessId,
    kind: &'static str,
    version: String,
    leader: bool,
    queues: Vec<QueueName>,
    callbacks: Vec<Callback>,
    concurrency: u64,
    running: u64,
    draining: bool,
    beat_at: Timestamp,
    /// How far its wall clock is ahead of the store's, µs; below zero if it is behind.
    clock_skew_us: i64,
}

/// The node that does cluster-wide duties.
#[derive(Debug, Serialize)]
pub(in crate::http) struct LeaderView {
    node: NodeName,
    process_id: ProcessId,
    term: Term,
    until: Timestamp,
}

/// Who leads, if anybody does.
#[derive(Debug, Serialize)]
pub(in crate::http) struct Leading {
    pub(in crate::http) now: Timestamp,
    pub(in crate::http) leader: Option<LeaderView>,
}

/// Whose term was ended.
#[derive(Debug, Serialize)]
pub(in crate::http) struct Resigned {
    pub(in crate::http) resigned: LeaderView,
}

/// Which node was told to drain.
#[derive(Debug, Serialize)]
pub(in crate::http) struct Draining {
    pub(in crate::http) node: NodeName,
}

impl Nodes {
    pub(in crate::http) fn of(cluster: Cluster) -> Self {
        let leads = |node: &Seen| {
            cluster.leader.as_ref().is_some_and(|leader| leader.process == node.process)
        };
        let view = |node: Seen| NodeView { leader: leads(&node), ..NodeView::of(node) };
        Self { now: cluster.now, nodes: cluster.nodes.into_iter().map(view).collect() }
    }
}

impl NodeView {
    fn of(node: Seen) -> Self {
        Self {
            name: node.node,
            process_id: node.process,
            kind: match node.kind {
                HolderKind::Node => "node",
                HolderKind::Remote => "remote",
            },
            version: node.version,
            leader: false,
            queues: node.queues,
            callbacks: node.callbacks,
            concurrency: node.concurrency,
            running: node.running,
            draining: node.draining,
            beat_at: node.beat_at,
            clock_skew_us: node.skew_us,
        }
    }
}

impl LeaderView {
    pub(in crate::http) fn of(leader: Leader) -> Self {
        Self {
            node: leader.node,
            process_id: leader.process,
            term: leader.term,
            until: leader.until,
        }
    }
}
