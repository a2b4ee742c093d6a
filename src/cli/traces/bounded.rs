//! The queue in which spans wait, and what becomes of them.
//!
//! The queue of the SDK drops what it has no room for, and does not say so. So spans are counted on their
//! way in and out, and it is never given more than it takes.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace;
use opentelemetry_sdk::trace::BatchConfigBuilder;
use opentelemetry_sdk::trace::BatchSpanProcessor;
use opentelemetry_sdk::trace::Span;
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sdk::trace::SpanProcessor;
use tracing::info;
use tracing::warn;

use crate::config::Environment;
use crate::metrics::Lost;
use crate::metrics::Metrics;

/// Most spans that wait, unless the environment says otherwise.
const ROOM: usize = 2048;

/// Takes spans that have ended, and hands them to a thread that sends them.
#[derive(Debug)]
pub(super) struct Bounded {
    queue: BatchSpanProcessor,
    room: usize,
    flow: Arc<Flow>,
}

/// Spans on their way.
#[derive(Debug)]
struct Flow {
    /// Those that wait or are being sent.
    inside: AtomicUsize,
    metrics: Metrics,
}

impl Bounded {
    /// A queue before `exporter` that counts with `metrics`.
    pub(super) fn new(exporter: SpanExporter, variables: &Environment, metrics: Metrics) -> Self {
        let room = variables.text("OTEL_BSP_MAX_QUEUE_SIZE").map(str::parse);
        // What is no number counts as not set, as for all variables that the SDK reads.
        let room = room.and_then(Result::ok).filter(|room| *room > 0).unwrap_or(ROOM);
        let flow = Arc::new(Flow { inside: AtomicUsize::new(0), metrics });
        let sender = Sender { exporter, flow: Arc::clone(&flow), fails: AtomicBool::new(false) };
        let config = BatchConfigBuilder::default().with_max_queue_size(room).build();
        Self { queue: BatchSpanProcessor::new(sender, config), room, flow }
    }
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.queue.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        let more = |inside| (inside < self.room).then_some(inside + 1);
        match self.flow.inside.fetch_update(Relaxed, Relaxed, more) {
            Ok(_) => self.queue.on_end(span),
            Err(_) => self.flow.metrics.spans().drop(Lost::QueueFull, 1),
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.queue.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.queue.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.queue.set_resource(resource);
    }
}

/// Sends spans, counts them, and says when that begins to fail and when it succeeds again.
#[derive(Debug)]
struct Sender {
    exporter: SpanExporter,
    flow: Arc<Flow>,
    fails: AtomicBool,
}

impl trace::SpanExporter for Sender {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let sent = self.exporter.export(batch).await;
        self.flow.inside.fetch_sub(count, Relaxed);
        let spans = self.flow.metrics.spans();
        match &sent {
            Ok(()) => {
                spans.sent.add(count as u64);
                if self.fails.swap(false, Relaxed) {
                    info!("the collector takes spans again");
                }
            }
            Err(error) => {
                spans.drop(Lost::NotSent, count as u64);
                if !self.fails.swap(true, Relaxed) {
                    warn!(error = why(error), "the collector takes no spans; they are dropped");
                }
            }
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// An error without the words that each has.
fn why(error: &OTelSdkError) -> String {
    match error {
        OTelSdkError::InternalFailure(reason) => reason.clone(),
        other => other.to_string(),
    }
}
