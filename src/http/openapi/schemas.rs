//! The shapes of bodies and replies. Tests compare them with what the program takes and gives.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::domain::state::TaskState;
use crate::domain::task::Priority;

use super::reference;

/// All schemas, by name.
pub(super) fn all() -> Value {
    let mut schemas = Map::new();
    let groups = [tasks(), changes(), claims(), cluster()];
    for (name, schema) in groups.into_iter().flatten() {
        schemas.insert(name.to_owned(), schema);
    }
    schemas.into()
}

/// The schema of a query parameter.
pub(super) fn query(name: &str) -> Value {
    match name {
        "task_id" => list(text()),
        "limit" => json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 }),
        "state" => state(),
        "wait" => length(),
        _ => text(),
    }
}

type Schemas = Vec<(&'static str, Value)>;

/// Fields that are asked for and shown alike.
fn shared() -> Vec<(&'static str, Value)> {
    vec![
        ("task_id", text()),
        ("callback", text()),
        ("kwargs", json!({ "type": "object" })),
        ("run_at", moment()),
        ("run_type", json!({ "type": "string", "enum": ["once", "recurring"] })),
        ("group_id", nullable(text())),
        ("paused", flag()),
        ("paused_at", nullable(moment())),
        ("coalesce", flag()),
        ("queue", text()),
        ("priority", words(&Priority::ALL.map(Priority::as_str))),
        ("max_attempts", json!({ "type": "integer", "minimum": 1, "maximum": 1000 })),
        ("backoff", json!({ "type": "object" })),
        ("timeout", nullable(length())),
        ("expires_at", nullable(moment())),
        ("exclusive", flag()),
        ("unique_key", nullable(text())),
        ("retention", length()),
        ("metadata", json!({ "type": "object", "additionalProperties": text() })),
    ]
}

fn tasks() -> Schemas {
    let mut asked = shared();
    asked.extend([
        ("run_in", length()),
        ("interval", json!({ "type": ["number", "string"] })),
        ("cron", text()),
        ("timezone", text()),
        ("expires_in", nullable(length())),
    ]);
    let mut shown = shared();
    shown.extend([
        ("interval", json!({ "type": ["number", "null"] })),
        ("cron", nullable(text())),
        ("timezone", nullable(text())),
        ("state", state()),
        ("planned_at", moment()),
        ("attempt", count()),
        ("crashes", count()),
        ("suspect", flag()),
        ("parked", flag()),
        ("created_at", moment()),
        ("finished_at", nullable(moment())),
        ("result", json!({})),
        ("last_error", json!({ "anyOf": [reference("RunError"), { "type": "null" }] })),
        ("errors", list(reference("RunError"))),
        ("lease", json!({ "anyOf": [reference("Lease"), { "type": "null" }] })),
    ]);
    let mut claimed = shown.clone();
    claimed.push(("traceparent", nullable(text())));
    let batch = [("tasks", list(reference("NewTask"))), ("replace_existing", flag())];
    let outcome = words(&["created", "replaced", "kept", "duplicate"]);
    let mut page = object(&[("tasks", list(reference("Task"))), ("next_cursor", nullable(text()))]);
    page["properties"]["corrupt"] = list(text());
    vec![
        ("NewTask", partial(&asked, &["callback"])),
        ("Batch", partial(&batch, &["tasks"])),
        ("NewTasks", json!({ "anyOf": [reference("NewTask"), reference("Batch")] })),
        ("Task", object(&shown)),
        ("ClaimedTask", object(&claimed)),
        ("Tasks", page),
        ("Added", object(&[("tasks", list(object(&[("task_id", text()), ("outcome", outcome)])))])),
        (
            "RunError",
            object(&[
                ("message", text()),
                ("at", moment()),
                ("node", text()),
                ("attempt", count()),
            ]),
        ),
        (
            "Lease",
            object(&[
                ("node", text()),
                ("claim_id", text()),
                ("fence", count()),
                ("expires_at", moment()),
            ]),
        ),
    ]
}

fn changes() -> Schemas {
    let target = [("task_ids", list(text())), ("group_id", text())];
    let mut selection = target.to_vec();
    selection.extend([("queue", text()), ("callback", text()), ("state", state())]);
    let mut removal = selection.clone();
    removal.push(("all", flag()));
    let mut together = target.to_vec();
    together.extend([("run_at", moment()), ("run_in", length())]);
    let each = list(object(&[("task_id", text()), ("run_at", moment())]));
    let reschedule = [reference("RescheduleEach"), reference("RescheduleTogether")];
    let skipped = object(&[("task_id", text()), ("state", state())]);
    let fault = object(&[
        ("index", json!({ "type": ["integer", "null"] })),
        ("field", text()),
        ("message", text()),
    ]);
    let problem = [
        ("type", text()),
        ("title", text()),
        ("status", count()),
        ("detail", text()),
        ("errors", list(fault)),
    ];
    vec![
        ("Target", partial(&target, &[])),
        ("Selection", partial(&selection, &[])),
        ("Removal", partial(&removal, &[])),
        ("RescheduleEach", object(&[("tasks", each)])),
        ("RescheduleTogether", partial(&together, &[])),
        ("Reschedule", json!({ "anyOf": reschedule })),
        (
            "Changed",
            object(&[("affected", count()), ("missing", list(text())), ("skipped", list(skipped))]),
        ),
        ("Problem", partial(&problem, &["type", "title", "status", "detail"])),
    ]
}

fn claims() -> Schemas {
    let claim = [
        ("worker", text()),
        ("queues", list(text())),
        ("callbacks", json!({ "type": ["array", "null"], "items": text() })),
        ("limit", json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 10 })),
        ("lease", length()),
        ("wait", length()),
        ("claim_id", nullable(text())),
    ];
    let outcomes = words(&["completed", "failed", "dead", "snoozed", "released"]);
    let result = [
        ("task_id", text()),
        ("fence", count()),
        ("outcome", outcomes),
        ("result", json!({})),
        ("error", nullable(text())),
        ("delay", nullable(length())),
    ];
    let result = partial(&result, &["task_id", "fence", "outcome"]);
    let acked = object(&[("task_id", text()), ("outcome", words(&["done", "stale"]))]);
    vec![
        ("Claim", partial(&claim, &["worker"])),
        ("Renewal", partial(&[("lease", length())], &[])),
        ("Results", object(&[("results", list(result))])),
        (
            "Claimed",
            object(&[
                ("claim_id", nullable(text())),
                ("expires_at", nullable(moment())),
                ("tasks", list(reference("ClaimedTask"))),
            ]),
        ),
        (
            "Renewed",
            object(&[
                ("expires_at", moment()),
                ("cancelled", list(text())),
                ("timed_out", list(text())),
            ]),
        ),
        ("Acked", object(&[("results", list(acked))])),
    ]
}

