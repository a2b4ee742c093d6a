//! How metrics are written down: their names, what they mean, and their labels.

use std::fmt;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::MetricEncoder;
use prometheus_client::encoding::NoLabelSet;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::Added;
use super::Cause;
#[cfg(feature = "otlp")]
use super::Lost;
use super::Metrics;
use super::Sender;
use super::calls::Trouble;
use super::count::Counter;
use super::count::Histogram;
use super::runs::Runs;
use super::sample::QueueSample;

/// Labels of one series.
type Labels = Vec<(&'static str, String)>;

/// Picks one counter of a callback.
type OneOf = fn(&Runs) -> &Counter;

/// All numbers in the text format of Prometheus.
pub(super) fn text(metrics: &Metrics) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Plain(metrics.clone())));
    let mut text = String::new();
    encode_registry(&mut text, &registry).expect("a string takes all that is written to it");
    text
}

/// Registered so, the numbers are written in the format of the registry, which is that of `OpenMetrics`.
impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        show(self, Page { encoder, is_plain: false })
    }
}

/// Metrics in the older format, in which the family of a counter is called like its samples.
#[derive(Debug)]
struct Plain(Metrics);

impl Collector for Plain {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        show(&self.0, Page { encoder, is_plain: true })
    }
}

fn show(metrics: &Metrics, mut page: Page<'_>) -> fmt::Result {
    metrics.counted.read.notify_one();
    let runs = all_runs(metrics);
    show_node(metrics, &mut page)?;
    show_tasks(metrics, &runs, &mut page)?;
    show_outcomes(&runs, &mut page)?;
    show_runs(&runs, &mut page)?;
    show_store(metrics, &mut page)?;
    #[cfg(feature = "otlp")]
    show_spans(metrics, &mut page)?;
    show_sample(metrics, &mut page)
}

/// Runs by callback; those without a handler here come last, under an empty one.
fn all_runs(metrics: &Metrics) -> Vec<(Labels, Arc<Runs>)> {
    let label = |callback: String| vec![("callback", callback)];
    let named = metrics.runs();
    let named = named.iter().map(|(name, runs)| (label(name.to_string()), Arc::clone(runs)));
    named.chain([(label(String::new()), metrics.others())]).collect()
}

fn show_node(metrics: &Metrics, page: &mut Page<'_>) -> fmt::Result {
    let counted = &*metrics.counted;
    let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
    page.gauges("build_info", "Which taskshed this is; always 1.", [(version, Value::Whole(1))])?;
    page.gauges(
        "node_concurrency",
        "Most tasks that this node runs at once.",
        [(Labels::new(), Value::Whole(counted.concurrency.load(Relaxed)))],
    )?;
    page.gauges(
        "node_clock_skew_seconds",
        "How far the wall clock of this node is ahead of the store's.",
        [(Labels::new(), Value::of_us(counted.skew_us.load(Relaxed)))],
    )?;
    page.gauges(
        "leader",
        "Whether this node leads.",
        [(Labels::new(), Value::Whole(counted.leads.load(Relaxed).into()))],
    )?;
    page.gauges(
        "leader_term",
        "Term of the leader of whom this node heard last.",
        [(Labels::new(), Value::Whole(counted.term.load(Relaxed)))],
    )
}

fn show_tasks(metrics: &Metrics, runs: &[(Labels, Arc<Runs>)], page: &mut Page<'_>) -> fmt::Result {
    let counted = &*metrics.counted;
    page.counters(
        "tasks_added_total",
        "Tasks of adds through this node, by how the store met them.",
        named("outcome", Added::NAMES, &counted.added),
    )?;
    page.counters(
        "tasks_started_total",
        "Runs that began on this node.",
        runs.iter().map(|(labels, runs)| (labels.clone(), runs.lag.count())),
    )?;
    page.counters(
        "tasks_reclaimed_total",
        "Tasks that this node, as leader, put back because their lease ran out.",
        named("cause", Cause::NAMES, &counted.reclaimed),
    )?;
    page.counters(
        "acks_stale_total",
        "Outcomes that the store refused, because their claim did not hold the task any more.",
        named("sender", Sender::NAMES, &counted.stale),
    )?;
    page.histograms(
        "claim_tasks",
        "Tasks that a claim brought.",
        [(Labels::new(), &counted.claims)],
    )?;
    page.counters(
        "leases_renewed_total",
        "Leases that were prolonged through this node.",
        [(Labels::new(), counted.renewed.get())],
    )?;
    page.counters(
        "leases_lost_total",
        "Leases of this node that the store gave up while runs under them were under way.",
        [(Labels::new(), counted.lost.get())],
    )
}

