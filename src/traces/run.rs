//! The spans of a run, wherever it runs: its claim, itself, its ack.
//!
//! A task that came with trace context has its runs beneath that, beside the claim that took it; the
//! runs of another one are roots. A recurring task outlives the trace it was added in, so its runs are
//! roots, those of one planned time in one trace, of which the first links to the add. An ack lies beneath
//! its run. The ack of a failed attempt has an id that follows from its error, which the store keeps, so
//! that the next attempt can link to it wherever it runs.

use std::time::Duration;

use crate::domain::id::NodeName;
use crate::domain::id::TaskId;
use crate::domain::lease::Fence;
use crate::domain::schedule::Schedule;
use crate::domain::state::Outcome;
use crate::domain::state::Verdict;
use crate::domain::state::last_bytes;
use crate::domain::task::RunError;
use crate::domain::task::TaskRecord;
use crate::domain::trace::TRACEPARENT;
use crate::domain::trace::TraceContext;

use super::End;
use super::Fact;
use super::Kind;
use super::Span;
use super::Start;
use super::Traces;

/// Where a run stands among other spans.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) parent: Option<TraceContext>,
    link: Option<TraceContext>,
    /// Its own context. It follows from what is known to whoever knows the run, so that one may hand it
    /// on and another tell of the run.
    pub(crate) own: TraceContext,
}

/// A run to tell of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    pub(crate) task: &'a TaskRecord,
    pub(crate) fence: Fence,
    /// Who runs it.
    pub(crate) node: &'a NodeName,
}

/// The trace context that came with a task.
pub(crate) fn context_of(task: &TaskRecord) -> Option<TraceContext> {
    task.spec.metadata.get(TRACEPARENT).and_then(|text| TraceContext::parse(text))
}

impl Standing {
    /// Where the run of a task stands that has this fence.
    pub(crate) fn of(task: &TaskRecord, fence: Fence) -> Self {
        let fence = fence.0.to_string();
        let words = [task.id.as_str(), "run", &fence];
        let former = task.errors.last().filter(|error| error.attempt < task.attempt);
        let former = |any| former.map(|error| failed(any, &task.id, error));
        match (context_of(task), &task.spec.schedule) {
            (Some(parent), Schedule::Once) => {
                let (own, link) = (parent.beside(&words), former(&parent));
                Self { parent: Some(parent), link, own }
            }
            (came, _) => {
                // Clusters that share a collector may have tasks of the same name and plan, but they did
                // not add them in the same µs.
                let (created, planned) = (task.created_at.to_string(), task.planned_at.to_string());
                let root =
                    TraceContext::root(&[task.id.as_str(), &created, &planned], came.as_ref());
                let link = former(&root).or(came);
                Self { parent: None, link, own: root.beside(&words) }
            }
        }
    }
}

/// Begins the span of a run that began so long ago.
pub(crate) fn begin(
    traces: &dyn Traces,
    told: Told<'_>,
    standing: &Standing,
    ago: Duration,
) -> Box<dyn Span> {
    let mut facts = facts(told);
    facts.push(("taskshed.attempt", u64::from(told.task.attempt).into()));
    facts.push(("taskshed.fence", told.fence.0.into()));
    traces.begin(Start {
        name: format!("run {}", told.task.spec.callback),
        kind: Kind::Consumer,
        parent: standing.parent.as_ref(),
        own: Some(&standing.own),
        link: standing.link.as_ref(),
        ago,
        facts,
    })
}

/// Ends a run's span, with as much of an error as the task keeps.
pub(crate) fn end(span: Box<dyn Span>, outcome: &Outcome) {
    let timed_out;
    let (outcome, error) = match outcome {
        Outcome::Completed(_) => ("completed", None),
        Outcome::Failed(message) => ("failed", Some(last_bytes(message))),
        Outcome::TimedOut(after) => {
            timed_out = format!("stopped after {after:?}");
            ("timed_out", Some(timed_out.as_str()))
        }
        Outcome::Dead(message) => ("dead", Some(last_bytes(message))),
        Outcome::Snoozed(_) => ("snoozed", None),
        Outcome::Released => ("released", None),
        Outcome::Cancelled => ("cancelled", None),
        Outcome::Expired => ("expired", None),
    };
    span.end(End { outcome, error, ago: Duration::ZERO });
}

/// Begins the span of the ack of a run that had this context. `attempt` is that of the run.
pub(crate) fn ack(
    traces: &dyn Traces,
    run: &TraceContext,
    task: &TaskId,
    verdict: &Verdict,
    attempt: u32,
) -> Box<dyn Span> {
    let (Verdict::Again { errors, .. } | Verdict::End { errors, .. }) = verdict;
    let error = errors.last().filter(|error| error.attempt == attempt);
    let own = error.map(|error| failed(run, task, error));
    traces.begin(Start {
        name: "ack".into(),
        kind: Kind::Client,
        parent: Some(run),
        own: own.as_ref(),
        link: None,
        ago: Duration::ZERO,
        facts: Vec::new(),
    })
}

/// Tells of the claim that took a task: it was asked and answered so long ago.
pub(crate) fn claimed(
    traces: &dyn Traces,
    told: Told<'_>,
    parent: &TraceContext,
    asked_ago: Duration,
    answered_ago: Duration,
) {
    let span = traces.begin(Start {
        name: "claim".into(),
        kind: Kind::Client,
        parent: Some(parent),
        own: None,
        link: None,
        ago: asked_ago,
        facts: facts(told),
    });
    span.end(End { outcome: "claimed", error: None, ago: answered_ago });
}

/// The context of the ack of an attempt that failed with this error, in the trace of `any` span of it.
fn failed(any: &TraceContext, task: &TaskId, error: &RunError) -> TraceContext {
    any.beside(&[task.as_str(), &error.attempt.to_string(), &error.at.to_string()])
}

fn facts(told: Told<'_>) -> Vec<(&'static str, Fact)> {
    let spec = &told.task.spec;
    vec![
        ("taskshed.task.id", told.task.id.as_str().into()),
        ("taskshed.callback", spec.callback.as_str().into()),
        ("taskshed.queue", spec.queue.as_str().into()),
        ("taskshed.node", told.node.as_str().into()),
    ]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::Mutex;

    use crate::domain::state::ERROR_BYTES_MAX;

    use super::*;

    /// Writes down with which error it ends.
    #[derive(Debug)]
    struct Recorded(Arc<Mutex<String>>);

    impl Span for Recorded {
        fn context(&self) -> Option<TraceContext> {
            None
        }

        fn end(self: Box<Self>, end: End<'_>) {
            *self.0.lock().unwrap() = end.error.unwrap_or_default().to_owned();
        }
    }

    #[test]
    fn a_span_ends_with_as_much_of_an_error_as_its_task_keeps() {
        let long = "a".repeat(ERROR_BYTES_MAX) + "the cause";
        for outcome in [Outcome::Failed(long.clone()), Outcome::Dead(long.clone())] {
            let error = Arc::default();

            end(Box::new(Recorded(Arc::clone(&error))), &outcome);

            let error = error.lock().unwrap();
            assert_eq!(error.len(), ERROR_BYTES_MAX);
            assert!(error.ends_with("the cause"));
        }
    }
}
