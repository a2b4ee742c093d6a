//! The spans of a run on a node, and the one under which its log lines stand.

use std::time::Duration;

use tracing::field::Empty;
use tracing::info_span;

use crate::domain::state::Outcome;
use crate::domain::trace::TraceContext;
use crate::store::AckItem;
use crate::traces::Span;
use crate::traces::run;
use crate::traces::run::Standing;
use crate::traces::run::Told;
use crate::traces::run::context_of;

use super::core::Core;
use super::run::Run;

/// A run's span, and what its handler hands on.
#[derive(Debug)]
pub(super) struct RunSpan {
    span: Box<dyn Span>,
    context: Option<TraceContext>,
}

/// The span under which log lines of a run stand; none if nobody reads them.
pub(super) fn log_span(run: &Run, span: Option<&RunSpan>) -> Option<Box<tracing::Span>> {
    let log = info_span!("run", task.id = %run.task.id, task.attempt = run.task.attempt, trace.id = Empty);
    if log.is_disabled() {
        return None;
    }
    let came = context_of(&run.task);
    let context = span.and_then(RunSpan::context).or(came.as_ref());
    if let Some(context) = context {
        log.record("trace.id", context.trace_id());
    }
    Some(Box::new(log))
}

impl RunSpan {
    /// Begins a run's span, and tells of its claim. A box, because most nodes have none.
    pub(super) fn begin(core: &Core, run: &Run) -> Option<Box<Self>> {
        let traces = core.traces.as_deref()?;
        let standing = Standing::of(&run.task, run.fence());
        let told = Told { task: &run.task, fence: run.fence(), node: &core.config.name };
        if let Some(parent) = &standing.parent {
            let ago = |at| core.clock.steady().saturating_sub(at);
            let (asked, answered) = (ago(run.claim.asked_at), ago(run.claim.answered_at));
            run::claimed(traces, told, parent, asked, answered);
        }
        let span = run::begin(traces, told, &standing, Duration::ZERO);
        let context = span.context();
        Some(Box::new(Self { span, context }))
    }

    /// What the handler hands on.
    pub(super) fn context(&self) -> Option<&TraceContext> {
        self.context.as_ref()
    }

    /// Ends it. What is left is where its ack belongs.
    pub(super) fn end(self, outcome: &Outcome) -> Option<TraceContext> {
        run::end(self.span, outcome);
        self.context
    }
}

/// Begins the span of the ack of a run that had this context.
pub(super) fn ack(
    core: &Core,
    run: &TraceContext,
    item: &AckItem,
    attempt: u32,
) -> Option<Box<dyn Span>> {
    let traces = core.traces.as_deref()?;
    Some(run::ack(traces, run, &item.task, &item.verdict, attempt))
}
