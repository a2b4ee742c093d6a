//! All that the store knows, and the one way to change a task.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::id::ClaimId;
use crate::domain::id::GroupId;
use crate::domain::id::NodeName;
use crate::domain::id::ProcessId;
use crate::domain::id::QueueName;
use crate::domain::id::TaskId;
use crate::domain::id::UniqueKey;
use crate::domain::lease::Fence;
use crate::domain::lease::Lease;
use crate::domain::state::TaskState;
use crate::domain::time::Timestamp;
use crate::store::Gate;
use crate::store::Holder;
use crate::store::NodeView;
use crate::store::Options;
use crate::store::QueueStats;
use crate::store::TaskRecord;
use crate::store::entry::Entry;
use crate::store::entry::Lane;
use crate::store::entry::Place;
use crate::store::entry::Rank;

use super::hints::Hinting;
use super::hints::Wish;
use super::leader::Chair;

/// Tasks of a lane in the order in which they are taken.
pub(super) type Line = BTreeSet<(Timestamp, TaskId)>;

/// What a store knows.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) options: Options,
    pub(super) tasks: BTreeMap<TaskId, Entry>,
    /// Lanes that are not empty.
    pub(super) lanes: BTreeMap<Lane, Line>,
    pub(super) groups: BTreeMap<GroupId, BTreeSet<TaskId>>,
    /// The live task of each unique key (S2).
    pub(super) keys: BTreeMap<UniqueKey, TaskId>,
    /// Tasks that were never claimed, by when they expire.
    pub(super) expiring: Line,
    /// Ended tasks by when they are pruned.
    pub(super) ended: BTreeMap<TaskState, Line>,
    /// Depths; what lanes can tell is left at zero.
    pub(super) queues: BTreeMap<QueueName, QueueStats>,
    pub(super) leases: BTreeMap<ClaimId, Held>,
    /// Tasks that were replaced or removed while they ran, and the claim that has not let go.
    pub(super) ghosts: BTreeMap<TaskId, ClaimId>,
    /// Claims that ended, and when.
    pub(super) ended_claims: BTreeMap<ClaimId, Timestamp>,
    pub(super) nodes: BTreeMap<NodeName, NodeView>,
    /// Processes that were told to drain.
    pub(super) draining: BTreeSet<ProcessId>,
    pub(super) chair: Chair,
    /// Who becomes idle for a suspect that runs alone, and since when.
    pub(super) reservation: Option<(ProcessId, Timestamp)>,
    pub(super) hinting: Hinting,
}

/// A lease.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) holder: Holder,
    pub(super) ttl: Duration,
    pub(super) grace: Duration,
    pub(super) expires_at: Timestamp,
    pub(super) renewed_at: Timestamp,
    pub(super) fence: Fence,
    pub(super) runs: BTreeMap<TaskId, Run>,
}

/// A run under a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    /// Of the task that has this id.
    Present,
    /// Of one that was replaced or removed; it is told to stop.
    Superseded,
}

