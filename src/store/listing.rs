//! Listings that walk all tasks, or a group, in the order of their ids.
//!
//! The cursor names the last id that was looked at, so tasks that come and go move nothing.

use crate::domain::id::TaskId;

use super::Error;
use super::Filter;
use super::Result;
use super::TaskRecord;

impl Filter {
    /// Whether a task is meant.
    pub(super) fn matches(&self, task: &TaskRecord) -> bool {
        let Self { group, queue, state, callback } = self;
        group.as_ref().is_none_or(|group| task.spec.group_id.as_ref() == Some(group))
            && queue.as_ref().is_none_or(|queue| task.spec.queue == *queue)
            && state.is_none_or(|state| task.state == state)
            && callback.as_ref().is_none_or(|callback| task.spec.callback == *callback)
    }
}

/// An id as hex digits, which need no care in a URL.
pub(super) fn write_cursor(id: &TaskId) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    id.as_str().bytes().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The id of a cursor.
///
/// # Errors
///
/// [`Error::Cursor`] if it is none that [`write_cursor`] made.
pub(super) fn read_cursor(cursor: &str) -> Result<TaskId> {
    let digits = cursor.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = digits
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok()))
        .collect();
    let id = bytes.and_then(|bytes| TaskId::parse(std::str::from_utf8(&bytes).ok()?).ok());
    id.ok_or(Error::Cursor)
}
