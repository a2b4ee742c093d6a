//! One run of one task, as the loops of a node share it.

use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::SeqCst;

use crate::domain::lease::Fence;
use crate::domain::task::TaskRecord;
use crate::events;
use crate::handlers::Stopper;

use super::claims::HeldClaim;

/// A claimed task on its way through this node.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) task: Arc<TaskRecord>,
    pub(super) claim: Arc<HeldClaim>,
    pub(super) stopper: Stopper,
    phase: AtomicU8,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Phase {
    /// Its handler was not called yet.
    Waiting,
    /// Its handler was called.
    Started,
    /// It is over; its verdict is on its way.
    Ended,
    /// The store answered.
    Acked,
}

impl Run {
    pub(super) fn new(task: TaskRecord, claim: Arc<HeldClaim>) -> Arc<Self> {
        Arc::new(Self {
            task: Arc::new(task),
            claim,
            stopper: Stopper::default(),
            phase: AtomicU8::new(Phase::Waiting as u8),
        })
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(SeqCst) {
            0 => Phase::Waiting,
            1 => Phase::Started,
            2 => Phase::Ended,
            _ => Phase::Acked,
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, SeqCst);
    }

    /// The fence that came with the claim.
    pub(super) fn fence(&self) -> Fence {
        self.task.lease.as_ref().map_or(Fence(0), |lease| lease.fence)
    }

    /// How events name it.
    pub(super) fn name(&self, node: &crate::domain::id::NodeName) -> events::Run {
        events::Run {
            task: self.task.id.clone(),
            callback: self.task.spec.callback.clone(),
            queue: self.task.spec.queue.clone(),
            planned_at: self.task.planned_at,
            attempt: self.task.attempt,
            fence: self.fence(),
            node: node.clone(),
        }
    }
}
