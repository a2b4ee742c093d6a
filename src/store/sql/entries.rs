//! Entries are read, and written back.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::id::ClaimId;
use crate::domain::id::TaskId;
use crate::domain::id::UniqueKey;
use crate::domain::lease::Fence;
use crate::domain::lease::Lease;
use crate::domain::state::Verdict;
use crate::domain::task::Spec;
use crate::domain::time::Timestamp;
use crate::store::BATCH_MAX;
use crate::store::Error;
use crate::store::TaskRecord;
use crate::store::entry::Entry;

use super::Answer;
use super::Arg;
use super::Columns;
use super::Statement;
use super::Tx;
use super::Value;
use super::row;
use super::row::Reader;
use super::row::unreadable;

pub(super) static TASK_BY_ID: Statement = Statement::new(include_str!("statements/task_by_id.sql"));
pub(super) static TASK_SEEN: Statement = Statement::new(include_str!("statements/task_seen.sql"));
pub(super) static TASK_RUN: Statement = Statement::new(include_str!("statements/task_run.sql"));
pub(super) static TASK_LOST: Statement = Statement::new(include_str!("statements/task_lost.sql"));
pub(super) static TASK_FREE: Statement = Statement::new(include_str!("statements/task_free.sql"));
static TASK_DELETE: Statement = Statement::new(include_str!("statements/task_delete.sql"));
static TASK_INSERT: Statement = Statement::new(include_str!("statements/task_insert.sql"));
static KEY_INSERT: Statement = Statement::new(include_str!("statements/unique_key_insert.sql"));
static KEY_DELETE: Statement = Statement::new(include_str!("statements/unique_key_delete.sql"));
static KEYS: Statement = Statement::new(include_str!("statements/unique_key.sql"));
static STOP_OF_TASK: Statement = Statement::new(include_str!("statements/stop_of_task.sql"));
static STOP_DELETE: Statement = Statement::new(include_str!("statements/stop_delete.sql"));
static STOP_INSERT: Statement = Statement::new(include_str!("statements/stop_insert.sql"));
static LEASE_BY_CLAIM: Statement = Statement::new(include_str!("statements/lease_by_claim.sql"));

/// A run that was superseded and has not let go.
pub(super) struct Ghost {
    pub(super) claim: ClaimId,
    pub(super) fence: Fence,
}

/// Tasks by their ids, by one of the statements above. Rows that cannot be read are refused.
pub(super) async fn by_id<T: Tx>(
    tx: &mut T,
    statement: &'static Statement,
    ids: &BTreeSet<&TaskId>,
) -> Answer<BTreeMap<TaskId, Entry>> {
    let mut found = BTreeMap::new();
    for rows in chunks(tx, statement, ids).await? {
        let entry = row::read(rows, None).map_err(Error::from)?;
        found.insert(entry.task.id.clone(), entry);
    }
    Ok(found)
}

/// The outcome of a run under a claim, with the spec that came with the claim.
#[derive(Clone, Copy)]
pub(super) struct HandedBack<'a> {
    pub(super) claim: &'a ClaimId,
    pub(super) task: &'a TaskId,
    pub(super) fence: Fence,
    pub(super) spec: &'a Arc<Spec>,
    pub(super) verdict: &'a Verdict,
}

/// The tasks that these runs are of. Who takes one compares claim and fence, and only with its own
/// does a spec count: a task that replaced another one has another spec.
pub(super) async fn by_run<T: Tx>(
    tx: &mut T,
    statement: &'static Statement,
    runs: &[HandedBack<'_>],
) -> Answer<BTreeMap<TaskId, Entry>> {
    let mut handed: BTreeMap<&TaskId, Vec<HandedBack<'_>>> = BTreeMap::new();
    for run in runs {
        handed.entry(run.task).or_default().push(*run);
    }
    let ids = handed.keys().copied().collect();
    let mut found = BTreeMap::new();
    for columns in chunks(tx, statement, &ids).await? {
        let id = match columns.first() {
            Some(Value::Text(id)) => TaskId::parse(id).map_err(unreadable)?,
            other => return Err(unreadable(format!("{other:?} is no id")).into()),
        };
        let Some(runs) = handed.get(&id) else { continue };
        let entry = row::read(columns, Some(Arc::clone(runs[0].spec)));
        let mut entry = entry.map_err(Error::from)?;
        let is_own = |run: &&HandedBack<'_>| {
            entry.claim.as_ref() == Some(run.claim) && entry.fence == Some(run.fence)
        };
        if let Some(own) = runs.iter().find(is_own) {
            entry.task.spec = Arc::clone(own.spec);
        }
        found.insert(id, entry);
    }
    Ok(found)
}