fn show_outcomes(runs: &[(Labels, Arc<Runs>)], page: &mut Page<'_>) -> fmt::Result {
    let families: [(&str, &str, OneOf); 7] = [
        ("tasks_completed_total", "Runs that completed.", |runs| &runs.completed),
        ("tasks_failed_total", "Runs that failed or timed out.", |runs| &runs.failed),
        ("tasks_retried_total", "Failed runs whose task runs again.", |runs| &runs.retried),
        ("tasks_snoozed_total", "Runs that asked to run again later.", |runs| &runs.snoozed),
        ("tasks_released_total", "Tasks that were handed back unfinished.", |runs| &runs.released),
        ("tasks_cancelled_total", "Runs that ended because they were cancelled.", |runs| {
            &runs.cancelled
        }),
        (
            "runs_possibly_duplicate_total",
            "Runs that had begun here and whose task the store gave away before it took their outcome.",
            |runs| &runs.possibly_duplicate,
        ),
    ];
    for (name, help, of) in families {
        let rows = runs.iter().map(|(labels, runs)| (labels.clone(), of(runs).get()));
        page.counters(name, help, rows)?;
    }

    let dead = runs.iter().flat_map(|(labels, runs)| {
        let causes = [("failures", &runs.dead), ("crashes", &runs.dead_by_crashes)];
        causes.map(|(cause, count)| {
            let mut labels = labels.clone();
            labels.push(("cause", cause.to_owned()));
            (labels, count.get())
        })
    });
    page.counters("tasks_dead_total", "Tasks that gave up, after failures or crashes.", dead)
}

fn show_runs(runs: &[(Labels, Arc<Runs>)], page: &mut Page<'_>) -> fmt::Result {
    let is_node = |(labels, _): &&(Labels, _)| labels.iter().all(|(_, value)| !value.is_empty());
    let in_flight = runs.iter().filter(is_node);
    page.gauges(
        "runs_in_flight",
        "Runs that are under way on this node.",
        in_flight.map(|(labels, runs)| (labels.clone(), Value::Whole(runs.in_flight()))),
    )?;
    page.histograms(
        "task_lag_seconds",
        "From when a task was due to the start of its run, by the store's clock.",
        runs.iter().map(|(labels, runs)| (labels.clone(), &runs.lag)),
    )?;
    page.histograms(
        "run_duration_seconds",
        "From the start of a run to its end.",
        runs.iter().map(|(labels, runs)| (labels.clone(), &runs.length)),
    )
}

fn show_store(metrics: &Metrics, page: &mut Page<'_>) -> fmt::Result {
    let label = |method: &str| vec![("method", method.to_owned())];
    let calls = &metrics.counted.calls;
    page.histograms(
        "store_call_duration_seconds",
        "What calls to the store took, those without an answer included.",
        calls.made().map(|(method, call)| (label(method), &call.length)),
    )?;
    let errors = calls.made().flat_map(|(method, call)| {
        Trouble::NAMES.iter().zip(&call.errors).map(move |(kind, count)| {
            let mut labels = label(method);
            labels.push(("kind", (*kind).to_owned()));
            (labels, count.get())
        })
    });
    page.counters("store_errors_total", "Calls to the store that gave no answer, by why.", errors)
}

#[cfg(feature = "otlp")]
fn show_spans(metrics: &Metrics, page: &mut Page<'_>) -> fmt::Result {
    let spans = &metrics.counted.spans;
    page.counters(
        "spans_sent_total",
        "Spans that a collector took.",
        [(Labels::new(), spans.sent.get())],
    )?;
    page.counters(
        "spans_dropped_total",
        "Spans that no collector got, by why.",
        named("reason", Lost::NAMES, &spans.dropped),
    )
}