impl State {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            tasks: BTreeMap::new(),
            lanes: BTreeMap::new(),
            groups: BTreeMap::new(),
            keys: BTreeMap::new(),
            expiring: Line::new(),
            ended: BTreeMap::new(),
            queues: BTreeMap::new(),
            leases: BTreeMap::new(),
            ghosts: BTreeMap::new(),
            ended_claims: BTreeMap::new(),
            nodes: BTreeMap::new(),
            draining: BTreeSet::new(),
            chair: Chair::default(),
            reservation: None,
            hinting: Hinting::default(),
        }
    }

    /// A task as it is shown.
    pub(super) fn view(&self, entry: &Entry) -> TaskRecord {
        let held = entry.claim.as_ref().and_then(|claim| Some((claim, self.leases.get(claim)?)));
        entry.view(held.map(|(claim, held)| Lease {
            node: held.holder.node.clone(),
            claim_id: claim.clone(),
            fence: held.fence,
            expires_at: held.expires_at,
        }))
    }

    /// Puts a task into every index that it belongs to (T10), and hints if it can be claimed.
    pub(super) fn put(&mut self, entry: Entry) {
        let (id, spec) = (entry.task.id.clone(), entry.task.spec.clone());
        let place = entry.place(self.ghosts.contains_key(&entry.task.id));
        let stats = self.queue(&spec.queue);
        *count(stats, &place, entry.task.state) += 1;
        if let Some(group) = &spec.group_id {
            self.groups.entry(group.clone()).or_default().insert(id.clone());
        }
        if let Some(key) = entry.live_key() {
            self.keys.insert(key.clone(), id.clone());
        }
        if let Some(at) = entry.expires() {
            self.expiring.insert((at, id.clone()));
        }
        match place {
            Place::Lane(lane) => {
                let wish = Wish::of(&spec.queue, Some(spec.callback.clone()), entry.task.run_at, 1);
                self.hinting.wish(wish);
                self.lanes.entry(lane).or_default().insert((entry.task.run_at, id.clone()));
            }
            Place::Ended(prune_at) => {
                self.ended.entry(entry.task.state).or_default().insert((prune_at, id.clone()));
            }
            Place::Aside | Place::Running => {}
        }
        self.tasks.insert(id, entry);
    }

    /// Takes a task out of the store and out of every index.
    pub(super) fn take(&mut self, id: &TaskId) -> Option<Entry> {
        let entry = self.tasks.remove(id)?;
        let spec = &entry.task.spec;
        let place = entry.place(self.ghosts.contains_key(&entry.task.id));
        *count(self.queue(&spec.queue), &place, entry.task.state) -= 1;
        if let Some(group) = &spec.group_id {
            leave(&mut self.groups, group, id);
        }
        if let Some(key) = entry.live_key() {
            self.keys.remove(key);
        }
        if let Some(at) = entry.expires() {
            self.expiring.remove(&(at, id.clone()));
        }
        match place {
            Place::Lane(lane) => {
                leave(&mut self.lanes, &lane, &(entry.task.run_at, id.clone()));
            }
            Place::Ended(prune_at) => {
                leave(&mut self.ended, &entry.task.state, &(prune_at, id.clone()));
            }
            Place::Aside | Place::Running => {}
        }
        Some(entry)
    }

    /// Ends a task that was taken out, and keeps it as long as its state says.
    pub(super) fn end(&mut self, entry: Entry, state: TaskState, now: Timestamp) {
        if let Some(entry) = entry.end(state, now, &self.options) {
            self.put(entry);
        }
    }

    /// A run that was superseded lets go: its successor becomes claimable (T3).
    pub(super) fn let_go(&mut self, id: &TaskId) {
        let successor = self.take(id);
        self.ghosts.remove(id);
        if let Some(successor) = successor {
            self.put(successor);
        }
    }

    /// Tells the run of a task that was taken out to stop; its ack will change nothing (T5).
    pub(super) fn supersede(&mut self, entry: &Entry) {
        let Some(claim) = &entry.claim else { return };
        if let Some(held) = self.leases.get_mut(claim) {
            held.runs.insert(entry.task.id.clone(), Run::Superseded);
            self.ghosts.insert(entry.task.id.clone(), claim.clone());
        }
    }

    /// Ends a lease that holds nothing any more.
    pub(super) fn close_if_empty(&mut self, claim: &ClaimId, now: Timestamp) {
        if self.leases.get(claim).is_some_and(|held| held.runs.is_empty()) {
            self.leases.remove(claim);
            self.ended_claims.insert(claim.clone(), now);
        }
    }

    /// The depths of a queue, which is known from now on.
    pub(super) fn queue(&mut self, queue: &QueueName) -> &mut QueueStats {
        self.queues.entry(queue.clone()).or_insert_with(|| QueueStats::of(queue))
    }

    pub(super) fn set_queue(&mut self, queue: &QueueName, gate: Gate) {
        self.queue(queue).paused = gate == Gate::Paused;
        if gate == Gate::Open {
            let waiting = self.hinting.waiting();
            for (lane, line) in self.lanes.iter().filter(|(lane, _)| lane.queue == *queue) {
                if let Some((at, _)) = line.first() {
                    let count = line.len().min(waiting);
                    self.hinting.wish(Wish::of(queue, lane.callback.clone(), *at, count));
                }
            }
        }
    }
}

/// The count of a queue that a task at `place` belongs to.
fn count<'a>(stats: &'a mut QueueStats, place: &Place, state: TaskState) -> &'a mut u64 {
    match (place, state) {
        (Place::Lane(lane), _) => match lane.rank {
            Rank::Alone | Rank::Three | Rank::Two => &mut stats.suspects,
            Rank::Parked => &mut stats.parked,
            Rank::Ordinary => &mut stats.scheduled[lane.priority as usize],
        },
        (Place::Running, _) => &mut stats.running,
        (Place::Ended(_), TaskState::Dead) => &mut stats.dead,
        (Place::Ended(_), TaskState::Cancelled) => &mut stats.cancelled,
        (Place::Ended(_), TaskState::Expired) => &mut stats.expired,
        (Place::Ended(_), _) => &mut stats.completed,
        (Place::Aside, _) => &mut stats.held,
    }
}

/// Takes `item` out of the set at `key`, and the set with its last item.
fn leave<K: Ord, T: Ord>(sets: &mut BTreeMap<K, BTreeSet<T>>, key: &K, item: &T) {
    if let Some(set) = sets.get_mut(key) {
        set.remove(item);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}
