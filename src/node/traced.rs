//! The spans of a run: its claim, itself, its ack.
//!
//! A task that came with trace context has its runs beneath that, beside the claim that took it; the
//! runs of another one are roots. A recurring task outlives the trace it was added in, so its runs are
//! roots with a link. An ack lies beneath its run. The ack of a failed attempt has an id that follows from
//! its error, which the store keeps, so that the next attempt can link to it wherever it runs.

use std::time::Duration;

use tracing::field::Empty;
use tracing::info_span;

use crate::domain::id::TaskId;
use crate::domain::schedule::Schedule;
use crate::domain::state::Outcome;
use crate::domain::state::Verdict;
use crate::domain::task::RunError;
use crate::domain::trace::TRACEPARENT;
use crate::domain::trace::TraceContext;
use crate::store::AckItem;
use crate::traces::End;
use crate::traces::Fact;
use crate::traces::Kind;
use crate::traces::Span;
use crate::traces::Start;
use crate::traces::Traces;

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
    let came = context_of(run);
    let context = span.and_then(RunSpan::context).or(came.as_ref());
    if let Some(context) = context {
        log.record("trace.id", context.trace_id());
    }
    Some(Box::new(log))
}

/// The trace context that came with a task.
fn context_of(run: &Run) -> Option<TraceContext> {
    run.task.spec.metadata.get(TRACEPARENT).and_then(|text| TraceContext::parse(text))
}

impl RunSpan {
    /// Begins a run's span, and tells of its claim. A box, because most nodes have none.
    pub(super) fn begin(core: &Core, run: &Run) -> Option<Box<Self>> {
        let traces = core.traces.as_deref()?;
        let (parent, link) = match (context_of(run), &run.task.spec.schedule) {
            (Some(context), Schedule::Once) => {
                let error = run.task.errors.last();
                let former = error.map(|error| failed(&context, &run.task.id, error));
                (Some(context), former)
            }
            (context, _) => (None, context),
        };
        if let Some(parent) = &parent {
            claimed(traces, core, run, parent);
        }
        let mut facts = facts(core, run);
        facts.push(("taskshed.attempt", u64::from(run.task.attempt).into()));
        facts.push(("taskshed.fence", run.fence().0.into()));
        let span = traces.begin(Start {
            name: format!("run {}", run.task.spec.callback),
            kind: Kind::Consumer,
            parent: parent.as_ref(),
            own: None,
            link: link.as_ref(),
            ago: Duration::ZERO,
            facts,
        });
        let context = span.context();
        Some(Box::new(Self { span, context }))
    }

    /// What the handler hands on.
    pub(super) fn context(&self) -> Option<&TraceContext> {
        self.context.as_ref()
    }

    /// Ends it. What is left is where its ack belongs.
    pub(super) fn end(self, outcome: &Outcome) -> Option<TraceContext> {
        let timed_out;
        let (outcome, error) = match outcome {
            Outcome::Completed(_) => ("completed", None),
            Outcome::Failed(message) => ("failed", Some(message.as_str())),
            Outcome::TimedOut(after) => {
                timed_out = format!("stopped after {after:?}");
                ("timed_out", Some(timed_out.as_str()))
            }
            Outcome::Dead(message) => ("dead", Some(message.as_str())),
            Outcome::Snoozed(_) => ("snoozed", None),
            Outcome::Released => ("released", None),
            Outcome::Cancelled => ("cancelled", None),
            Outcome::Expired => ("expired", None),
        };
        self.span.end(End { outcome, error, ago: Duration::ZERO });
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
    let (Verdict::Again { errors, .. } | Verdict::End { errors, .. }) = &item.verdict;
    let error = errors.last().filter(|error| error.attempt == attempt);
    let own = error.map(|error| failed(run, &item.task, error));
    Some(traces.begin(Start {
        name: "ack".into(),
        kind: Kind::Client,
        parent: Some(run),
        own: own.as_ref(),
        link: None,
        ago: Duration::ZERO,
        facts: Vec::new(),
    }))
}

/// The context of the ack of an attempt that failed with this error, in the trace of `any` span of it.
fn failed(any: &TraceContext, task: &TaskId, error: &RunError) -> TraceContext {
    any.beside(&[task.as_str(), &error.attempt.to_string(), &error.at.to_string()])
}

/// Tells of the claim that took a run's task.
fn claimed(traces: &dyn Traces, core: &Core, run: &Run, parent: &TraceContext) {
    let now = core.clock.steady();
    let facts = facts(core, run);
    let ago = now.saturating_sub(run.claim.asked_at);
    let (name, kind, parent) = ("claim".into(), Kind::Client, Some(parent));
    let span = traces.begin(Start { name, kind, parent, own: None, link: None, ago, facts });
    let ago = now.saturating_sub(run.claim.answered_at);
    span.end(End { outcome: "claimed", error: None, ago });
}

fn facts(core: &Core, run: &Run) -> Vec<(&'static str, Fact)> {
    let spec = &run.task.spec;
    vec![
        ("taskshed.task.id", run.task.id.as_str().into()),
        ("taskshed.callback", spec.callback.as_str().into()),
        ("taskshed.queue", spec.queue.as_str().into()),
        ("taskshed.node", core.config.name.as_str().into()),
    ]
}
