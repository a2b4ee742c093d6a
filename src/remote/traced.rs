//! The spans of runs of workers that are no nodes.
//!
//! A run is told when it is over, by the node that hears of its end. Its id follows from task and fence, so
//! the node that gave the task away, another one perhaps, could already tell the worker what to put its
//! own spans beneath. A run whose worker falls silent is not told.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::id::TaskId;
use crate::domain::state::Outcome;
use crate::domain::task::TaskRecord;
use crate::domain::time::Timestamp;
use crate::domain::trace::TraceContext;
use crate::store::AckItem;
use crate::store::Acked;
use crate::traces::End;
use crate::traces::Span;
use crate::traces::Traces;
use crate::traces::run;
use crate::traces::run::Standing;
use crate::traces::run::Told;
use crate::traces::run::context_of;

use super::Desk;
use super::claimed_at;

/// Acks that are under way.
#[derive(Debug)]
pub(super) struct AckSpans(Vec<Option<Box<dyn Span>>>);

impl Desk {
    /// What the worker that holds `task` hands on: the run's span where spans are taken, else the trace
    /// context that came with the task.
    #[must_use]
    pub fn trace_of(&self, task: &TaskRecord) -> Option<TraceContext> {
        match (&self.traces, &task.lease) {
            (Some(_), Some(lease)) => Some(Standing::of(task, lease.fence).own),
            _ => context_of(task),
        }
    }

    /// Tells of the claim that brought `tasks` and was asked for `asked_at`, by the steady clock.
    pub(super) fn tell_claimed(&self, tasks: &[TaskRecord], asked_at: Duration) {
        let Some(traces) = self.traces.as_deref() else { return };
        let ago = self.clock.steady().saturating_sub(asked_at);
        for task in tasks {
            let Some(told) = told(task) else { continue };
            if let Some(parent) = &Standing::of(task, told.fence).parent {
                run::claimed(traces, told, parent, ago, Duration::ZERO);
            }
        }
    }

    /// What is told of runs that are over, before anybody knows whether the store accepts it.
    pub(super) fn begin_acks(
        &self,
        items: &[AckItem],
        outcomes: &[Outcome],
        found: &HashMap<TaskId, TaskRecord>,
        now: Timestamp,
    ) -> AckSpans {
        let Some(traces) = self.traces.as_deref() else { return AckSpans(Vec::new()) };
        let pairs = items.iter().zip(outcomes);
        AckSpans(pairs.map(|(item, outcome)| tell(traces, item, outcome, found, now)).collect())
    }
}

/// Tells of a run and begins its ack; of none that the claim does not hold.
fn tell(
    traces: &dyn Traces,
    item: &AckItem,
    outcome: &Outcome,
    found: &HashMap<TaskId, TaskRecord>,
    now: Timestamp,
) -> Option<Box<dyn Span>> {
    let task = found.get(&item.task)?;
    let lease = task.lease.as_ref()?;
    if lease.claim_id != item.claim || lease.fence != item.fence {
        return None;
    }
    let standing = Standing::of(task, item.fence);
    let ago = now.since(claimed_at(item.fence));
    let span = run::begin(traces, told(task)?, &standing, ago);
    let context = span.context().unwrap_or(standing.own);
    run::end(span, outcome);
    Some(run::ack(traces, &context, &task.id, &item.verdict, task.attempt))
}

fn told(task: &TaskRecord) -> Option<Told<'_>> {
    let lease = task.lease.as_ref()?;
    Some(Told { task, fence: lease.fence, node: &lease.node })
}

impl AckSpans {
    /// Ends them with what the store answered. Without an answer they end as they are.
    pub(super) fn end(self, acked: &[Acked]) {
        for (span, acked) in self.0.into_iter().zip(acked) {
            let outcome = match acked {
                Acked::Done => "done",
                Acked::Stale => "stale",
            };
            if let Some(span) = span {
                span.end(End { outcome, error: None, ago: Duration::ZERO });
            }
        }
    }
}
