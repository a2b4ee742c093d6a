//! Calls and replies as values, so that they can be on their way.

#![cfg_attr(
    not(test),
    expect(clippy::wildcard_imports, reason = "a store names all of its contract")
)]

use futures_util::FutureExt;
use taskshed::domain::id::QueueName;
use taskshed::store::*;

/// A call of any method that goes over the network.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Add(Add),
    Fetch(Fetch),
    Change(Change),
    Gate(QueueName, Gate),
    Claim(Claim),
    Keep(Keep),
    Ack(Vec<AckItem>),
    Campaign(Campaign),
    Resign(Resign),
    Look(Look),
    Reclaim(Reclaim),
    Maintain(Maintain),
    Declare(Declare),
}

/// Its reply.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Added(Added),
    Found(Vec<Option<TaskRecord>>),
    Changed(Changed),
    Set,
    Claimed(Claimed),
    Kept(Kept),
    Acked(Vec<Acked>),
    Leading(Leading),
    Resigned(Option<Leader>),
    Seen(Led<Looked>),
    Reclaimed(Led<u64>),
    Maintained(Led<Maintained>),
    Declared(Led<()>),
}

impl Call {
    pub(crate) fn method(&self) -> &'static str {
        match self {
            Self::Add(_) => "add",
            Self::Fetch(_) => "fetch",
            Self::Change(_) => "change",
            Self::Gate(..) => "set_queue",
            Self::Claim(_) => "claim",
            Self::Keep(_) => "keep",
            Self::Ack(_) => "ack",
            Self::Campaign(_) => "campaign",
            Self::Resign(_) => "resign",
            Self::Look(_) => "leases",
            Self::Reclaim(_) => "reclaim",
            Self::Maintain(_) => "maintain",
            Self::Declare(_) => "declare",
        }
    }

    /// Whether it would be repeated in vain if it changed something that was not kept.
    pub(crate) fn writes(&self) -> bool {
        !matches!(self, Self::Fetch(_))
    }

    /// Has its effect. A store in memory answers at once.
    pub(crate) fn make(&self, store: &dyn Store) -> Reply {
        match self {
            Self::Add(add) => Reply::Added(now(store.add(add))),
            Self::Fetch(fetch) => Reply::Found(now(store.fetch(fetch))),
            Self::Change(change) => Reply::Changed(now(store.change(change))),
            Self::Gate(queue, gate) => {
                now(store.set_queue(queue, *gate));
                Reply::Set
            }
            Self::Claim(claim) => Reply::Claimed(now(store.claim(claim))),
            Self::Keep(keep) => Reply::Kept(now(store.keep(keep))),
            Self::Ack(items) => Reply::Acked(now(store.ack(items))),
            Self::Campaign(campaign) => Reply::Leading(now(store.campaign(campaign))),
            Self::Resign(resign) => Reply::Resigned(now(store.resign(resign))),
            Self::Look(look) => Reply::Seen(now(store.leases(look))),
            Self::Reclaim(reclaim) => Reply::Reclaimed(now(store.reclaim(reclaim))),
            Self::Maintain(maintain) => Reply::Maintained(now(store.maintain(maintain))),
            Self::Declare(declare) => Reply::Declared(now(store.declare(declare))),
        }
    }
}

/// The answer of a store in memory.
pub(crate) fn now<T>(call: impl Future<Output = Result<T>>) -> T {
    call.now_or_never().expect("memory never waits").expect("memory never fails")
}
