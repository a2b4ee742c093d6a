//! Which trace an add belongs to, and its span.

use std::fmt::Display;
use std::time::Duration;

use axum::http::HeaderMap;

use crate::domain::draft::Task;
use crate::domain::trace::TRACEPARENT;
use crate::domain::trace::TraceContext;
use crate::traces::End;
use crate::traces::Kind;
use crate::traces::Span;
use crate::traces::Start;
use crate::traces::Traces;

/// An add, as a part of a trace.
#[derive(Debug)]
pub(super) struct AddSpan {
    span: Option<Box<dyn Span>>,
    context: Option<TraceContext>,
}

/// Begins the span of an add of `count` tasks, if anybody takes spans.
pub(super) fn begin(traces: Option<&dyn Traces>, headers: &HeaderMap, count: usize) -> AddSpan {
    let asked = asked_in(headers);
    let Some(traces) = traces else { return AddSpan { span: None, context: asked } };
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    let span = traces.begin(Start {
        name: "add".into(),
        kind: Kind::Server,
        parent: asked.as_ref(),
        own: None,
        link: None,
        ago: Duration::ZERO,
        facts: vec![("taskshed.tasks", count.into())],
    });
    let context = span.context().or(asked);
    AddSpan { span: Some(span), context }
}

impl AddSpan {
    /// Puts tasks into the trace, as far as they name none.
    pub(super) fn own(&self, tasks: Vec<Task>) -> Vec<Task> {
        match &self.context {
            Some(context) => tasks.into_iter().map(|task| task.traced(context)).collect(),
            None => tasks,
        }
    }

    /// Ends it with what came of the add.
    pub(super) fn end<T>(self, answer: &Result<T, impl Display>) {
        let Some(span) = self.span else { return };
        let error = answer.as_ref().err().map(ToString::to_string);
        let outcome = if error.is_none() { "added" } else { "failed" };
        span.end(End { outcome, error: error.as_deref(), ago: Duration::ZERO });
    }
}

/// The trace of a request. One that cannot be read, or comes twice, is none.
fn asked_in(headers: &HeaderMap) -> Option<TraceContext> {
    let mut given = headers.get_all(TRACEPARENT).iter();
    match (given.next(), given.next()) {
        (Some(one), None) => one.to_str().ok().and_then(TraceContext::parse),
        _ => None,
    }
}
