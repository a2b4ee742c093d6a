//! One log line for each change: who, what, which ids. Its target is `audit`, its time that of the line.

use std::fmt;

use serde::Serialize;
use tracing::info;

use crate::domain::id::TaskId;
use crate::scheduler::Selection;
use crate::store::Filter;
use crate::store::Target;

use super::auth::Caller;
use super::auth::Shown;
use super::problem::Answer;

/// What a change is for, as text.
pub(super) struct Which(String);

impl Which {
    /// These ids.
    pub(super) fn ids<T: Serialize>(ids: &[T]) -> Self {
        Self(serde_json::to_string(ids).unwrap_or_default())
    }

    /// One thing by its name.
    pub(super) fn named(name: impl fmt::Display) -> Self {
        Self(name.to_string())
    }

    /// Everything.
    pub(super) fn all() -> Self {
        Self("all".into())
    }

    pub(super) fn target(target: &Target) -> Self {
        match target {
            Target::Ids(ids) => Self::ids::<TaskId>(ids),
            Target::Group(group) => Self(format!("group_id={group:?}")),
        }
    }

    pub(super) fn selection(selection: &Selection) -> Self {
        match selection {
            Selection::Ids(ids) => Self::ids::<TaskId>(ids),
            Selection::Group(group) => Self(format!("group_id={group:?}")),
            Selection::Matching(filter) => Self(matching(filter)),
        }
    }
}

fn matching(filter: &Filter) -> String {
    let given = [
        filter.group.as_ref().map(|group| format!("group_id={group:?}")),
        filter.queue.as_ref().map(|queue| format!("queue={queue:?}")),
        filter.callback.as_ref().map(|callback| format!("callback={callback:?}")),
        filter.state.map(|state| format!("state={:?}", state.as_str())),
    ];
    given.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Tells a change with the number of things that it touched, unless it was refused. If the store gave
/// no answer, it may have had its effect or not.
pub(super) fn tell<T>(
    caller: &Caller,
    what: &str,
    which: &Which,
    answer: Answer<T>,
    count: impl FnOnce(&T) -> usize,
) -> Answer<T> {
    let (who, from, ids) = (&caller.name, Shown(caller.peer), &which.0);
    let request = &caller.request;
    match &answer {
        Ok(done) => {
            let affected = count(done);
            info!(target: "audit", %who, %from, what, %ids, affected, %request, "changed");
        }
        Err(problem) if problem.is_ambiguous() => {
            info!(target: "audit", %who, %from, what, %ids, %request, "perhaps changed");
        }
        Err(_) => {}
    }
    answer
}
