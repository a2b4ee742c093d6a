//! What a store answers.

use std::collections::BTreeSet;

use crate::domain::arrival::Unseen;
use crate::domain::id::Callback;
use crate::domain::id::ClaimId;
use crate::domain::id::NodeName;
use crate::domain::id::ProcessId;
use crate::domain::id::QueueName;
use crate::domain::id::TaskId;
use crate::domain::lease::Term;
use crate::domain::state::TaskState;
use crate::domain::time::Timestamp;

pub use crate::domain::task::TaskRecord;

use super::HolderKind;

/// What became of one task of an add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddOutcome {
    /// It is new.
    Created,
    /// It took the place of one with the same id.
    Replaced,
    /// One with the same id was kept.
    Kept,
    /// This live task holds its unique key; nothing was added.
    Duplicate(TaskId),
}

/// Reply to an add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The store's now.
    pub now: Timestamp,
    /// One per task, in order.
    pub outcomes: Vec<AddOutcome>,
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Tasks that match.
    pub tasks: Vec<TaskRecord>,
    /// What nobody is shown of them: one per task, in order, for who moves them.
    pub unseen: Vec<Unseen>,
    /// Where the next page starts; `None` after the last.
    pub next: Option<String>,
    /// Tasks whose records cannot be read.
    pub corrupt: Vec<TaskId>,
}

/// What became of one task of a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreOutcome {
    /// It was put there.
    Created,
    /// One with the same id was there, and is as it was.
    Kept,
    /// This live task holds its unique key; nothing was put there.
    Duplicate(TaskId),
    /// The store cannot hold it, for this reason; nothing was put there. The stores of this crate hold
    /// all.
    Refused(String),
}

/// Reply to a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The store's now.
    pub now: Timestamp,
    /// One per task, in order.
    pub outcomes: Vec<RestoreOutcome>,
}

/// Reply to a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// How many tasks now are as asked.
    pub affected: u64,
    /// Ids that do not exist.
    pub missing: Vec<TaskId>,
    /// Tasks in whose state the action makes no sense.
    pub skipped: Vec<(TaskId, TaskState)>,
}

/// Depths of one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueStats {
    /// Its name.
    pub queue: QueueName,
    /// Whether it is paused.
    pub paused: bool,
    /// Tasks in ordinary lanes by priority, `critical` first; due and future ones.
    pub scheduled: [u64; 4],
    /// How many of them are due.
    pub due: u64,
    /// Scheduled tasks that are paused or wait for the run that they replace to let go.
    pub held: u64,
    /// Tasks that wait for a node with their callback.
    pub parked: u64,
    /// Tasks that run apart.
    pub suspects: u64,
    /// Leased tasks.
    pub running: u64,
    /// Completed tasks that are kept.
    pub completed: u64,
    /// Dead tasks.
    pub dead: u64,
    /// Cancelled tasks.
    pub cancelled: u64,
    /// Expired tasks.
    pub expired: u64,
    /// `run_at` of the task that is due longest, in ordinary lanes.
    pub oldest_due_at: Option<Timestamp>,
}

impl QueueStats {
    /// Tasks that there is work with now: those that run, and unless the queue is paused those in
    /// ordinary lanes that are due. As many slots would be busy at once.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        if self.paused { self.running } else { self.due + self.running }
    }

    /// A queue without tasks.
    pub(super) fn of(queue: &QueueName) -> Self {
        Self {
            queue: queue.clone(),
            paused: false,
            scheduled: [0; 4],
            due: 0,
            held: 0,
            parked: 0,
            suspects: 0,
            running: 0,
            completed: 0,
            dead: 0,
            cancelled: 0,
            expired: 0,
            oldest_due_at: None,
        }
    }
}

/// Depths of all queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// The store's now.
    pub now: Timestamp,
    /// Earliest `run_at` of a task that is neither paused, held nor running.
    pub next_run_at: Option<Timestamp>,
    /// One per queue that was ever used, by name.
    pub queues: Vec<QueueStats>,
}

impl Stats {
    /// Shows these queues alone, and those among them that were never used as empty.
    pub(crate) fn only(&mut self, named: &[QueueName]) {
        self.queues.retain(|queue| named.contains(&queue.queue));
        self.with_unused(named);
    }

    /// Shows queues that nodes serve, too, although they were never used.
    pub(crate) fn with_served(&mut self, nodes: &[NodeView]) {
        self.with_unused(nodes.iter().flat_map(|node| &node.queues));
    }

    fn with_unused<'a>(&mut self, named: impl IntoIterator<Item = &'a QueueName>) {
        let mut unused: BTreeSet<_> = named.into_iter().collect();
        for known in &self.queues {
            unused.remove(&known.queue);
        }
        self.queues.extend(unused.into_iter().map(QueueStats::of));
        self.queues.sort_by(|one, other| one.queue.cmp(&other.queue));
    }
}

/// Reply to a claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    /// The store's now.
    pub now: Timestamp,
    /// Leased tasks, in the order they should run; their lease is in the record.
    pub tasks: Vec<TaskRecord>,
    /// Earliest `run_at` of a task that this claimer could take later, or now; or a moment before it,
    /// so that the claimer asks again.
    pub next_run_at: Option<Timestamp>,
    /// Whether due tasks that the claimer could take were left behind, as far as the store looked.
    pub more: bool,
    /// Whether a suspect waits for this claimer to become idle.
    pub isolate: bool,
    /// Tasks that were met and set aside because their records cannot be read.
    pub corrupt: Vec<TaskId>,
}

