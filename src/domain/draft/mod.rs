//! What a user asks for, before it was checked.
//!
//! A [`Task`] takes anything and remembers each fault under the name of its field; [`Task::check`]
//! tells all of them at once. The library's builder, the HTTP API and the command line share it, so
//! they refuse alike.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::domain::id::Callback;
use crate::domain::id::GroupId;
use crate::domain::id::QueueName;
use crate::domain::id::TaskId;
use crate::domain::id::UniqueKey;
use crate::domain::json::KWARGS_BYTES_MAX;
use crate::domain::json::Kwargs;
use crate::domain::retry::ATTEMPTS_MAX;
use crate::domain::retry::Backoff;
use crate::domain::schedule::CronSchedule;
use crate::domain::schedule::Interval;
use crate::domain::schedule::InvalidSchedule;
use crate::domain::schedule::Schedule;
use crate::domain::task::NewTask;
use crate::domain::task::Priority;
use crate::domain::task::Spec;
use crate::domain::time::Moment;
use crate::domain::time::Timestamp;
use crate::domain::trace::TRACEPARENT;
use crate::domain::trace::TraceContext;

/// Most bytes of a task's metadata, keys and values together.
pub const METADATA_BYTES_MAX: usize = 16 << 10;

/// What is wrong with one field of a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Fault {
    /// Name of the field, as on the wire.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Fault {
    /// A fault of `field`.
    pub fn new(field: impl Into<String>, message: impl fmt::Display) -> Self {
        Self { field: field.into(), message: message.to_string() }
    }
}

/// Why a task cannot be made at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid task: {0}")]
pub struct InvalidTask(#[from] pub Fault);

/// Whether a task runs a single time or again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunType {
    /// A single time.
    Once,
    /// Again and again.
    Recurring,
}

/// A task to be added. Only the callback and its arguments are required.
///
/// Setters take what they are given; a value that cannot be used is reported, under the name of its
/// field, when the task is added.
#[derive(Clone, Debug)]
#[must_use = "a task does nothing until it is added"]
pub struct Task {
    id: Option<TaskId>,
    spec: Spec,
    run_type: Option<RunType>,
    run_at: Option<Timestamp>,
    run_in: Option<Duration>,
    interval: Option<Interval>,
    cron: Option<String>,
    timezone: Option<String>,
    expires_at: Option<Timestamp>,
    expires_in: Option<Duration>,
    is_paused: bool,
    paused_at: Option<Timestamp>,
    faults: Vec<Fault>,
}

/// A task without faults, whose planned time may still wait for the store's now.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    id: Option<TaskId>,
    spec: Spec,
    run_at: Moment,
    expires: Option<Moment>,
    paused: Option<Moment>,
}

impl Task {
    /// A task for `callback`: queue `default`, due at once, default backoff.
    ///
    /// # Errors
    ///
    /// If the name is not a callback, or `kwargs` does not become a JSON object.
    pub fn new(callback: &str, kwargs: &(impl Serialize + ?Sized)) -> Result<Self, InvalidTask> {
        let callback = Callback::parse(callback).map_err(|e| Fault::new("callback", e))?;
        let kwargs = Kwargs::of(kwargs).map_err(|e| Fault::new("kwargs", e))?;
        Ok(Self::of(callback, kwargs))
    }

    /// The same from parts that were parsed already.
    pub fn of(callback: Callback, kwargs: Kwargs) -> Self {
        Self {
            id: None,
            spec: Spec::new(callback, kwargs),
            run_type: None,
            run_at: None,
            run_in: None,
            interval: None,
            cron: None,
            timezone: None,
            expires_at: None,
            expires_in: None,
            is_paused: false,
            paused_at: None,
            faults: Vec::new(),
        }
    }

    /// Chooses the identity; adding it again replaces the task or keeps it.
    pub fn id(mut self, id: &str) -> Self {
        self.id = self.parsed("task_id", id);
        self
    }

    /// The identity that was chosen, if one was and it can be used.
    #[must_use]
    pub fn chosen_id(&self) -> Option<&TaskId> {
        self.id.as_ref()
    }

    /// Its arguments.
    #[must_use]
    pub fn kwargs(&self) -> &Kwargs {
        &self.spec.kwargs
    }

    /// Makes the task due at `at`; for cron, at the first match at or after it.
    pub fn run_at(mut self, at: Timestamp) -> Self {
        self.run_at = Some(at);
        self
    }

    /// Makes the task due `delay` after the store accepts it, by the store's clock.
    pub fn run_in(mut self, delay: Duration) -> Self {
        self.run_in = Some(delay);
        self
    }

    /// Says whether it runs once or again; needed only to be refused if the schedule disagrees.
    pub fn run_type(mut self, run_type: RunType) -> Self {
        self.run_type = Some(run_type);
        self
    }

