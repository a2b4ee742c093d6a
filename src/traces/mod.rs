//! Spans: what a node and its API did, told to whoever takes them.
//!
//! This crate sends none by itself: a program hands a [`Traces`] to its node and to its API. Without
//! one the only cost is to look whether there is one; a task's trace context goes on to its handler
//! all the same.

pub(crate) mod run;

use std::fmt;
use std::time::Duration;

use crate::domain::trace::TraceContext;

/// Takes spans.
pub trait Traces: fmt::Debug + Send + Sync + 'static {
    /// Begins a span. Called for each run, on the runtimes of the node: it must not block.
    fn begin(&self, start: Start<'_>) -> Box<dyn Span>;
}

/// A span under way. One that is dropped without [`Span::end`] ends as it is.
pub trait Span: fmt::Debug + Send + Sync + 'static {
    /// What is handed on, so that others' spans lie beneath this one.
    fn context(&self) -> Option<TraceContext>;

    /// Ends it.
    fn end(self: Box<Self>, end: End<'_>);
}

/// The beginning of a span.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    /// What is done.
    pub name: String,
    /// Who does it to whom.
    pub kind: Kind,
    /// The span above it; without one it is the root of a trace.
    pub parent: Option<&'a TraceContext>,
    /// What its own context is to be, if others know it beforehand.
    pub own: Option<&'a TraceContext>,
    /// A span that it has to do with, in this trace or another one.
    pub link: Option<&'a TraceContext>,
    /// How long ago it began.
    pub ago: Duration,
    /// What is known of it, by name.
    pub facts: Vec<(&'static str, Fact)>,
}

/// Who does what to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Answers a request.
    Server,
    /// Asks for something.
    Client,
    /// Works on a task that somebody has added.
    Consumer,
}

/// One thing that is known of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact {
    /// A name.
    Text(String),
    /// A number.
    Count(u64),
}

/// The end of a span.
#[derive(Clone, Copy, Debug, Default)]
pub struct End<'a> {
    /// How it ended, in a word.
    pub outcome: &'a str,
    /// What went wrong, if something did.
    pub error: Option<&'a str>,
    /// How long ago it ended.
    pub ago: Duration,
}

impl From<&str> for Fact {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Fact {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}