async fn chunks<T: Tx>(
    tx: &mut T,
    statement: &'static Statement,
    ids: &BTreeSet<&TaskId>,
) -> Answer<Vec<Columns>> {
    let ids: Vec<&TaskId> = ids.iter().copied().collect();
    let mut rows = Vec::new();
    for chunk in ids.chunks(BATCH_MAX) {
        let chunk = Arg::texts(chunk.iter().map(|id| id.as_str()));
        rows.extend(tx.rows(statement, vec![tx.ns().into(), chunk]).await?);
    }
    Ok(rows)
}

/// Tasks as they are shown, under the leases of their runs.
pub(super) async fn views<T: Tx>(tx: &mut T, entries: &[Entry]) -> Answer<Vec<TaskRecord>> {
    let claims: BTreeSet<&str> =
        entries.iter().filter_map(|entry| entry.claim.as_ref()).map(ClaimId::as_str).collect();
    let mut leases = BTreeMap::new();
    if !claims.is_empty() {
        let args = vec![tx.ns().into(), Arg::texts(claims)];
        for columns in tx.rows(&LEASE_BY_CLAIM, args).await? {
            let lease = lease(columns).map_err(unreadable)?;
            leases.insert(lease.claim_id.clone(), lease);
        }
    }
    let lease = |entry: &Entry| entry.claim.as_ref().and_then(|claim| leases.get(claim).cloned());
    Ok(entries.iter().map(|entry| entry.view(lease(entry))).collect())
}

fn lease(columns: Columns) -> Result<Lease, String> {
    let mut row = Reader::new(columns);
    Ok(Lease {
        claim_id: row.parsed()?,
        node: row.parsed()?,
        expires_at: row.moment()?,
        fence: Fence(row.int()?.unsigned_abs()),
    })
}

/// Which of these tasks are held by a run that was superseded.
pub(super) async fn ghosts<'a, T: Tx>(
    tx: &mut T,
    ids: impl IntoIterator<Item = &'a TaskId>,
) -> Answer<BTreeMap<TaskId, Ghost>> {
    let ids: Vec<&str> = ids.into_iter().map(TaskId::as_str).collect();
    let mut found = BTreeMap::new();
    for chunk in ids.chunks(BATCH_MAX) {
        let args = vec![tx.ns().into(), Arg::texts(chunk)];
        for columns in tx.rows(&STOP_OF_TASK, args).await? {
            let mut row = Reader::new(columns);
            let mut read = || -> Result<_, String> {
                let (id, claim) = (row.parsed()?, row.parsed()?);
                Ok((id, Ghost { claim, fence: Fence(row.int()?.unsigned_abs()) }))
            };
            found.extend([read().map_err(unreadable)?]);
        }
    }
    Ok(found)
}

/// Who holds these unique keys.
pub(super) async fn holders<T: Tx>(
    tx: &mut T,
    keys: BTreeSet<&UniqueKey>,
) -> Answer<BTreeMap<UniqueKey, TaskId>> {
    let keys: Vec<&str> = keys.into_iter().map(UniqueKey::as_str).collect();
    let mut found = BTreeMap::new();
    for chunk in keys.chunks(BATCH_MAX) {
        for columns in tx.rows(&KEYS, vec![tx.ns().into(), Arg::texts(chunk)]).await? {
            let mut row = Reader::new(columns);
            let mut read = || -> Result<_, String> { Ok((row.parsed()?, row.parsed()?)) };
            found.extend([read().map_err(unreadable)?]);
        }
    }
    Ok(found)
}

/// What a step did to tasks, to be written when it has seen them all.
#[derive(Default)]
pub(super) struct Changes {
    /// As they stand in the database.
    taken: BTreeMap<TaskId, Option<UniqueKey>>,
    /// As they are to stand, and whether a run that they replace holds them.
    put: BTreeMap<TaskId, (Entry, bool)>,
    /// Runs of these tasks need not stop any more.
    quiet: BTreeSet<TaskId>,
    stops: BTreeMap<TaskId, Stopping>,
}