    /// Runs again and again, `every` apart.
    pub fn every(mut self, every: Duration) -> Self {
        match Interval::new(every) {
            Ok(interval) => self.interval = Some(interval),
            Err(error) => self.fault("interval", error),
        }
        self
    }

    /// Runs again and again, at the matches of a cron expression.
    pub fn cron(mut self, expression: &str) -> Self {
        self.cron = Some(expression.into());
        self
    }

    /// The IANA time zone on whose wall clock the cron expression is read; UTC otherwise.
    pub fn timezone(mut self, name: &str) -> Self {
        self.timezone = Some(name.into());
        self
    }

    /// Runs each missed recurrence instead of letting them collapse into one.
    pub fn catch_up(mut self) -> Self {
        self.spec.coalesce = false;
        self
    }

    /// Puts the task into a group, for bulk operations.
    pub fn group(mut self, group: &str) -> Self {
        self.spec.group_id = self.parsed::<GroupId>("group_id", group);
        self
    }

    /// Puts the task into a queue.
    pub fn queue(mut self, queue: &str) -> Self {
        if let Some(queue) = self.parsed::<QueueName>("queue", queue) {
            self.spec.queue = queue;
        }
        self
    }

    /// Sets its urgency inside the queue.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.spec.priority = priority;
        self
    }

    /// Sets how many charged runs it has before it is dead: 1 to 1000.
    pub fn max_attempts(mut self, count: u32) -> Self {
        if (1..=ATTEMPTS_MAX).contains(&count) {
            self.spec.max_attempts = count;
        } else {
            self.fault("max_attempts", format!("must be from 1 to {ATTEMPTS_MAX}"));
        }
        self
    }

    /// Sets the wait between attempts.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        match backoff.check() {
            Ok(()) => self.spec.backoff = backoff,
            Err(error) => self.fault("backoff", error),
        }
        self
    }

    /// Stops a run after `timeout` and counts it as failed.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if timeout.is_zero() {
            self.fault("timeout", "must be longer than zero; leave it out for the default");
        } else {
            self.spec.timeout = Some(timeout);
        }
        self
    }

    /// Never runs it if it was not started by `at`.
    pub fn expires_at(mut self, at: Timestamp) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// Never runs it if it was not started within `length`, by the store's clock.
    pub fn expires_in(mut self, length: Duration) -> Self {
        self.expires_in = Some(length);
        self
    }

    /// Aborts a run before its node's trust in the lease ends, so that runs never overlap.
    pub fn exclusive(mut self) -> Self {
        self.spec.exclusive = true;
        self
    }

    /// Refuses to be added while another live task has the same key.
    pub fn unique_key(mut self, key: &str) -> Self {
        self.spec.unique_key = self.parsed::<UniqueKey>("unique_key", key);
        self
    }

    /// Keeps the completed task and its result this long.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.spec.retention = retention;
        self
    }

    /// Keeps the completed task and its result this long, or longer if that was asked for.
    pub fn retention_at_least(self, retention: Duration) -> Self {
        let longest = self.spec.retention.max(retention);
        self.retention(longest)
    }

    /// Adds a label, or trace context; handlers do not get it as an argument.
    pub fn metadata(mut self, key: &str, value: &str) -> Self {
        self.spec.metadata.insert(key.into(), value.into());
        self
    }

    /// Replaces all labels.
    pub fn metadata_all(mut self, metadata: BTreeMap<String, String>) -> Self {
        self.spec.metadata = metadata;
        self
    }

    /// Puts the task into a trace, unless its metadata names one, or has no room for it.
    pub fn traced(mut self, context: &TraceContext) -> Self {
        let metadata = &mut self.spec.metadata;
        let taken = metadata.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        let needed = TRACEPARENT.len() + context.as_str().len();
        if !metadata.contains_key(TRACEPARENT) && taken + needed <= METADATA_BYTES_MAX {
            metadata.insert(TRACEPARENT.into(), context.as_str().into());
        }
        self
    }

    /// Adds the task paused, since the store's now.
    pub fn paused(mut self) -> Self {
        self.is_paused = true;
        self
    }

    /// Says since when the paused task is paused.
    pub fn paused_at(mut self, at: Timestamp) -> Self {
        self.paused_at = Some(at);
        self
    }

    /// What is known to be wrong before [`Task::check`] looks at the fields together.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Records that `field` was given something that cannot be used.
    pub fn fault(&mut self, field: &str, message: impl fmt::Display) {
        self.faults.push(Fault::new(field, message));
    }

    /// Checks the fields, alone and against each other.
    ///
    /// # Errors
    ///
    /// Every fault, each with the name of its field.
    pub fn check(mut self, kwargs_bytes_max: usize) -> Result<Draft, Vec<Fault>> {
        self.check_sizes(kwargs_bytes_max);
        self.check_moments();
        self.spec.schedule = self.check_schedule();
        if !self.faults.is_empty() {
            return Err(self.faults);
        }

        let run_at = match (self.run_at, self.run_in) {
            (Some(at), _) => Moment::At(at),
            (None, length) => Moment::In(length.unwrap_or_default()),
        };
        let expires = self.expires_at.map(Moment::At).or(self.expires_in.map(Moment::In));
        let since = self.paused_at.map_or(Moment::In(Duration::ZERO), Moment::At);
        let paused = self.is_paused.then_some(since);
        Ok(Draft { id: self.id, spec: self.spec, run_at, expires, paused })
    }

    fn check_sizes(&mut self, kwargs_bytes_max: usize) {
        let found = self.spec.kwargs.as_str().len();
        if found > kwargs_bytes_max.min(KWARGS_BYTES_MAX) {
            let max = kwargs_bytes_max.min(KWARGS_BYTES_MAX);
            let message = format!("has {found} bytes, at most {max} are allowed; pass a reference");
            self.fault("kwargs", message);
        }
        let metadata = self.spec.metadata.iter().map(|(key, value)| key.len() + value.len());
        let found: usize = metadata.sum();
        if found > METADATA_BYTES_MAX {
            let message = format!("has {found} bytes, at most {METADATA_BYTES_MAX} are allowed");
            self.fault("metadata", message);
        }
    }

    fn check_moments(&mut self) {
        if self.run_at.is_some() && self.run_in.is_some() {
            self.fault("run_in", "cannot be given together with run_at");
        }
        if self.expires_at.is_some() && self.expires_in.is_some() {
            self.fault("expires_in", "cannot be given together with expires_at");
        }
        if self.paused_at.is_some() && !self.is_paused {
            self.fault("paused_at", "is taken only with paused: true");
        }
    }

    fn check_schedule(&mut self) -> Schedule {
        let recurs = self.interval.is_some() || self.cron.is_some();
        if self.interval.is_some() && self.cron.is_some() {
            self.fault("cron", "cannot be given together with interval");
        }
        if self.timezone.is_some() && self.cron.is_none() {
            self.fault("timezone", "is taken only with cron");
        }
        let unnamed = !self.faults.iter().any(|fault| fault.field == "interval");
        match self.run_type {
            Some(RunType::Once) if recurs => {
                self.fault("run_type", "once takes neither interval nor cron");
            }
            Some(RunType::Recurring) if !recurs && unnamed => {
                self.fault("run_type", "recurring needs an interval or a cron expression");
            }
            _ => {}
        }

        match (self.interval, self.cron.take()) {
            (_, Some(expression)) => self.check_cron(&expression),
            (Some(interval), None) => Schedule::Interval(interval),
            (None, None) => Schedule::Once,
        }
    }

    fn check_cron(&mut self, expression: &str) -> Schedule {
        let timezone = self.timezone.take().unwrap_or_else(|| "UTC".into());
        match CronSchedule::parse(expression, &timezone) {
            Ok(cron) => return Schedule::Cron(cron),
            Err(error @ InvalidSchedule::Zone { .. }) => self.fault("timezone", error),
            Err(error) => self.fault("cron", error),
        }
        Schedule::Once
    }

    fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, field: &str, text: &str) -> Option<T> {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(field, error);
                None
            }
        }
    }
}