fn cluster() -> Schemas {
    let by_priority: Vec<_> =
        Priority::ALL.map(|priority| (priority.as_str(), count())).into_iter().collect();
    let mut queue =
        vec![("queue", text()), ("paused", flag()), ("scheduled", object(&by_priority))];
    let waiting = ["due", "held", "parked", "suspects", "running", "backlog"];
    let ended = ["completed", "dead", "cancelled", "expired"];
    queue.extend(waiting.into_iter().chain(ended).map(|name| (name, count())));
    queue.extend([("oldest_due_at", nullable(moment())), ("oldest_due_age", nullable(length()))]);
    let node = [
        ("name", text()),
        ("process_id", text()),
        ("kind", words(&["node", "remote"])),
        ("version", text()),
        ("leader", flag()),
        ("queues", list(text())),
        ("callbacks", list(text())),
        ("concurrency", count()),
        ("running", count()),
        ("draining", flag()),
        ("beat_at", moment()),
        ("clock_skew_us", json!({ "type": "integer" })),
    ];
    let leader = [("node", text()), ("process_id", text()), ("term", count()), ("until", moment())];
    let leads = json!({ "anyOf": [reference("Leader"), { "type": "null" }] });
    vec![
        (
            "Queues",
            object(&[("now", moment()), ("backlog", count()), ("queues", list(object(&queue)))]),
        ),
        ("Gate", object(&[("queue", text()), ("paused", flag())])),
        ("NextWakeup", object(&[("run_at", nullable(moment()))])),
        ("Nodes", object(&[("now", moment()), ("nodes", list(object(&node)))])),
        ("Leader", object(&leader)),
        ("Leading", object(&[("now", moment()), ("leader", leads)])),
        ("Draining", object(&[("node", text())])),
        ("Resigned", object(&[("resigned", reference("Leader"))])),
        ("Status", object(&[("status", text())])),
        ("Events", text()),
        ("Metrics", text()),
        ("Document", json!({ "type": "object" })),
    ]
}

/// An object with exactly these fields.
fn object(fields: &[(&'static str, Value)]) -> Value {
    let all: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
    partial(fields, &all)
}

/// An object with some of these fields.
fn partial(fields: &[(&'static str, Value)], required: &[&str]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn list(items: impl Into<Value>) -> Value {
    json!({ "type": "array", "items": items.into() })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn moment() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn length() -> Value {
    json!({ "type": "string", "description": "a length with units, such as 1h30m" })
}

fn words(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

fn state() -> Value {
    words(&TaskState::ALL.map(TaskState::as_str))
}

fn nullable(mut schema: Value) -> Value {
    schema["type"] = json!([schema["type"], "null"]);
    schema
}