struct Stopping {
    claim: ClaimId,
    fence: Fence,
    superseded: bool,
}

impl Changes {
    /// Notes a task as it was read; without [`Changes::put`] after it, it is gone.
    pub(super) fn take(&mut self, entry: &Entry) {
        let id = &entry.task.id;
        if self.put.remove(id).is_none() {
            self.taken.entry(id.clone()).or_insert_with(|| entry.live_key().cloned());
        }
    }

    /// Notes a task as it is to be.
    pub(super) fn put(&mut self, entry: Entry, is_held: bool) {
        self.put.insert(entry.task.id.clone(), (entry, is_held));
    }

    /// Tells the run of a task that was taken to stop, and holds its successor (T5, T3).
    pub(super) fn supersede(&mut self, entry: &Entry) {
        self.stop(entry, true);
    }

    /// Tells the run of a task to stop, because it was cancelled.
    pub(super) fn cancel(&mut self, entry: &Entry) {
        self.stop(entry, false);
    }

    fn stop(&mut self, entry: &Entry, superseded: bool) {
        let (Some(claim), Some(fence)) = (entry.claim.clone(), entry.fence) else { return };
        self.quiet.insert(entry.task.id.clone());
        self.stops.insert(entry.task.id.clone(), Stopping { claim, fence, superseded });
    }

    /// Notes that the run of a task has ended, or that it let go.
    pub(super) fn let_go(&mut self, id: &TaskId) {
        self.quiet.insert(id.clone());
        self.stops.remove(id);
    }

    /// Writes all of it.
    pub(super) async fn write<T: Tx>(self, tx: &mut T) -> Answer<()> {
        let ns = tx.ns();
        let before = self.taken.iter().filter_map(|(id, key)| Some((key.as_ref()?, id)));
        let before: BTreeMap<&UniqueKey, &TaskId> = before.collect();
        let after = self.put.iter().filter_map(|(id, (entry, _))| Some((entry.live_key()?, id)));
        let after: BTreeMap<&UniqueKey, &TaskId> = after.collect();
        let freed = before.iter().filter(|(key, id)| after.get(*key) != Some(*id));
        let freed: Vec<&str> = freed.map(|(key, _)| key.as_str()).collect();
        let given = after.iter().filter(|(key, id)| before.get(*key) != Some(*id));
        let given = given.map(|(key, id)| vec![ns.into(), key.as_str().into(), id.as_str().into()]);
        let given: Vec<Columns> = given.collect();

        let gone: Vec<&str> = self.taken.keys().map(TaskId::as_str).collect();
        delete(tx, &TASK_DELETE, &gone).await?;
        delete(tx, &KEY_DELETE, &freed).await?;
        tx.insert(&KEY_INSERT, given).await?;
        let quiet: Vec<&str> = self.quiet.iter().map(TaskId::as_str).collect();
        delete(tx, &STOP_DELETE, &quiet).await?;
        let stops = self.stops.iter().map(|(id, Stopping { claim, fence, superseded })| {
            let fence = i64::try_from(fence.0).unwrap_or(i64::MAX);
            let (claim, id) = (claim.as_str(), id.as_str());
            vec![ns.into(), claim.into(), id.into(), (*superseded).into(), fence.into()]
        });
        tx.insert(&STOP_INSERT, stops.collect()).await?;
        let rows = self.put.values().map(|(entry, is_held)| row::write(ns, entry, *is_held));
        tx.insert(&TASK_INSERT, rows.collect()).await
    }
}

async fn delete<T: Tx>(tx: &mut T, statement: &'static Statement, names: &[&str]) -> Answer<()> {
    for chunk in names.chunks(BATCH_MAX) {
        tx.run(statement, vec![tx.ns().into(), Arg::texts(chunk)]).await?;
    }
    Ok(())
}

/// A moment that is not before the store's now nor the last fence, as a fence (T4).
pub(super) fn next_fence(now: Timestamp, last: Option<Fence>) -> Fence {
    let floor = u64::try_from(now.as_us()).unwrap_or(0);
    Fence(last.map_or(floor, |last| floor.max(last.0 + 1)))
}
