//! Events as they are shown.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::domain::state::Again;
use crate::domain::state::TaskState;
use crate::events::Event;
use crate::events::Run;

/// The name of an event, and what it tells.
pub(in crate::http) fn show(event: &Event) -> (&'static str, Value) {
    match event {
        Event::Added { task } => ("task.added", json!({ "task_id": task })),
        Event::Started { run, lag } => {
            let mut data = of_run(run);
            data["lag_ms"] = milliseconds(*lag);
            ("task.started", data)
        }
        Event::Ended { run, state, again, error, took } => {
            let mut data = of_run(run);
            data["state"] = json!(state);
            data["took_ms"] = milliseconds(*took);
            if let Some(error) = error {
                data["error"] = json!(error);
                return ("task.failed", data);
            }
            let name = match (state, again) {
                (TaskState::Completed, _) | (_, Some(Again::Next)) => "task.completed",
                (TaskState::Dead, _) => "task.failed",
                (TaskState::Cancelled, _) => "task.cancelled",
                (TaskState::Expired, _) => "task.expired",
                (_, Some(Again::Snooze)) => "task.snoozed",
                _ => "task.released",
            };
            (name, data)
        }
        Event::Stale { run } => ("task.stale", of_run(run)),
        Event::Reclaimed { node, count, crashed } => {
            ("task.reclaimed", json!({ "node": node, "count": count, "crashed": crashed }))
        }
        Event::LeaderChanged { node, term } => {
            ("leader.changed", json!({ "node": node, "term": term }))
        }
        Event::Joined { node } => ("node.joined", json!({ "node": node })),
        Event::Left { node } => ("node.left", json!({ "node": node })),
    }
}

fn of_run(run: &Run) -> Value {
    json!({
        "task_id": run.task,
        "callback": run.callback,
        "queue": run.queue,
        "planned_at": run.planned_at,
        "attempt": run.attempt,
        "fence": run.fence,
        "node": run.node,
    })
}

fn milliseconds(length: Duration) -> Value {
    let us = u32::try_from(length.as_micros()).unwrap_or(u32::MAX);
    json!(f64::from(us) / 1000.0)
}
