//! JSON in and out: the shapes that other programs depend on.
//!
//! Reading is lenient towards nothing: a field that is unknown, given twice or of another type is a
//! fault under its own name, and all faults of a request are told at once. What is carried
//! (arguments, results) is not decoded, so that it arrives byte for byte.

pub(super) mod added;
pub(super) mod batch;
pub(super) mod change;
pub(super) mod claim;
pub(super) mod cluster;
pub(super) mod event;
mod fields;
mod json;
mod new_task;
pub(super) mod queue;
pub(super) mod task;

#[cfg(feature = "cli")]
use crate::domain::draft::Task;
#[cfg(feature = "cli")]
use crate::domain::json::Json;

/// Reads a task as it is sent; whatever is wrong with it becomes one of its faults.
#[cfg(feature = "cli")]
pub(crate) fn read_task(fields: &Json) -> Task {
    new_task::read(fields.raw())
}
