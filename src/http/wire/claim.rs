//! Claims of workers that are no nodes: what they ask for, and what they get.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::domain::draft::Fault;
use crate::domain::id::Callback;
use crate::domain::id::ClaimId;
use crate::domain::id::NodeName;
use crate::domain::id::QueueName;
use crate::domain::id::TaskId;
use crate::domain::json::Json;
use crate::domain::json::RESULT_BYTES_MAX;
use crate::domain::lease::Fence;
use crate::domain::lease::LEASE_MAX;
use crate::domain::lease::LEASE_MIN;
use crate::domain::state::Outcome;
use crate::domain::task::TaskRecord;
use crate::domain::time::Timestamp;
use crate::domain::trace::TraceContext;
use crate::http::WAIT_MAX;
use crate::http::problem::Answer;
use crate::http::problem::Problem;
use crate::remote::Handed;
use crate::remote::Renewed;
use crate::remote::Wish;
use crate::scheduler::IndexedFault;
use crate::store::Acked;
use crate::store::BATCH_MAX;

use super::fields::Fields;
use super::fields::text;
use super::json;
use super::task::TaskView;

/// Tasks of a claim unless asked otherwise.
const LIMIT: usize = 10;

/// Length of a lease unless asked otherwise.
const LEASE: Duration = Duration::from_secs(30);

/// Most queues of a claim.
const QUEUES_MAX: usize = 100;

/// What is said of a run that failed without a word.
const NO_REASON: &str = "the worker gave no reason";

/// What a worker asks for, and how long it waits.
#[derive(Debug)]
pub(in crate::http) struct AskedClaim {
    pub(in crate::http) wish: Wish,
    pub(in crate::http) wait: Duration,
}

/// Reads a claim.
pub(in crate::http) fn claim(body: &str) -> Answer<AskedClaim> {
    let mut fields = object(body)?;
    for name in ["callbacks", "claim_id"] {
        fields.drop_null(name);
    }
    if !fields.has("worker") {
        fields.fault("worker", "is required");
    }
    let worker: Option<NodeName> = fields.parsed("worker");
    let queues = names(&mut fields, "queues", QUEUES_MAX);
    let callbacks: Option<Vec<Callback>> = names(&mut fields, "callbacks", BATCH_MAX);
    let limit = limit(&mut fields);
    let lease = lease(&mut fields);
    let wait = fields.length("wait").unwrap_or_default();
    if wait > WAIT_MAX {
        fields.fault("wait", "at most 10m are taken");
    }
    let claim_id: Option<ClaimId> = fields.parsed("claim_id");

    let faults = fields.end();
    match worker {
        Some(worker) if faults.is_empty() => {
            let queues = queues.unwrap_or_else(|| vec![QueueName::default()]);
            let callbacks = callbacks.map(Arc::from);
            let wish = Wish { worker, queues, callbacks, limit, lease, claim_id };
            Ok(AskedClaim { wish, wait })
        }
        _ => Err(whole(faults)),
    }
}

/// Reads to which length a lease is to be prolonged.
pub(in crate::http) fn renewal(body: &str) -> Answer<Duration> {
    let mut fields = object(body)?;
    let lease = lease(&mut fields);
    let faults = fields.end();
    if faults.is_empty() { Ok(lease) } else { Err(whole(faults)) }
}

/// Reads outcomes.
pub(in crate::http) fn results(body: &str) -> Answer<Vec<Handed>> {
    let mut fields = object(body)?;
    let list = fields.raw("results");
    if list.is_none() {
        fields.fault("results", "is required");
    }
    let items = list.and_then(|raw| fields.kept("results", json::items(raw, BATCH_MAX)));
    let items = items.unwrap_or_default();
    if list.is_some() && items.is_empty() {
        fields.fault("results", format!("needs 1 to {BATCH_MAX} items"));
    }
    let whole = fields.end().into_iter().map(|fault| IndexedFault { index: None, fault });
    let mut faults: Vec<_> = whole.collect();

    let mut handed: Vec<Handed> = Vec::with_capacity(items.len());
    let mut seen = HashSet::new();
    for (index, raw) in items.into_iter().enumerate() {
        let found = match result(raw) {
            Ok(item) if seen.insert(item.task.clone()) => {
                handed.push(item);
                continue;
            }
            Ok(_) => vec![Fault::new("task_id", "is given twice")],
            Err(faults) => faults,
        };
        let indexed = found.into_iter().map(|fault| IndexedFault { index: Some(index), fault });
        faults.extend(indexed);
    }
    if faults.is_empty() { Ok(handed) } else { Err(Problem::invalid(faults)) }
}

fn object(body: &str) -> Answer<Fields<'_>> {
    let raw = json::document(body)?;
    Fields::of(raw).map_err(|message| Problem::invalid(vec![IndexedFault::whole("body", message)]))
}

fn whole(faults: Vec<Fault>) -> Problem {
    let faults = faults.into_iter().map(|fault| IndexedFault { index: None, fault });
    Problem::invalid(faults.collect())
}

