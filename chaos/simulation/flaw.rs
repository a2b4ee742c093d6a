//! Stores in which one safeguard is missing, to see that it is noticed.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use taskshed::domain::id::RequestId;
use taskshed::domain::id::TaskId;
use taskshed::domain::lease::Fence;
use taskshed::domain::state::TaskState;
use taskshed::domain::state::Verdict;
use taskshed::domain::task::TaskRecord;
use taskshed::domain::time::Timestamp;
use taskshed::store::AckItem;
use taskshed::store::Acked;
use taskshed::store::Add;
use taskshed::store::AddOutcome;
use taskshed::store::Added;
use taskshed::store::Fetch;
use taskshed::store::Leadership;
use taskshed::store::Led;
use taskshed::store::Look;
use taskshed::store::Mandate;
use taskshed::store::Reclaim;
use taskshed::store::Store;
use taskshed::store::Tasks;
use taskshed::store::memory::MemoryStore;

use crate::call::Call;
use crate::call::Reply;
use crate::call::now;
use crate::missing::Missing;

/// How old a snapshot that the leader looks at may be.
const SNAPSHOT_KEPT: Duration = Duration::from_secs(5);

/// Of so many batches one is cut off in the middle.
const BATCHES_PER_CUT: u64 = 4;

/// How calls have their effect on a store in which a safeguard may be missing. What it remembers is
/// kept in the store, and so is lost with it in a failover.
#[derive(Clone, Debug)]
pub(crate) struct Flaw {
    missing: Missing,
    /// The last fence of each task, as it was told and as the store knows it.
    counted: BTreeMap<TaskId, (u64, Fence)>,
    /// Adds of which a part was done.
    begun: BTreeSet<RequestId>,
    batches: u64,
    snapshot: Option<(Timestamp, MemoryStore)>,
}

impl Flaw {
    pub(crate) fn new(missing: Missing) -> Self {
        Self {
            missing,
            counted: BTreeMap::new(),
            begun: BTreeSet::new(),
            batches: 0,
            snapshot: None,
        }
    }

    /// The reply to a call; `None` if the server died half-way.
    pub(crate) fn serve(&mut self, store: &MemoryStore, call: &Call) -> Option<Reply> {
        match (self.missing, call) {
            (Missing::ClaimAtAck, Call::Ack(items)) => Some(ack_by_id(store, items)),
            (Missing::FenceByClock, Call::Claim(_)) => Some(self.count(call.make(store))),
            (Missing::FenceByClock, Call::Ack(items)) => {
                Some(Call::Ack(self.uncounted(items)).make(store))
            }
            (Missing::SecondLook, Call::Look(_)) => Some(without_grace(call.make(store))),
            (Missing::FreshReclaim, Call::Look(look)) => Some(self.look_at_snapshot(store, look)),
            (Missing::FreshReclaim, Call::Reclaim(reclaim)) => Some(reclaim_by_id(store, reclaim)),
            (Missing::OutcomeBeforeAck, Call::Claim(_)) => Some(ack_at_once(store, call)),
            (Missing::OutcomeBeforeAck, Call::Ack(items)) => Some(ack_again(store, items)),
            (Missing::WholeAdd, Call::Add(add)) => self.add_in_parts(store, add),
            (Missing::TermCheck, call) => Some(in_the_present_term(store, call).make(store)),
            _ => Some(call.make(store)),
        }
    }

    /// Tells fences that count the claims of a task.
    fn count(&mut self, reply: Reply) -> Reply {
        let Reply::Claimed(mut claimed) = reply else { return reply };
        for task in &mut claimed.tasks {
            let Some(lease) = &mut task.lease else { continue };
            let known = self.counted.entry(task.id.clone()).or_insert((0, Fence(0)));
            if known.1 != lease.fence {
                *known = (known.0 + 1, lease.fence);
            }
            lease.fence = Fence(known.0);
        }
        Reply::Claimed(claimed)
    }

    fn uncounted(&self, items: &[AckItem]) -> Vec<AckItem> {
        let real = |item: &AckItem| {
            let known = self.counted.get(&item.task).filter(|known| known.0 == item.fence.0);
            AckItem { fence: known.map_or(Fence(0), |known| known.1), ..item.clone() }
        };
        items.iter().map(real).collect()
    }

    /// Shows leases as they were a while ago.
    fn look_at_snapshot(&mut self, store: &MemoryStore, look: &Look) -> Reply {
        let at = now(store.now());
        let is_fresh = |taken: Timestamp| taken <= at && at.since(taken) < SNAPSHOT_KEPT;
        if !self.snapshot.as_ref().is_some_and(|(taken, _)| is_fresh(*taken)) {
            self.snapshot = Some((at, store.fork()));
        }
        let look = Look { mandate: look.mandate.clone(), scope: look.scope.clone() };
        match &self.snapshot {
            Some((_, old)) => in_the_present_term(old, &Call::Look(look)).make(old),
            None => Call::Look(look).make(store),
        }
    }

