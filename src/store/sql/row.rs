//! A row of `task` as an entry, and back.

use std::fmt::Display;
use std::sync::Arc;

use crate::domain::arrival::Asked;
use crate::domain::id::ClaimId;
use crate::domain::id::GroupId;
use crate::domain::id::TaskId;
use crate::domain::json::Json;
use crate::domain::lease::Fence;
use crate::domain::state::TaskState;
use crate::domain::task::RunError;
use crate::domain::task::Spec;
use crate::domain::time::Timestamp;
use crate::store::AddOutcome;
use crate::store::Error;
use crate::store::TaskRecord;
use crate::store::entry::Entry;

use super::Columns;
use super::Value;
use super::place;

/// Why a row cannot be read.
#[derive(Debug)]
pub(super) struct Damaged {
    pub(super) id: TaskId,
    pub(super) problem: String,
}

impl From<Damaged> for Error {
    fn from(Damaged { id, problem }: Damaged) -> Self {
        Self::Corrupt { id, problem }
    }
}

/// Takes the columns of a row one after the other.
pub(super) struct Reader {
    columns: std::vec::IntoIter<Value>,
}

impl Reader {
    pub(super) fn new(columns: Columns) -> Self {
        Self { columns: columns.into_iter() }
    }

    fn next(&mut self) -> Value {
        self.columns.next().unwrap_or(Value::Null)
    }

    pub(super) fn text(&mut self) -> Result<String, String> {
        self.texts()?.ok_or_else(|| "a text is missing".to_owned())
    }

    pub(super) fn texts(&mut self) -> Result<Option<String>, String> {
        match self.next() {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            Value::Int(number) => Ok(Some(number.to_string())),
            Value::Damaged(bytes) => {
                Err(format!("{:?} is not UTF-8", String::from_utf8_lossy(&bytes)))
            }
        }
    }

    pub(super) fn int(&mut self) -> Result<i64, String> {
        self.ints()?.ok_or_else(|| "a number is missing".to_owned())
    }

    pub(super) fn ints(&mut self) -> Result<Option<i64>, String> {
        match self.next() {
            Value::Null => Ok(None),
            Value::Int(number) => Ok(Some(number)),
            other => Err(format!("{other:?} is no number")),
        }
    }

    pub(super) fn moment(&mut self) -> Result<Timestamp, String> {
        self.int().map(Timestamp::from_us)
    }

    pub(super) fn moments(&mut self) -> Result<Option<Timestamp>, String> {
        Ok(self.ints()?.map(Timestamp::from_us))
    }

    pub(super) fn parsed<T>(&mut self) -> Result<T, String>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        self.text()?.parse().map_err(|e: T::Err| e.to_string())
    }

    fn small(&mut self) -> Result<u32, String> {
        u32::try_from(self.int()?).map_err(|e| e.to_string())
    }
}

/// What a row that is not a task's ought to hold is wrong; nobody but this code writes such rows.
pub(super) fn unreadable(problem: impl Display) -> Error {
    Error::Unusable { problem: format!("a row cannot be read: {problem}") }
}

/// The entry of a row. `spec` is that of the row unless it was brought along.
///
/// # Errors
///
/// The id and what is wrong; without a readable id the id is `?`.
pub(super) fn read(columns: Columns, spec: Option<Arc<Spec>>) -> Result<Entry, Damaged> {
    let mut reader = Reader::new(columns);
    let unknown = || TaskId::parse("?").expect("a question mark is an id");
    let id = reader.text().and_then(|text| TaskId::parse(&text).map_err(|e| e.to_string()));
    let id = id.map_err(|problem| Damaged { id: unknown(), problem })?;
    let entry = read_from(&mut reader, id.clone(), spec);
    entry.map_err(|problem| Damaged { id, problem })
}

fn read_from(row: &mut Reader, id: TaskId, spec: Option<Arc<Spec>>) -> Result<Entry, String> {
    let state = row.text()?;
    let state = TaskState::parse(&state).ok_or_else(|| format!("no state is called {state:?}"))?;
    let (run_at, planned_at, created_at) = (row.moment()?, row.moment()?, row.moment()?);
    let (expires_at, expiring_at, paused_at) = (row.moments()?, row.ints()?, row.moments()?);
    let parked = row.int()? != 0;
    let (attempt, crashes) = (row.small()?, row.small()?);
    let errors: Vec<RunError> = match row.texts()? {
        None => Vec::new(),
        Some(text) => serde_json::from_str(&text).map_err(|e| format!("errors: {e}"))?,
    };
    let finished_at = row.moments()?;
    let result = match row.texts()? {
        None => None,
        Some(text) => Some(Json::parse(&text).map_err(|e| format!("result: {e}"))?),
    };
    let fence = row.ints()?.map(|fence| Fence(fence.unsigned_abs()));
    let claim = match row.texts()? {
        None => None,
        Some(text) => Some(text.parse().map_err(|e| format!("claim: {e}"))?),
    };
    let request = row.parsed()?;
    let outcome =
        if row.text()? == "replaced" { AddOutcome::Replaced } else { AddOutcome::Created };
    let watched_until = row.moments()?;
    let asked =
        Asked { cancel: row.int()? != 0, paused_at: row.moments()?, planned_at: row.moments()? };
    let due = row.moment()?;
    let spec = match spec {
        Some(spec) => spec,
        None => Arc::new(serde_json::from_str(&row.text()?).map_err(|e| format!("spec: {e}"))?),
    };
    let task = TaskRecord {
        id,
        spec,
        state,
        created_at,
        run_at,
        planned_at,
        expires_at,
        paused_at,
        parked,
        attempt,
        crashes,
        errors,
        finished_at,
        result,
        lease: None,
    };
    let may_expire = expiring_at.is_some();
    let prune_at = state.is_ended().then_some(due);
    Ok(Entry { task, request, outcome, fence, claim, may_expire, watched_until, asked, prune_at })
}

/// The row of an entry, in the order of `task_insert`.
pub(super) fn write(ns: i64, entry: &Entry, is_held: bool) -> Columns {
    let Entry { task, request, outcome, fence, claim, watched_until, asked, .. } = entry;
    let (place, due) = place::of(entry, is_held);
    let spec = serde_json::to_string(&*task.spec).expect("a spec can be written as JSON");
    let errors = (!task.errors.is_empty())
        .then(|| serde_json::to_string(&task.errors).expect("errors can be written as JSON"));
    let outcome = if *outcome == AddOutcome::Replaced { "replaced" } else { "created" };
    let fence = fence.map(|fence| i64::try_from(fence.0).unwrap_or(i64::MAX));
    vec![
        ns.into(),
        place.into(),
        task.spec.queue.as_str().into(),
        task.spec.group_id.as_ref().map(GroupId::as_str).into(),
        spec.into(),
        task.id.as_str().into(),
        task.state.as_str().into(),
        task.run_at.into(),
        task.planned_at.into(),
        task.created_at.into(),
        task.expires_at.into(),
        entry.expires().into(),
        task.paused_at.into(),
        task.parked.into(),
        task.attempt.into(),
        task.crashes.into(),
        errors.into(),
        task.finished_at.into(),
        task.result.as_ref().map(Json::as_str).into(),
        fence.into(),
        claim.as_ref().map(ClaimId::as_str).into(),
        request.as_str().into(),
        outcome.into(),
        (*watched_until).into(),
        asked.cancel.into(),
        asked.paused_at.into(),
        asked.planned_at.into(),
        due.into(),
    ]
}
