//! What became of tasks that were added.

use serde::Serialize;

use crate::domain::id::TaskId;
use crate::scheduler::Added;

/// Reply to an add.
#[derive(Debug, Serialize)]
pub(in crate::http) struct AddedTasks {
    tasks: Vec<AddedView>,
}

#[derive(Debug, Serialize)]
struct AddedView {
    task_id: TaskId,
    outcome: &'static str,
}

impl AddedTasks {
    pub(in crate::http) fn of(added: Vec<Added>) -> Self {
        let view =
            |added: Added| AddedView { task_id: added.task_id, outcome: added.outcome.as_str() };
        Self { tasks: added.into_iter().map(view).collect() }
    }
}
