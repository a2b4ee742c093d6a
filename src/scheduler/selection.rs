//! Which tasks a change is for.

use crate::domain::id::GroupId;
use crate::domain::id::TaskId;
use crate::store::Filter;
use crate::store::Target;

/// Which tasks are to be cancelled, retried or removed.
///
/// Ids and groups are changed in one atomic step. A filter is walked page by page: each page is
/// atomic, the whole is not, and a task that begins to match meanwhile may be left out.
#[derive(Clone, Debug)]
pub enum Selection {
    /// These, at most 1,000.
    Ids(Vec<TaskId>),
    /// All of a group, however many.
    Group(GroupId),
    /// All that match; a filter that names nothing is refused.
    Matching(Filter),
}

impl From<Target> for Selection {
    fn from(target: Target) -> Self {
        match target {
            Target::Ids(ids) => Self::Ids(ids),
            Target::Group(group) => Self::Group(group),
        }
    }
}

impl From<Filter> for Selection {
    fn from(filter: Filter) -> Self {
        Self::Matching(filter)
    }
}

/// What names a target names a selection, too.
macro_rules! names_tasks {
    ($($source:ty => |$value:ident| $target:expr;)+) => {$(
        impl From<$source> for Target {
            fn from($value: $source) -> Self {
                $target
            }
        }

        impl From<$source> for Selection {
            fn from(value: $source) -> Self {
                Target::from(value).into()
            }
        }
    )+};
}

names_tasks! {
    TaskId => |id| Target::Ids(vec![id]);
    &TaskId => |id| Target::Ids(vec![id.clone()]);
    Vec<TaskId> => |ids| Target::Ids(ids);
    &[TaskId] => |ids| Target::Ids(ids.to_vec());
    GroupId => |group| Target::Group(group);
    &GroupId => |group| Target::Group(group.clone());
}
