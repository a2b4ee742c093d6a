//! One task as it is sent.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::domain::draft::RunType;
use crate::domain::draft::Task;
use crate::domain::id::Callback;
use crate::domain::json::Kwargs;
use crate::domain::retry::ATTEMPTS_MAX;
use crate::domain::retry::Backoff;
use crate::domain::schedule::Interval;
use crate::domain::task::Priority;
use crate::domain::time::parse_duration;

use super::fields::Fields;
use super::fields::text;
use super::json;

/// Name under which a fault of a task as a whole is told.
const WHOLE: &str = "task";

/// Reads a task; whatever is wrong with it becomes one of its faults.
pub(super) fn read(raw: &RawValue) -> Task {
    match Fields::of(raw) {
        Ok(fields) => task(fields),
        Err(message) => {
            let mut task = Task::of(placeholder(), Kwargs::empty());
            task.fault(WHOLE, message);
            task
        }
    }
}

/// Reads a task from its fields.
pub(super) fn task(mut fields: Fields<'_>) -> Task {
    for name in ["group_id", "paused_at", "timeout", "expires_at", "expires_in", "unique_key"] {
        fields.drop_null(name);
    }
    if !fields.has("callback") {
        fields.fault("callback", "is required");
    }
    let callback = fields.parsed("callback").unwrap_or_else(placeholder);
    let kwargs = kwargs(&mut fields);

    let mut task = Task::of(callback, kwargs);
    task = identity(task, &mut fields);
    task = times(task, &mut fields);
    task = recurrence(task, &mut fields);
    task = policy(task, &mut fields);
    for fault in fields.end() {
        task.fault(&fault.field, fault.message);
    }
    task
}

/// Stands in for a callback that is missing, in a task that is refused for it.
fn placeholder() -> Callback {
    Callback::parse("?").expect("one letter is a callback")
}

fn kwargs(fields: &mut Fields<'_>) -> Kwargs {
    let Some(raw) = fields.raw("kwargs") else {
        return Kwargs::empty();
    };
    fields.kept("kwargs", Kwargs::parse(raw.get())).unwrap_or_default()
}

fn identity(mut task: Task, fields: &mut Fields<'_>) -> Task {
    if let Some(id) = fields.text("task_id") {
        task = task.id(&id);
    }
    if let Some(group) = fields.text("group_id") {
        task = task.group(&group);
    }
    if let Some(queue) = fields.text("queue") {
        task = task.queue(&queue);
    }
    if let Some(key) = fields.text("unique_key") {
        task = task.unique_key(&key);
    }
    if let Some(raw) = fields.raw("metadata")
        && let Some(metadata) = fields.kept("metadata", labels(raw))
    {
        task = task.metadata_all(metadata);
    }
    task
}

fn times(mut task: Task, fields: &mut Fields<'_>) -> Task {
    if let Some(at) = fields.moment("run_at") {
        task = task.run_at(at);
    }
    if let Some(delay) = fields.length("run_in") {
        task = task.run_in(delay);
    }
    if let Some(at) = fields.moment("expires_at") {
        task = task.expires_at(at);
    }
    if let Some(length) = fields.length("expires_in") {
        task = task.expires_in(length);
    }
    if fields.flag("paused") == Some(true) {
        task = task.paused();
    }
    if let Some(at) = fields.moment("paused_at") {
        task = task.paused_at(at);
    }
    task
}

fn recurrence(mut task: Task, fields: &mut Fields<'_>) -> Task {
    if let Some(text) = fields.text("run_type") {
        let run_type = match text.as_str() {
            "once" => Ok(RunType::Once),
            "recurring" => Ok(RunType::Recurring),
            _ => Err("must be once or recurring"),
        };
        if let Some(run_type) = fields.kept("run_type", run_type) {
            task = task.run_type(run_type);
        }
    }
    if let Some(raw) = fields.raw("interval") {
        match interval(raw) {
            Ok(every) => task = task.every(every),
            Err(message) => task.fault("interval", message),
        }
    }
    if let Some(expression) = fields.text("cron") {
        task = task.cron(&expression);
    }
    if let Some(zone) = fields.text("timezone") {
        task = task.timezone(&zone);
    }
    if fields.flag("coalesce") == Some(false) {
        task = task.catch_up();
    }
    task
}

fn policy(mut task: Task, fields: &mut Fields<'_>) -> Task {
    if let Some(text) = fields.text("priority") {
        let found = Priority::ALL.into_iter().find(|priority| priority.as_str() == text);
        let found = found.ok_or("must be critical, high, normal or low");
        if let Some(priority) = fields.kept("priority", found) {
            task = task.priority(priority);
        }
    }
    if let Some(raw) = fields.raw("max_attempts") {
        let read = raw.get().parse::<u32>();
        let read = read.map_err(|_| format!("must be a whole number from 1 to {ATTEMPTS_MAX}"));
        if let Some(count) = fields.kept("max_attempts", read) {
            task = task.max_attempts(count);
        }
    }
    if let Some(raw) = fields.raw("backoff")
        && let Some(backoff) = fields.kept("backoff", backoff(raw))
    {
        task = task.backoff(backoff);
    }
    if let Some(timeout) = fields.length("timeout") {
        task = task.timeout(timeout);
    }
    if fields.flag("exclusive") == Some(true) {
        task = task.exclusive();
    }
    if let Some(retention) = fields.length("retention") {
        task = task.retention(retention);
    }
    task
}

/// Seconds as a number, or text with a unit.
fn interval(raw: &RawValue) -> Result<Duration, String> {
    match raw.get().as_bytes().first() {
        Some(b'"') => parse_duration(&text(raw)?).map_err(|error| error.to_string()),
        Some(b'-' | b'0'..=b'9') => {
            let seconds: f64 = json::value(raw)?;
            Interval::try_from(seconds).map(Interval::every).map_err(|error| error.to_string())
        }
        _ => Err("must be seconds as a number, or text such as \"90s\"".into()),
    }
}

fn backoff(raw: &RawValue) -> Result<Backoff, String> {
    // Read into a type, a list would be taken for an object.
    json::members(raw)?;
    json::value(raw)
}

fn labels(raw: &RawValue) -> Result<BTreeMap<String, String>, String> {
    let members = json::members(raw)?;
    if let Some(name) = members.twice.first() {
        return Err(format!("{name:?} is given twice"));
    }
    let labels = members.values.into_iter().map(|(name, raw)| match text(raw) {
        Ok(value) => Ok((name, value)),
        Err(message) => Err(format!("{name:?} {message}")),
    });
    labels.collect()
}