impl Draft {
    /// Whether [`Draft::plan`] needs the store's now: a cron task that names no moment.
    #[must_use]
    pub fn needs_now(&self) -> bool {
        matches!((&self.spec.schedule, self.run_at), (Schedule::Cron(_), Moment::In(_)))
    }

    /// What does not change.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Whether it is to be added paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// The key of which at most one live task may be.
    #[must_use]
    pub fn unique_key(&self) -> Option<&UniqueKey> {
        self.spec.unique_key.as_ref()
    }

    /// Completes the task: `fresh` becomes its id unless one was chosen, and a cron task gets its
    /// first planned time, counted from `now` where it names no moment.
    ///
    /// # Errors
    ///
    /// If the cron expression has no match after the moment.
    pub fn plan(self, fresh: TaskId, now: Timestamp) -> Result<NewTask, Fault> {
        let run_at = match &self.spec.schedule {
            Schedule::Cron(_) => {
                let first = self.spec.schedule.first(self.run_at.resolve(now));
                Moment::At(first.ok_or_else(|| Fault::new("cron", "has no match after run_at"))?)
            }
            Schedule::Once | Schedule::Interval(_) => self.run_at,
        };
        Ok(NewTask {
            id_chosen: self.id.is_some(),
            id: self.id.unwrap_or(fresh),
            spec: Arc::new(self.spec),
            run_at,
            expires: self.expires,
            paused: self.paused,
        })
    }
}

#[cfg(test)]
mod tests;
