//! Tasks as they are shown.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde::Serializer;

use crate::domain::id::Callback;
use crate::domain::id::GroupId;
use crate::domain::id::QueueName;
use crate::domain::id::TaskId;
use crate::domain::id::UniqueKey;
use crate::domain::json::Json;
use crate::domain::json::Kwargs;
use crate::domain::lease::Lease;
use crate::domain::retry::Backoff;
use crate::domain::schedule::CronSchedule;
use crate::domain::schedule::Schedule;
use crate::domain::state::TaskState;
use crate::domain::task::Priority;
use crate::domain::task::RunError;
use crate::domain::task::TaskRecord;
use crate::domain::time::Timestamp;
use crate::domain::time::format_duration;
use crate::store::Page;

/// One task as it is shown.
#[derive(Debug)]
pub(in crate::http) struct TaskView(TaskRecord);

impl TaskView {
    pub(in crate::http) fn of(task: TaskRecord) -> Self {
        Self(task)
    }
}

impl Serialize for TaskView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Shown::of(&self.0).serialize(serializer)
    }
}

/// One page of tasks.
#[derive(Debug, Serialize)]
pub(in crate::http) struct Listed {
    tasks: Vec<TaskView>,
    next_cursor: Option<String>,
    /// Tasks that are there and whose records cannot be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    corrupt: Vec<TaskId>,
}

impl Listed {
    pub(in crate::http) fn of(page: Page) -> Self {
        let tasks = page.tasks.into_iter().map(TaskView::of).collect();
        Self { tasks, next_cursor: page.next, corrupt: page.corrupt }
    }

    /// All tasks on a single page.
    pub(in crate::http) fn all(tasks: impl Iterator<Item = TaskRecord>) -> Self {
        Self::of(Page { tasks: tasks.collect(), ..Page::default() })
    }
}

/// The fields of a task: what was asked for first, then what became of it.
#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are those of the wire")]
struct Shown<'a> {
    task_id: &'a TaskId,
    callback: &'a Callback,
    kwargs: &'a Kwargs,
    run_at: Timestamp,
    run_type: &'static str,
    interval: Option<f64>,
    group_id: Option<&'a GroupId>,
    paused: bool,
    paused_at: Option<Timestamp>,
    coalesce: bool,
    cron: Option<&'a str>,
    timezone: Option<&'a str>,
    queue: &'a QueueName,
    priority: Priority,
    max_attempts: u32,
    backoff: &'a Backoff,
    timeout: Option<Length>,
    expires_at: Option<Timestamp>,
    exclusive: bool,
    unique_key: Option<&'a UniqueKey>,
    retention: Length,
    metadata: &'a BTreeMap<String, String>,
    state: TaskState,
    planned_at: Timestamp,
    attempt: u32,
    crashes: u32,
    suspect: bool,
    parked: bool,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
    result: Option<&'a Json>,
    last_error: Option<&'a RunError>,
    errors: &'a [RunError],
    lease: Option<&'a Lease>,
}

impl<'a> Shown<'a> {
    fn of(record: &'a TaskRecord) -> Self {
        let spec = &record.spec;
        let (interval, cron) = match &spec.schedule {
            Schedule::Once => (None, None),
            Schedule::Interval(interval) => (Some(interval.as_seconds()), None),
            Schedule::Cron(cron) => (None, Some(cron)),
        };
        Self {
            task_id: &record.id,
            callback: &spec.callback,
            kwargs: &spec.kwargs,
            run_at: record.run_at,
            run_type: if spec.schedule.is_recurring() { "recurring" } else { "once" },
            interval,
            group_id: spec.group_id.as_ref(),
            paused: record.paused_at.is_some(),
            paused_at: record.paused_at,
            coalesce: spec.coalesce,
            cron: cron.map(CronSchedule::expression),
            timezone: cron.map(CronSchedule::timezone),
            queue: &spec.queue,
            priority: spec.priority,
            max_attempts: spec.max_attempts,
            backoff: &spec.backoff,
            timeout: spec.timeout.map(Length),
            expires_at: record.expires_at,
            exclusive: spec.exclusive,
            unique_key: spec.unique_key.as_ref(),
            retention: Length(spec.retention),
            metadata: &spec.metadata,
            state: record.state,
            planned_at: record.planned_at,
            attempt: record.attempt,
            crashes: record.crashes,
            suspect: record.is_suspect(),
            parked: record.parked,
            created_at: record.created_at,
            finished_at: record.finished_at,
            result: record.result.as_ref(),
            last_error: record.errors.last(),
            errors: &record.errors,
            lease: record.lease.as_ref(),
        }
    }
}

/// A length as text with units.
struct Length(Duration);

impl Serialize for Length {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_duration(self.0))
    }
}
