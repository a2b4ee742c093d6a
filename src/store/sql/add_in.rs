//! Tasks come in by a transaction of the caller's, to whose end all that it holds stays held.
//!
//! A look for what is not there holds the gap where it would be, if the transaction reads repeatably,
//! and nobody can add beside it. So what is there is asked outside of the transaction first, and
//! inside only that is looked at; all else is written as if it were new, which holds nothing but its
//! rows, and primary keys refuse it if that is wrong. No queue is made known here, because who
//! pauses a queue would wait for the caller.

use std::collections::BTreeSet;

use crate::domain::id::TaskId;
use crate::domain::id::UniqueKey;
use crate::store::Add;
use crate::store::Added;

use super::Answer;
use super::Arg;
use super::Statement;
use super::Step;
use super::Tx;
use super::add::Adding;
use super::entries;
use super::row::Reader;
use super::row::unreadable;

static TASK_KNOWN: Statement = Statement::new(include_str!("statements/task_known.sql"));
static KEY_KNOWN: Statement = Statement::new(include_str!("statements/unique_key_known.sql"));
static STOP_SEEN: Statement = Statement::new(include_str!("statements/stop_seen.sql"));

/// What an add is to look at.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::store) struct Taken {
    /// Chosen ids of tasks that are there.
    pub(in crate::store) ids: BTreeSet<TaskId>,
    /// Unique keys that live tasks hold.
    pub(in crate::store) keys: BTreeSet<UniqueKey>,
    /// Ids that a superseded run may not have let go.
    pub(in crate::store) held: BTreeSet<TaskId>,
}

impl Taken {
    /// All that could be there, by this add; with what is known to be held.
    pub(in crate::store) fn all(add: &Add, held: BTreeSet<TaskId>) -> Self {
        let chosen = add.tasks.iter().filter(|task| task.id_chosen);
        let keys = add.tasks.iter().filter_map(|task| task.spec.unique_key.clone());
        Self { ids: chosen.map(|task| task.id.clone()).collect(), keys: keys.collect(), held }
    }
}

/// Asks what is there of these, outside of the transaction.
#[derive(Clone, Debug)]
pub(in crate::store) struct AskTaken(pub(in crate::store) Taken);

impl Step for AskTaken {
    type Reply = Taken;

    const METHOD: &'static str = "add";
    const READS: bool = true;

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<Taken> {
        let Self(Taken { ids, keys, .. }) = self;
        let ids: Vec<&str> = ids.iter().map(TaskId::as_str).collect();
        let keys: Vec<&str> = keys.iter().map(UniqueKey::as_str).collect();
        Ok(Taken {
            ids: named(tx, &TASK_KNOWN, &ids).await?,
            keys: named(tx, &KEY_KNOWN, &keys).await?,
            held: named(tx, &STOP_SEEN, &ids).await?,
        })
    }
}

async fn named<T: Tx, N>(
    tx: &mut T,
    statement: &'static Statement,
    names: &[&str],
) -> Answer<BTreeSet<N>>
where
    N: std::str::FromStr<Err: std::fmt::Display> + Ord + Send,
{
    let mut found = BTreeSet::new();
    if names.is_empty() {
        return Ok(found);
    }
    for columns in tx.rows(statement, vec![tx.ns().into(), Arg::texts(names)]).await? {
        found.insert(Reader::new(columns).parsed().map_err(unreadable)?);
    }
    Ok(found)
}

/// Adds tasks, and looks only at what may be there.
#[derive(Debug)]
pub(in crate::store) struct AddIn<'a> {
    pub(in crate::store) add: &'a Add,
    pub(in crate::store) taken: &'a Taken,
}

impl Step for AddIn<'_> {
    type Reply = Added;

    const METHOD: &'static str = "add";

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<Added> {
        let Taken { ids, keys, held } = self.taken;
        let (ids, keys) = (ids.iter().collect(), keys.iter().collect());
        let mut adding = Adding::seeing(self.add, &ids, keys, tx).await?;
        // Held, so that a run which lets go at this very moment finds the task that waits for it.
        adding.held = entries::ghosts(tx, held).await?.into_keys().collect();
        let (outcomes, changes) = adding.all();
        changes.write(tx).await?;
        Ok(Added { now: tx.now(), outcomes })
    }
}
