//! Sends spans to a collector by OTLP, set up by OpenTelemetry's own environment variables.
//!
//! Spans wait in a queue that is bounded, and a thread of the SDK sends them. If no collector answers,
//! they are dropped and counted, and nothing else happens.

mod bounded;
mod collector;

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::SpanId;
use opentelemetry::TraceFlags;
use opentelemetry::TraceId;
use opentelemetry::trace::Link;
use opentelemetry::trace::Span as _;
use opentelemetry::trace::SpanContext;
use opentelemetry::trace::SpanKind;
use opentelemetry::trace::Status;
use opentelemetry::trace::TraceContextExt;
use opentelemetry::trace::TraceState;
use opentelemetry::trace::Tracer;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace;
use opentelemetry_sdk::trace::IdGenerator;
use opentelemetry_sdk::trace::RandomIdGenerator;
use opentelemetry_sdk::trace::SdkTracer;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Runtime;

use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::config::Environment;
use crate::domain::trace::TraceContext;
use crate::metrics::Metrics;
use crate::traces::End;
use crate::traces::Fact;
use crate::traces::Kind;
use crate::traces::Span;
use crate::traces::Start;
use crate::traces::Traces;

use super::failure::Failure;

use bounded::Bounded;
use collector::Way;

/// How long the last spans may take to be sent when the program ends.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

/// What the service is called unless the environment says otherwise.
const SERVICE: &str = "taskshed";

/// Sends spans until it is dropped.
#[derive(Debug)]
pub(super) struct Exporter {
    provider: SdkTracerProvider,
    runtime: Option<Runtime>,
}

impl Exporter {
    /// Starts sending the spans of the node called `node`, if the environment names a collector, and
    /// counts them with `metrics`.
    pub(super) fn start(
        variables: &Environment,
        node: &str,
        metrics: Metrics,
    ) -> Result<Option<Self>, Failure> {
        let Some(Way { exporter, runtime }) = collector::find(variables)? else { return Ok(None) };
        let mut resource = Resource::builder();
        let attributes = variables.text("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        if variables.text("OTEL_SERVICE_NAME").is_none() && !attributes.contains("service.name=") {
            resource = resource.with_service_name(SERVICE);
        }
        let resource = resource
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", node.to_owned()))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_id_generator(Ids::default())
            .with_span_processor(Bounded::new(exporter, variables, metrics))
            .build();
        Ok(Some(Self { provider, runtime }))
    }

    /// What takes spans.
    pub(super) fn traces(&self) -> Arc<dyn Traces> {
        Arc::new(Otlp { tracer: self.provider.tracer(SERVICE) })
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // A collector that does not answer has lost them.
        let _dropped_with_this_process = self.provider.shutdown_with_timeout(FLUSH_WITHIN);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

thread_local! {
    /// The ids of the span that this thread is about to begin, if they were said.
    static OWN: Cell<Option<(TraceId, SpanId)>> = const { Cell::new(None) };
}

/// Ids by chance, unless the next ones were said: the SDK has no other way to be told.
#[derive(Debug, Default)]
struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        OWN.get().map_or_else(|| self.0.new_trace_id(), |(trace, _)| trace)
    }

    fn new_span_id(&self) -> SpanId {
        OWN.get().map_or_else(|| self.0.new_span_id(), |(_, span)| span)
    }
}

/// Hands spans to the SDK.
#[derive(Debug)]
struct Otlp {
    tracer: SdkTracer,
}

impl Traces for Otlp {
    fn begin(&self, start: Start<'_>) -> Box<dyn Span> {
        let kind = match start.kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Consumer => SpanKind::Consumer,
        };
        let attributes = start.facts.into_iter().map(|(name, fact)| match fact {
            Fact::Text(text) => KeyValue::new(name, text),
            Fact::Count(count) => KeyValue::new(name, i64::try_from(count).unwrap_or(i64::MAX)),
        });
        let link = start.link.and_then(remote).map(Link::with_context);
        let builder = self
            .tracer
            .span_builder(start.name)
            .with_kind(kind)
            .with_start_time(moment(start.ago))
            .with_attributes(attributes.collect::<Vec<_>>())
            .with_links(link.into_iter().collect());
        let parent = match start.parent.and_then(remote) {
            Some(context) => opentelemetry::Context::new().with_remote_span_context(context),
            None => opentelemetry::Context::new(),
        };
        let own = start.own.and_then(remote);
        OWN.set(own.map(|context| (context.trace_id(), context.span_id())));
        let span = builder.start_with_context(&self.tracer, &parent);
        OWN.set(None);
        Box::new(OtlpSpan(span))
    }
}

/// A span of the SDK.
#[derive(Debug)]
struct OtlpSpan(trace::Span);

impl Span for OtlpSpan {
    fn context(&self) -> Option<TraceContext> {
        let context = self.0.span_context();
        let (trace, span) = (context.trace_id(), context.span_id());
        TraceContext::parse(&format!("00-{trace}-{span}-{:02x}", context.trace_flags()))
    }

    fn end(mut self: Box<Self>, end: End<'_>) {
        self.0.set_attribute(KeyValue::new("taskshed.outcome", end.outcome.to_owned()));
        if let Some(error) = end.error {
            self.0.set_status(Status::error(error.to_owned()));
        }
        self.0.end_with_timestamp(moment(end.ago));
    }
}

/// The context of a span elsewhere.
fn remote(context: &TraceContext) -> Option<SpanContext> {
    let mut parts = context.as_str().split('-').skip(1);
    let trace = TraceId::from_hex(parts.next()?).ok()?;
    let span = SpanId::from_hex(parts.next()?).ok()?;
    let flags = u8::from_str_radix(parts.next()?, 16).ok()?;
    Some(SpanContext::new(trace, span, TraceFlags::new(flags), true, TraceState::default()))
}

/// The moment that was so long ago.
fn moment(ago: Duration) -> SystemTime {
    let us = u64::try_from(SystemClock.wall().as_us()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_micros(us).saturating_sub(ago)
}