/// A list of 1 to `max` different names.
fn names<T>(fields: &mut Fields<'_>, name: &str, max: usize) -> Option<Vec<T>>
where
    T: FromStr<Err: fmt::Display> + PartialEq,
{
    let raw = fields.raw(name)?;
    let items = fields.kept(name, json::items(raw, max))?;
    if items.is_empty() {
        fields.fault(name, "must not be empty");
    }
    let mut names: Vec<T> = Vec::with_capacity(items.len());
    for raw in items {
        let parsed = text(raw)
            .and_then(|text| text.parse::<T>().map_err(|error| format!("{text:?} {error}")));
        let Some(parsed) = fields.kept(name, parsed) else { continue };
        if names.contains(&parsed) {
            fields.fault(name, "names one twice");
        }
        names.push(parsed);
    }
    Some(names)
}

fn limit(fields: &mut Fields<'_>) -> usize {
    let Some(raw) = fields.raw("limit") else { return LIMIT };
    let read = raw.get().parse::<usize>().ok().filter(|limit| (1..=BATCH_MAX).contains(limit));
    let read = read.ok_or_else(|| format!("must be a whole number from 1 to {BATCH_MAX}"));
    fields.kept("limit", read).unwrap_or(LIMIT)
}

fn lease(fields: &mut Fields<'_>) -> Duration {
    let lease = fields.length("lease").unwrap_or(LEASE);
    if !(LEASE_MIN..=LEASE_MAX).contains(&lease) {
        fields.fault("lease", "must be from 1s to 10m");
    }
    lease
}

/// Reads one outcome, or what is wrong with it.
fn result(raw: &RawValue) -> Result<Handed, Vec<Fault>> {
    let mut fields = Fields::of(raw).map_err(|message| vec![Fault::new("results", message)])?;
    for name in ["task_id", "fence", "outcome"] {
        if !fields.has(name) {
            fields.fault(name, "is required");
        }
    }
    for name in ["result", "error", "delay"] {
        fields.drop_null(name);
    }
    let task: Option<TaskId> = fields.parsed("task_id");
    let fence = fields.raw("fence").and_then(|raw| {
        let read = raw.get().parse().map(Fence);
        fields.kept("fence", read.map_err(|_| "must be a whole number, as it came with the task"))
    });
    let outcome = outcome(&mut fields);
    let faults = fields.end();
    match (task, fence, outcome) {
        (Some(task), Some(fence), Some(outcome)) if faults.is_empty() => {
            Ok(Handed { task, fence, outcome })
        }
        _ => Err(faults),
    }
}

/// The outcome with what belongs to it; what belongs to another one stays behind and is a fault.
fn outcome(fields: &mut Fields<'_>) -> Option<Outcome> {
    let word = fields.text("outcome")?;
    Some(match word.as_str() {
        "completed" => Outcome::Completed(carried(fields)),
        "failed" => Outcome::Failed(fields.text("error").unwrap_or_else(|| NO_REASON.into())),
        "dead" => Outcome::Dead(fields.text("error").unwrap_or_else(|| NO_REASON.into())),
        "snoozed" if fields.has("delay") => Outcome::Snoozed(fields.length("delay")?),
        "snoozed" => {
            fields.fault("delay", "is required");
            return None;
        }
        "released" => Outcome::Released,
        _ => {
            fields.fault("outcome", "must be completed, failed, dead, snoozed or released");
            return None;
        }
    })
}

fn carried(fields: &mut Fields<'_>) -> Option<Json> {
    let raw = fields.raw("result")?;
    let bytes = raw.get().len();
    let read = if bytes > RESULT_BYTES_MAX {
        Err(format!("has {bytes} bytes, at most {RESULT_BYTES_MAX} are kept"))
    } else {
        Json::parse(raw.get()).map_err(|error| error.to_string())
    };
    fields.kept("result", read)
}

/// Reply to a claim.
#[derive(Debug, Serialize)]
pub(in crate::http) struct ClaimView {
    claim_id: Option<ClaimId>,
    expires_at: Option<Timestamp>,
    tasks: Vec<ClaimedTask>,
}

/// A task, and what its run's spans stand beneath.
#[derive(Debug, Serialize)]
struct ClaimedTask {
    #[serde(flatten)]
    task: TaskView,
    traceparent: Option<String>,
}

/// Reply to a renewal.
#[derive(Debug, Serialize)]
pub(in crate::http) struct RenewedView {
    expires_at: Timestamp,
    cancelled: Vec<TaskId>,
    timed_out: Vec<TaskId>,
}

/// Reply to outcomes.
#[derive(Debug, Serialize)]
pub(in crate::http) struct AckedView {
    results: Vec<AckedItem>,
}

#[derive(Debug, Serialize)]
struct AckedItem {
    task_id: TaskId,
    outcome: &'static str,
}

impl ClaimView {
    /// Shows tasks, each with what `trace_of` says of it.
    pub(in crate::http) fn of(
        tasks: Vec<TaskRecord>,
        trace_of: impl Fn(&TaskRecord) -> Option<TraceContext>,
    ) -> Self {
        let lease = tasks.first().and_then(|task| task.lease.clone());
        Self {
            claim_id: lease.as_ref().map(|lease| lease.claim_id.clone()),
            expires_at: lease.map(|lease| lease.expires_at),
            tasks: tasks
                .into_iter()
                .map(|task| {
                    let traceparent = trace_of(&task).map(|context| context.as_str().to_owned());
                    ClaimedTask { task: TaskView::of(task), traceparent }
                })
                .collect(),
        }
    }
}

impl RenewedView {
    pub(in crate::http) fn of(renewed: Renewed) -> Self {
        let Renewed { expires_at, cancelled, timed_out } = renewed;
        Self { expires_at, cancelled, timed_out }
    }
}

impl AckedView {
    pub(in crate::http) fn of(tasks: Vec<TaskId>, acked: Vec<Acked>) -> Self {
        let word = |acked| match acked {
            Acked::Done => "done",
            Acked::Stale => "stale",
        };
        let items = tasks.into_iter().zip(acked);
        let item = |(task_id, acked)| AckedItem { task_id, outcome: word(acked) };
        Self { results: items.map(item).collect() }
    }
}