/// What only a leader sees; nothing on other nodes.
fn show_sample(metrics: &Metrics, page: &mut Page<'_>) -> fmt::Result {
    let sample = metrics.counted.sample.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Some(sample) = sample else { return Ok(()) };
    let name =
        |queue: &QueueSample| queue.queue.as_ref().map_or(String::new(), ToString::to_string);
    let label = |queue: &QueueSample| vec![("queue", name(queue))];

    let tasks = sample.queues.iter().flat_map(|queue| {
        QueueSample::STATES.iter().zip(queue.tasks).map(|(state, count)| {
            let mut labels = label(queue);
            labels.push(("state", (*state).to_owned()));
            (labels, Value::Whole(count))
        })
    });
    page.gauges("queue_tasks", "Tasks by queue and state.", tasks)?;
    page.gauges(
        "queue_oldest_due_age_seconds",
        "How long the task has been due that is due longest; 0 if none is.",
        sample.queues.iter().map(|one| (label(one), Value::Real(one.oldest_due_age.as_secs_f64()))),
    )?;
    page.gauges(
        "queue_paused",
        "Whether nothing is claimed from the queue.",
        sample.queues.iter().map(|one| (label(one), Value::Whole(one.is_paused.into()))),
    )?;
    page.gauges(
        "queue_nodes",
        "Nodes that serve the queue and do not drain.",
        sample.queues.iter().map(|one| (label(one), Value::Whole(one.node_count))),
    )?;
    let none = Labels::new;
    page.gauges(
        "nodes",
        "Nodes of the cluster that beat lately.",
        [(none(), Value::Whole(sample.node_count))],
    )?;
    page.gauges(
        "queues_sampled_timestamp_seconds",
        "When the leader looked at the queues, by the store's clock.",
        [(none(), Value::of_us(sample.at.as_us()))],
    )
}

/// A counter for each name.
fn named<const COUNT: usize>(
    label: &'static str,
    names: [&'static str; COUNT],
    counters: &[Counter; COUNT],
) -> impl Iterator<Item = (Labels, u64)> {
    let rows = names.into_iter().zip(counters);
    rows.map(move |(name, count)| (vec![(label, name.to_owned())], count.get()))
}

/// What a gauge shows.
enum Value {
    Whole(u64),
    Real(f64),
}

impl Value {
    #[expect(clippy::cast_precision_loss, reason = "a µs more or less in 285 years")]
    fn of_us(us: i64) -> Self {
        Self::Real(us as f64 / 1e6)
    }
}

/// What a family is.
#[derive(Clone, Copy)]
struct About<'a> {
    /// Without the program's own.
    name: &'a str,
    help: &'a str,
    kind: MetricType,
}

/// Where families are written to.
struct Page<'a> {
    encoder: DescriptorEncoder<'a>,
    is_plain: bool,
}

impl Page<'_> {
    /// Takes the name with its `_total`.
    fn counters(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (Labels, u64)>,
    ) -> fmt::Result {
        let is_plain = self.is_plain;
        let name = if is_plain { name } else { name.trim_end_matches("_total") };
        self.family(About { name, help, kind: MetricType::Counter }, rows, |mut row, value| {
            // Written like a gauge a sample is called like its family, as the older format has it.
            if is_plain {
                row.encode_gauge(&value)
            } else {
                row.encode_counter::<NoLabelSet, _, u64>(&value, None)
            }
        })
    }

    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (Labels, Value)>,
    ) -> fmt::Result {
        self.family(About { name, help, kind: MetricType::Gauge }, rows, |mut row, value| {
            match value {
                Value::Whole(value) => row.encode_gauge(&value),
                Value::Real(value) => row.encode_gauge(&value),
            }
        })
    }

    fn histograms<'h>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (Labels, &'h Histogram)>,
    ) -> fmt::Result {
        self.family(
            About { name, help, kind: MetricType::Histogram },
            rows,
            |mut row, histogram| {
                let seen = histogram.seen();
                row.encode_histogram::<NoLabelSet>(seen.sum, seen.count, &seen.buckets, None)
            },
        )
    }

    fn family<T>(
        &mut self,
        about: About<'_>,
        rows: impl IntoIterator<Item = (Labels, T)>,
        write: impl Fn(MetricEncoder<'_>, T) -> fmt::Result,
    ) -> fmt::Result {
        let name = format!("taskshed_{}", about.name);
        let mut family = self.encoder.encode_descriptor(&name, about.help, None, about.kind)?;
        for (labels, value) in rows {
            // An empty set would be written as a pair of braces; a family without labels has one row.
            if labels.is_empty() {
                return write(family, value);
            }
            write(family.encode_family(&labels)?, value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    /// A program with a registry of its own registers the handle there.
    #[test]
    fn a_registry_takes_the_numbers_in_its_own_format() {
        let metrics = Metrics::default();
        metrics.added(Added::Created, 3);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(metrics.clone()));

        let mut text = String::new();
        encode(&mut text, &registry).unwrap();

        assert!(text.contains("# TYPE taskshed_tasks_added counter\n"), "{text}");
        assert!(text.contains("\ntaskshed_tasks_added_total{outcome=\"created\"} 3\n"), "{text}");
        let plain = metrics.text();
        assert!(plain.contains("# TYPE taskshed_tasks_added_total counter\n"), "{plain}");
        let samples = |text: &str| {
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(samples(&plain), samples(&text));
    }
}
