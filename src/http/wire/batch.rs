//! One task or a batch, as it is sent.

use crate::domain::draft::Task;
use crate::http::problem::Answer;
use crate::http::problem::Problem;
use crate::scheduler::IndexedFault;
use crate::store::BATCH_MAX;
use crate::store::Existing;

use super::fields::Fields;
use super::json;
use super::new_task;

/// Tasks to be added.
#[derive(Debug)]
pub(in crate::http) struct Batch {
    pub(in crate::http) tasks: Vec<Task>,
    pub(in crate::http) existing: Existing,
}

/// Reads one task, or an object with the field `tasks`.
pub(in crate::http) fn read(text: &str) -> Answer<Batch> {
    let raw = json::document(text)?;
    let refused = |field, message| Problem::invalid(vec![IndexedFault::whole(field, message)]);
    let mut fields = Fields::of(raw).map_err(|message| refused("body", message))?;

    let Some(list) = fields.raw("tasks") else {
        return Ok(Batch { tasks: vec![new_task::task(fields)], existing: Existing::Replace });
    };
    let existing = match fields.flag("replace_existing") {
        Some(false) => Existing::Keep,
        _ => Existing::Replace,
    };
    let items = json::items(list, BATCH_MAX);
    let items = fields.kept("tasks", items).unwrap_or_default();
    let tasks: Vec<_> = items.into_iter().map(new_task::read).collect();

    let faults = fields.end();
    if faults.is_empty() {
        return Ok(Batch { tasks, existing });
    }
    let whole = faults.into_iter().map(|fault| IndexedFault { index: None, fault });
    let of_tasks = tasks.iter().enumerate().flat_map(|(index, task)| {
        let faults = task.faults().iter().cloned();
        faults.map(move |fault| IndexedFault { index: Some(index), fault })
    });
    Err(Problem::invalid(whole.chain(of_tasks).collect()))
}
