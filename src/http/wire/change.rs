//! Which tasks are to be changed and how, as it is sent; and what became of it.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::domain::draft::Fault;
use crate::domain::id::TaskId;
use crate::domain::state::TaskState;
use crate::domain::time::Moment;
use crate::domain::time::Timestamp;
use crate::http::problem::Answer;
use crate::http::problem::Problem;
use crate::scheduler::IndexedFault;
use crate::scheduler::Selection;
use crate::store::BATCH_MAX;
use crate::store::Changed;
use crate::store::Filter;
use crate::store::Target;

use super::fields::Fields;
use super::fields::text;
use super::json;

/// What may be removed.
#[derive(Debug)]
pub(in crate::http) enum Wanted {
    /// Every task.
    All,
    /// What is selected.
    Some(Selection),
}

/// To which time tasks are moved.
#[derive(Debug)]
pub(in crate::http) enum When {
    /// Each to its own.
    Each(Vec<(TaskId, Timestamp)>),
    /// All to one.
    Together(Target, Moment),
}

/// The object of a request, its faults counted and not.
struct Asked<'a> {
    fields: Fields<'a>,
    faults: Vec<IndexedFault>,
}

impl<'a> Asked<'a> {
    fn read(body: &'a str) -> Answer<Self> {
        let raw = json::document(body)?;
        let fields = Fields::of(raw)
            .map_err(|message| Problem::invalid(vec![IndexedFault::whole("body", message)]))?;
        Ok(Self { fields, faults: Vec::new() })
    }

    fn items(&mut self, name: &str) -> Option<Vec<&'a RawValue>> {
        let raw = self.fields.raw(name)?;
        self.fields.kept(name, json::items(raw, BATCH_MAX))
    }

    fn ids(&mut self) -> Option<Vec<TaskId>> {
        let items = self.items("task_ids")?;
        let mut ids = Vec::with_capacity(items.len());
        for (index, raw) in items.into_iter().enumerate() {
            match text(raw).and_then(|id| TaskId::parse(&id).map_err(|error| error.to_string())) {
                Ok(id) => ids.push(id),
                Err(message) => {
                    let fault = Fault::new("task_ids", message);
                    self.faults.push(IndexedFault { index: Some(index), fault });
                }
            }
        }
        Some(ids)
    }

    fn target(&mut self) -> Option<Target> {
        let both = self.fields.has("task_ids") && self.fields.has("group_id");
        let ids = self.ids().map(Target::Ids);
        let group = self.fields.parsed("group_id").map(Target::Group);
        if both {
            self.fields.fault("group_id", "cannot be given together with task_ids");
        }
        ids.or(group)
    }

    fn filter(&mut self) -> Filter {
        Filter {
            group: self.fields.parsed("group_id"),
            queue: self.fields.parsed("queue"),
            callback: self.fields.parsed("callback"),
            state: self.fields.text("state").and_then(|text| {
                let state = TaskState::parse(&text).ok_or_else(|| unknown_state(&text));
                self.fields.kept("state", state)
            }),
        }
    }

    fn selection(&mut self) -> Option<Selection> {
        let ids = self.ids();
        let filter = self.filter();
        let only_group = Filter { group: filter.group.clone(), ..Filter::default() };
        match (ids, filter.group.clone()) {
            (Some(ids), _) if filter == Filter::default() => Some(Selection::Ids(ids)),
            (Some(_), _) => {
                self.fields.fault("task_ids", "cannot be given together with a filter");
                None
            }
            (None, Some(group)) if filter == only_group => Some(Selection::Group(group)),
            (None, None) if filter == Filter::default() => None,
            (None, _) => Some(Selection::Matching(filter)),
        }
    }

    /// What was read, unless something is wrong; `lacking` names what is asked for if nothing is.
    fn end<T>(self, read: Option<T>, lacking: &str) -> Answer<T> {
        let whole = self.fields.end().into_iter();
        let mut faults: Vec<_> =
            whole.map(|fault| IndexedFault { index: None, fault }).chain(self.faults).collect();
        match read {
            Some(read) if faults.is_empty() => return Ok(read),
            None if faults.is_empty() => faults.push(IndexedFault::whole("body", lacking)),
            _ => {}
        }
        Err(Problem::invalid(faults))
    }
}