    /// Adds one task after the other, may die in between, and takes what was begun for done.
    fn add_in_parts(&mut self, store: &MemoryStore, add: &Add) -> Option<Reply> {
        let count = add.tasks.len();
        if self.begun.contains(&add.request) {
            let outcomes = vec![AddOutcome::Created; count];
            return Some(Reply::Added(Added { now: now(store.now()), outcomes }));
        }
        self.batches += u64::from(count > 1);
        if count > 1 && self.batches.is_multiple_of(BATCHES_PER_CUT) {
            let tasks = add.tasks[..count / 2].to_vec();
            let _nobody_hears_of_it = now(store.add(&Add { tasks, ..add.clone() }));
            self.begun.insert(add.request.clone());
            return None;
        }
        Some(Call::Add(add.clone()).make(store))
    }
}

/// Whoever brings an outcome of a running task ends its run.
fn ack_by_id(store: &MemoryStore, items: &[AckItem]) -> Reply {
    let any = |item: &AckItem| match present(store, &item.task) {
        Some(TaskRecord { lease: Some(lease), .. }) => {
            AckItem { claim: lease.claim_id, fence: lease.fence, ..item.clone() }
        }
        _ => item.clone(),
    };
    Call::Ack(items.iter().map(any).collect()).make(store)
}

fn present(store: &MemoryStore, id: &TaskId) -> Option<TaskRecord> {
    let fetch = Fetch { ids: vec![id.clone()], watch: None };
    now(store.fetch(&fetch)).pop().flatten()
}

/// Leases that may be reclaimed as soon as they were seen to have expired, although the store's clock
/// was just moved.
fn without_grace(reply: Reply) -> Reply {
    let Reply::Seen(Led::Done(mut looked)) = reply else { return reply };
    for view in &mut looked.leases {
        view.grace = Duration::ZERO;
        view.ttl = Duration::from_millis(40);
    }
    Reply::Seen(Led::Done(looked))
}

/// Takes tasks back from whoever runs them now.
fn reclaim_by_id(store: &MemoryStore, reclaim: &Reclaim) -> Reply {
    let running = |id: &TaskId| present(store, id).and_then(|task| task.lease);
    let item = |item: &taskshed::store::ReclaimItem| {
        let lease = running(&item.task)?;
        let (task, spec) = (item.task.clone(), item.spec.clone());
        let (claim, fence, verdict) = (lease.claim_id, lease.fence, item.verdict.clone());
        Some(AckItem { claim, task, fence, spec, verdict })
    };
    let items: Vec<AckItem> = reclaim.items.iter().filter_map(item).collect();
    let Reply::Acked(acked) = Call::Ack(items).make(store) else {
        unreachable!("an ack is answered as one")
    };
    let taken = acked.iter().filter(|one| **one == Acked::Done).count();
    Reply::Reclaimed(Led::Done(taken as u64))
}

/// Ends what runs once in the moment in which it is claimed.
fn ack_at_once(store: &MemoryStore, call: &Call) -> Reply {
    let reply = call.make(store);
    if let Reply::Claimed(claimed) = &reply {
        let once = claimed.tasks.iter().filter(|task| !task.spec.schedule.is_recurring());
        let item = |task: &TaskRecord| {
            let lease = task.lease.clone()?;
            let (state, attempt) = (TaskState::Completed, task.attempt);
            let errors = Vec::new();
            let verdict = Verdict::End { state, attempt, crashes: 0, errors, result: None };
            let (task, spec) = (task.id.clone(), task.spec.clone());
            Some(AckItem { claim: lease.claim_id, task, fence: lease.fence, spec, verdict })
        };
        let _done = Call::Ack(once.filter_map(item).collect()).make(store);
    }
    reply
}

/// Says well to the outcome of what has ended before.
fn ack_again(store: &MemoryStore, items: &[AckItem]) -> Reply {
    let Reply::Acked(mut acked) = Call::Ack(items.to_vec()).make(store) else {
        unreachable!("an ack is answered as one")
    };
    for (item, answer) in items.iter().zip(&mut acked) {
        if !item.spec.schedule.is_recurring() {
            *answer = Acked::Done;
        }
    }
    Reply::Acked(acked)
}

/// The same call as if it were made by whoever leads.
fn in_the_present_term(store: &MemoryStore, call: &Call) -> Call {
    let mut call = call.clone();
    let leader = now(store.cluster()).leader;
    let mandate = match &mut call {
        Call::Look(look) => &mut look.mandate,
        Call::Reclaim(reclaim) => &mut reclaim.mandate,
        Call::Maintain(maintain) => &mut maintain.mandate,
        Call::Declare(declare) => &mut declare.mandate,
        _ => return call,
    };
    if let Some(leader) = leader {
        *mandate = Mandate { process: leader.process, term: leader.term };
    }
    call
}
