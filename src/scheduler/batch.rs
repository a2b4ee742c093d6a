//! Which batches may be added: 1 to 1,000 tasks of 8 MiB, no id twice, and every task sound.

use std::collections::HashMap;

use crate::domain::draft::Draft;
use crate::domain::draft::Fault;
use crate::domain::draft::Task;
use crate::domain::id::TaskId;
use crate::domain::task::NewTask;
use crate::domain::task::Spec;
use crate::store;
use crate::store::BATCH_MAX;
use crate::store::Store;

use super::BATCH_BYTES_MAX;
use super::Error;
use super::IndexedFault;
use super::Result;

/// Checks all tasks and tells every fault of every one.
pub(super) fn check(tasks: Vec<Task>, kwargs_bytes_max: usize) -> Result<Vec<Draft>> {
    check_count("tasks", tasks.len())?;

    let mut errors = Vec::new();
    let mut drafts = Vec::with_capacity(tasks.len());
    let mut seen: HashMap<TaskId, usize> = HashMap::new();
    for (index, task) in tasks.into_iter().enumerate() {
        if let Some(id) = task.chosen_id() {
            match seen.get(id) {
                Some(first) => {
                    let fault = Fault::new(
                        "task_id",
                        format!("is that of item {first}, too; no id twice in a batch"),
                    );
                    errors.push(IndexedFault { index: Some(index), fault });
                }
                None => drop(seen.insert(id.clone(), index)),
            }
        }
        match task.check(kwargs_bytes_max) {
            Ok(draft) => drafts.push(draft),
            Err(faults) => errors.extend(indexed(index, faults)),
        }
    }
    if errors.is_empty() { Ok(drafts) } else { Err(Error::Invalid { errors }) }
}

/// Refuses a batch whose names, arguments and labels together are too large for one call.
pub(super) fn check_bytes(tasks: &[NewTask]) -> Result<()> {
    let found: usize = tasks.iter().map(|task| task.id.as_str().len() + bytes(&task.spec)).sum();
    if found > BATCH_BYTES_MAX {
        let message = format!("have {found} bytes, at most {BATCH_BYTES_MAX} fit into one batch");
        return Err(Error::refused("tasks", message));
    }
    Ok(())
}

/// Batches of at most [`BATCH_MAX`] items and so many bytes; one that is larger goes alone.
pub(super) fn parts<T>(
    items: Vec<T>,
    bytes_max: usize,
    bytes: impl Fn(&T) -> usize,
) -> Vec<Vec<T>> {
    let mut parts: Vec<Vec<T>> = Vec::new();
    let mut room = 0;
    for item in items {
        let bytes = bytes(&item);
        match parts.last_mut() {
            Some(part) if bytes <= room && part.len() < BATCH_MAX => {
                room -= bytes;
                part.push(item);
            }
            _ => {
                room = bytes_max.saturating_sub(bytes);
                parts.push(vec![item]);
            }
        }
    }
    parts
}

/// What is wrong with a task whose unique key is kept in another part of the store than itself.
pub(super) fn torn(task: &NewTask, store: &dyn Store) -> Option<Fault> {
    let why = store::torn(store, &task.id, task.spec.unique_key.as_ref()?)?;
    Some(Fault::new("unique_key", why))
}

/// Refuses a list that is empty or longer than one call takes.
pub(super) fn check_count(field: &str, count: usize) -> Result<()> {
    if (1..=BATCH_MAX).contains(&count) {
        return Ok(());
    }
    Err(Error::refused(field, format!("has {count} items, 1 to {BATCH_MAX} are allowed")))
}

pub(super) fn indexed(
    index: usize,
    faults: impl IntoIterator<Item = Fault>,
) -> impl Iterator<Item = IndexedFault> {
    faults.into_iter().map(move |fault| IndexedFault { index: Some(index), fault })
}

/// Bytes of what users wrote into a task, its id left out.
pub(super) fn bytes(spec: &Spec) -> usize {
    let labels: usize = spec.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
    let group = spec.group_id.as_ref().map_or(0, |group| group.as_str().len());
    let unique = spec.unique_key.as_ref().map_or(0, |key| key.as_str().len());
    spec.kwargs.as_str().len() + spec.callback.as_str().len() + labels + group + unique
}
