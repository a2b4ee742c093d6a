//! Calls of a store, its replies, and all that it shows.

use std::collections::BTreeMap;

use taskshed::domain::arrival::Unseen;
use taskshed::domain::id::QueueName;
use taskshed::domain::id::TaskId;
use taskshed::store::AckItem;
use taskshed::store::Acked;
use taskshed::store::Add;
use taskshed::store::AddOutcome;
use taskshed::store::Added;
use taskshed::store::Campaign;
use taskshed::store::Change;
use taskshed::store::Changed;
use taskshed::store::Claim;
use taskshed::store::Claimed;
use taskshed::store::Cluster;
use taskshed::store::Fetch;
use taskshed::store::Filter;
use taskshed::store::Gate;
use taskshed::store::Keep;
use taskshed::store::Kept;
use taskshed::store::Leader;
use taskshed::store::Leading;
use taskshed::store::Led;
use taskshed::store::List;
use taskshed::store::Look;
use taskshed::store::Looked;
use taskshed::store::Maintain;
use taskshed::store::Maintained;
use taskshed::store::Reclaim;
use taskshed::store::Resign;
use taskshed::store::Result;
use taskshed::store::Stats;
use taskshed::store::Store;
use taskshed::store::TaskRecord;

/// A call of any method.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Add(Add),
    Claim(Claim),
    Keep(Keep),
    Ack(Vec<AckItem>),
    Change(Change),
    Gate(QueueName, Gate),
    Campaign(Campaign),
    Resign(Resign),
    Look(Look),
    Reclaim(Reclaim),
    Maintain(Maintain),
    Fetch(Fetch),
}

/// Its reply.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    Added(Added),
    Claimed(Claimed),
    Kept(Kept),
    Acked(Vec<Acked>),
    Changed(Changed),
    Set,
    Leading(Leading),
    Resigned(Option<Leader>),
    Seen(Led<Looked>),
    Reclaimed(Led<u64>),
    Maintained(Led<Maintained>),
    Found(Vec<Option<TaskRecord>>),
}

/// All that a store shows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Picture {
    pub(crate) tasks: BTreeMap<TaskId, TaskRecord>,
    pub(crate) unseen: BTreeMap<TaskId, Unseen>,
    pub(crate) stats: Stats,
    pub(crate) cluster: Cluster,
}

impl Call {
    /// Makes the call. What the contract leaves without an order is sorted in the reply.
    pub(crate) async fn make(&self, store: &dyn Store) -> Result<Reply> {
        Ok(match self {
            Self::Add(add) => Reply::Added(store.add(add).await?),
            Self::Claim(claim) => Reply::Claimed(store.claim(claim).await?),
            Self::Keep(keep) => {
                let mut kept = store.keep(keep).await?;
                kept.stop.sort_by(|a, b| (&a.claim, &a.task).cmp(&(&b.claim, &b.task)));
                kept.stop.dedup();
                Reply::Kept(kept)
            }
            Self::Ack(items) => Reply::Acked(store.ack(items).await?),
            Self::Change(change) => {
                let mut changed = store.change(change).await?;
                changed.skipped.sort();
                Reply::Changed(changed)
            }
            Self::Gate(queue, gate) => {
                store.set_queue(queue, *gate).await?;
                Reply::Set
            }
            Self::Campaign(campaign) => Reply::Leading(store.campaign(campaign).await?),
            Self::Resign(resign) => Reply::Resigned(store.resign(resign).await?),
            Self::Look(look) => {
                let mut seen = store.leases(look).await?;
                if let Led::Done(looked) = &mut seen {
                    for view in &mut looked.leases {
                        view.tasks.sort_by(|a, b| a.id.cmp(&b.id));
                    }
                }
                Reply::Seen(seen)
            }
            Self::Reclaim(reclaim) => Reply::Reclaimed(store.reclaim(reclaim).await?),
            Self::Maintain(maintain) => Reply::Maintained(store.maintain(maintain).await?),
            Self::Fetch(fetch) => Reply::Found(store.fetch(fetch).await?),
        })
    }

    /// Whether the call must change nothing when it is repeated at once after `first`.
    pub(crate) fn settles(&self, first: &Reply) -> bool {
        match (self, first) {
            (Self::Claim(_), Reply::Claimed(claimed)) => !claimed.tasks.is_empty(),
            (_, Reply::Maintained(Led::Done(done))) => !done.more,
            // A later task of the batch may have freed the key; then the repeat adds the task.
            (_, Reply::Added(added)) => {
                !added.outcomes.iter().any(|outcome| matches!(outcome, AddOutcome::Duplicate(_)))
            }
            _ => true,
        }
    }
}

impl Picture {
    pub(crate) async fn of(store: &dyn Store) -> Result<Self> {
        let mut list = List { filter: Filter::default(), limit: 1000, cursor: None };
        let (mut tasks, mut unseen) = (BTreeMap::new(), BTreeMap::new());
        loop {
            let page = store.list(&list).await?;
            let ids = page.tasks.iter().map(|task| task.id.clone());
            unseen.extend(ids.zip(page.unseen));
            tasks.extend(page.tasks.into_iter().map(|task| (task.id.clone(), task)));
            list.cursor = page.next;
            if list.cursor.is_none() {
                break;
            }
        }
        Ok(Self { tasks, unseen, stats: store.stats().await?, cluster: store.cluster().await? })
    }

    /// The same later, when nothing but time has passed.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.tasks == other.tasks
            && self.unseen == other.unseen
            && self.stats.queues == other.stats.queues
            && self.cluster.nodes == other.cluster.nodes
    }
}