impl Claimed {
    /// Nothing was taken, and nothing is known to come.
    pub(crate) fn nothing(now: Timestamp) -> Self {
        Self {
            now,
            tasks: Vec::new(),
            next_run_at: None,
            more: false,
            isolate: false,
            corrupt: Vec::new(),
        }
    }
}

/// A running task that is to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The claim under which it runs.
    pub claim: ClaimId,
    /// The task.
    pub task: TaskId,
    /// Why.
    pub reason: StopReason,
}

/// Why a running task is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// A user cancelled it.
    Cancelled,
    /// It was replaced or removed; its ack changes nothing.
    Superseded,
}

/// Reply to a keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The store's now.
    pub now: Timestamp,
    /// Claims that are gone.
    pub lost: Vec<ClaimId>,
    /// Claims that may have been prolonged or not, because the part of the store that keeps them
    /// gave no answer. Ask again.
    pub unanswered: Vec<ClaimId>,
    /// Runs under the kept claims that are to stop.
    pub stop: Vec<Stop>,
    /// Whether the process that beat was told to drain.
    pub drain: bool,
    /// Who leads, if anybody does.
    pub leader: Option<Leader>,
}

/// What became of an acked outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acked {
    /// It was accepted.
    Done,
    /// The claim does not hold the task any more: acked before, reclaimed, replaced or removed.
    Stale,
}

/// The node that does cluster-wide duties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Its name.
    pub node: NodeName,
    /// Its process.
    pub process: ProcessId,
    /// Number of its spell.
    pub term: Term,
    /// When the term ends unless renewed, by the store's clock.
    pub until: Timestamp,
}

/// Reply to a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leading {
    /// The store's now.
    pub now: Timestamp,
    /// Who leads; `None` if nobody does and the caller may not yet.
    pub leader: Option<Leader>,
}

/// Reply to a step that only the leader may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Led<T> {
    /// It was taken.
    Done(T),
    /// The mandate is over; nothing happened (L1).
    Deposed,
}

/// Reply to a look at leases.
#[derive(Clone, Debug, PartialEq)]
pub struct Looked {
    /// The store's now; with partitions that of the first, where leaders are elected.
    pub now: Timestamp,
    /// The leases, in the order of their ends, or as they were asked for.
    pub leases: Vec<LeaseView>,
    /// The earliest end of a lease that has not expired, unless single claims were asked for.
    pub next_end: Option<Timestamp>,
}

/// A lease as the leader sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseView {
    /// The claim.
    pub claim: ClaimId,
    /// Name of its holder.
    pub node: NodeName,
    /// Process of its holder.
    pub process: ProcessId,
    /// Node or remote worker.
    pub kind: HolderKind,
    /// Its length when it was last prolonged.
    pub ttl: std::time::Duration,
    /// How long to watch it after its end.
    pub grace: std::time::Duration,
    /// Its end, by the store's clock.
    pub expires_at: Timestamp,
    /// Whether its holder seems dead: a remote worker always; a node whose process has not beaten
    /// since the lease was last prolonged, or whose name has a newer process.
    pub crashed: bool,
    /// What it holds, where asked for; without runs that were replaced or removed.
    pub tasks: Vec<TaskRecord>,
}

/// What a batch of housekeeping did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Tasks that expired.
    pub expired: u64,
    /// Ended tasks whose time was over.
    pub pruned: u64,
    /// Nodes that were forgotten.
    pub forgotten: u64,
    /// Index entries without a record that were dropped, or the reverse.
    pub repaired: u64,
    /// Whether a limit was reached, so that there is more to do.
    pub more: bool,
}

/// A node, or a remote worker that holds claims.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    /// Its name.
    pub node: NodeName,
    /// Its process.
    pub process: ProcessId,
    /// Node or remote worker.
    pub kind: HolderKind,
    /// Version of the program; empty for remote workers.
    pub version: String,
    /// Queues it serves.
    pub queues: Vec<QueueName>,
    /// Callbacks it has.
    pub callbacks: Vec<Callback>,
    /// Most tasks it runs at once.
    pub concurrency: u64,
    /// Tasks it runs, as it last said.
    pub running: u64,
    /// Whether it takes no more tasks.
    pub draining: bool,
    /// How far its wall clock is ahead of the store's, µs.
    pub skew_us: i64,
    /// Its last beat.
    pub beat_at: Timestamp,
}

/// Who is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// The store's now.
    pub now: Timestamp,
    /// By name.
    pub nodes: Vec<NodeView>,
    /// The leader, if its term has not ended.
    pub leader: Option<Leader>,
}

/// What brought a schema up to date.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    /// One sentence per step that was taken, in order; none if there was nothing to do.
    pub steps: Vec<String>,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Fine,
    /// Works, and might be better.
    Advice,
    /// Tasks can be lost or stuck.
    Serious,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What was looked at, one or two words.
    pub topic: &'static str,
    /// What was found.
    pub found: String,
    /// What to do about it; empty if nothing.
    pub advice: String,
}
