//! What handlers outside of this program are told about their run.

use crate::domain::trace::TRACEPARENT;

use super::Context;

/// Longest trace context that is passed on; the standard's form has 55 letters.
const TRACE_BYTES_MAX: usize = 512;

/// One fact.
#[derive(Debug)]
pub(super) struct Fact {
    /// Its environment variable.
    pub(super) variable: &'static str,
    /// Its header.
    #[cfg_attr(
        not(feature = "http-handlers"),
        expect(dead_code, reason = "only endpoints get headers")
    )]
    pub(super) header: &'static str,
    /// What is the case for this run, if anything is.
    pub(super) value: Option<String>,
}

/// All facts about a run, those that it does not have, too.
pub(super) fn facts(context: &Context) -> [Fact; 9] {
    let task = context.task();
    let fact = |variable, header, value| Fact { variable, header, value };
    let group = task.spec.group_id.as_ref().map(ToString::to_string);
    [
        fact("TASKSHED_TASK_ID", "taskshed-task-id", Some(task.id.to_string())),
        fact("TASKSHED_CALLBACK", "taskshed-callback", Some(task.spec.callback.to_string())),
        fact("TASKSHED_ATTEMPT", "taskshed-attempt", Some(context.attempt().to_string())),
        fact("TASKSHED_FENCE", "taskshed-fence", Some(context.fence().0.to_string())),
        fact("TASKSHED_RUN_AT", "taskshed-run-at", Some(task.planned_at.to_string())),
        fact("TASKSHED_QUEUE", "taskshed-queue", Some(task.spec.queue.to_string())),
        fact("TASKSHED_GROUP_ID", "taskshed-group-id", group),
        fact("TASKSHED_NODE", "taskshed-node", Some(context.node().to_string())),
        fact("TRACEPARENT", TRACEPARENT, trace(context)),
    ]
}

/// The trace context of the run, if it is fit to be passed on.
fn trace(context: &Context) -> Option<String> {
    let text = context.traceparent()?;
    let is_fit = (1..=TRACE_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    is_fit.then(|| text.to_owned())
}