/// Reads which tasks are to be paused or resumed.
pub(in crate::http) fn target(body: &str) -> Answer<Target> {
    let mut asked = Asked::read(body)?;
    let target = asked.target();
    asked.end(target, "needs task_ids or group_id")
}

/// Reads which tasks are to be cancelled or retried.
pub(in crate::http) fn selection(body: &str) -> Answer<Selection> {
    let mut asked = Asked::read(body)?;
    let selection = asked.selection();
    asked.end(selection, "needs task_ids, group_id, queue, callback or state")
}

/// Reads which tasks are to be removed.
pub(in crate::http) fn removal(body: &str) -> Answer<Wanted> {
    let mut asked = Asked::read(body)?;
    let all = asked.fields.flag("all");
    let selection = asked.selection();
    let wanted = match (all, selection) {
        (Some(true), None) => Some(Wanted::All),
        (Some(true), Some(_)) => {
            asked.fields.fault("all", "cannot be given together with a selection");
            None
        }
        (_, selection) => selection.map(Wanted::Some),
    };
    asked.end(wanted, "needs task_ids, group_id, queue, callback, state or all")
}

/// Reads which tasks are to be moved, and to when.
pub(in crate::http) fn reschedule(body: &str) -> Answer<When> {
    let mut asked = Asked::read(body)?;
    if let Some(items) = asked.items("tasks") {
        let times = each(&mut asked, items);
        return asked.end(Some(When::Each(times)), "");
    }

    let target = asked.target();
    let at = asked.fields.moment("run_at").map(Moment::At);
    let delay = asked.fields.length("run_in").map(Moment::In);
    if at.is_some() && delay.is_some() {
        asked.fields.fault("run_in", "cannot be given together with run_at");
    }
    let when = target.zip(at.or(delay)).map(|(target, moment)| When::Together(target, moment));
    asked.end(when, "needs tasks, or task_ids or group_id with run_at or run_in")
}

fn each(asked: &mut Asked<'_>, items: Vec<&RawValue>) -> Vec<(TaskId, Timestamp)> {
    let mut times = Vec::with_capacity(items.len());
    for (index, raw) in items.into_iter().enumerate() {
        let faults = match Fields::of(raw) {
            Ok(mut fields) => {
                for name in ["task_id", "run_at"] {
                    if !fields.has(name) {
                        fields.fault(name, "is required");
                    }
                }
                times.extend(fields.parsed("task_id").zip(fields.moment("run_at")));
                fields.end()
            }
            Err(message) => vec![Fault::new("task", message)],
        };
        let indexed = faults.into_iter().map(|fault| IndexedFault { index: Some(index), fault });
        asked.faults.extend(indexed);
    }
    times
}

/// What to say of a state that does not exist.
pub(in crate::http) fn unknown_state(text: &str) -> String {
    let words = TaskState::ALL.map(TaskState::as_str).join(", ");
    format!("{text:?} is none of {words}")
}

/// Reply to a change.
#[derive(Debug, Serialize)]
pub(in crate::http) struct ChangedView {
    affected: u64,
    missing: Vec<TaskId>,
    skipped: Vec<Skipped>,
}

#[derive(Debug, Serialize)]
struct Skipped {
    task_id: TaskId,
    state: TaskState,
}

impl ChangedView {
    pub(in crate::http) fn of(changed: Changed) -> Self {
        let skipped = changed.skipped.into_iter();
        Self {
            affected: changed.affected,
            missing: changed.missing,
            skipped: skipped.map(|(task_id, state)| Skipped { task_id, state }).collect(),
        }
    }
}
