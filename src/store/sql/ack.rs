//! Runs are handed back.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::domain::id::ClaimId;
use crate::domain::id::TaskId;
use crate::store::AckItem;
use crate::store::Acked;
use crate::store::entry::Entry;

use super::Answer;
use super::Arg;
use super::Statement;
use super::Step;
use super::Tx;
use super::entries;
use super::entries::Changes;
use super::entries::Ghost;
use super::entries::HandedBack;
use super::entries::TASK_BY_ID;
use super::entries::TASK_RUN;
use super::place;
use super::row::Reader;
use super::row::unreadable;

static PLACE_BUSY: Statement = Statement::new(include_str!("statements/place_busy.sql"));
static STOP_OF_CLAIM: Statement = Statement::new(include_str!("statements/stop_of_claim.sql"));
static LEASE_HELD: Statement = Statement::new(include_str!("statements/lease_held.sql"));
static LEASE_DELETE: Statement = Statement::new(include_str!("statements/lease_delete.sql"));
static ENDED_CLAIM_INSERT: Statement =
    Statement::new(include_str!("statements/ended_claim_insert.sql"));

/// Hands outcomes back.
#[derive(Clone, Debug)]
pub(in crate::store) struct Ack(pub(in crate::store) Vec<AckItem>);

impl Step for Ack {
    type Reply = Vec<Acked>;

    const METHOD: &'static str = "ack";

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<Vec<Acked>> {
        let Self(items) = self;
        let handed: Vec<HandedBack<'_>> = items
            .iter()
            .map(|AckItem { claim, task, fence, spec, verdict }| HandedBack {
                claim,
                task,
                fence: *fence,
                spec,
                verdict,
            })
            .collect();
        let mut returns = Returns::new(entries::by_run(tx, &TASK_RUN, &handed).await?);
        returns.know_ghosts(tx, &handed).await?;
        let mut acked = Vec::with_capacity(items.len());
        for handed in &handed {
            let is_accepted = returns.take(handed, tx);
            acked.push(if is_accepted { Acked::Done } else { Acked::Stale });
        }
        returns.write(tx).await?;
        close_empty(tx, items.iter().map(|item| &item.claim)).await?;
        Ok(acked)
    }
}

/// Runs while they are taken back.
pub(super) struct Returns {
    known: BTreeMap<TaskId, Entry>,
    ghosts: BTreeMap<TaskId, Ghost>,
    changes: Changes,
    /// Superseded runs that let go.
    gone: BTreeSet<TaskId>,
}

impl Returns {
    pub(super) fn new(known: BTreeMap<TaskId, Entry>) -> Self {
        let (ghosts, changes, gone) = (BTreeMap::new(), Changes::default(), BTreeSet::new());
        Self { known, ghosts, changes, gone }
    }

    /// Looks for superseded runs among what no task is known to run for.
    pub(super) async fn know_ghosts<T: Tx>(
        &mut self,
        tx: &mut T,
        handed: &[HandedBack<'_>],
    ) -> Answer<()> {
        let strange = handed.iter().filter(|handed| !self.holds(handed)).map(|handed| handed.task);
        let strange: BTreeSet<&TaskId> = strange.collect();
        self.ghosts = entries::ghosts(tx, strange).await?;
        Ok(())
    }

    fn holds(&self, handed: &HandedBack<'_>) -> bool {
        self.known.get(handed.task).is_some_and(|entry| {
            entry.claim.as_ref() == Some(handed.claim) && entry.fence == Some(handed.fence)
        })
    }

    /// Applies a verdict if the claim holds the task with that fence (T5). Whoever is accepted
    /// leaves the claim in the same step, so no second outcome is (T6).
    pub(super) fn take<T: Tx>(&mut self, handed: &HandedBack<'_>, tx: &T) -> bool {
        let HandedBack { claim, task, fence, verdict, .. } = *handed;
        if !self.holds(handed) {
            let is_own = |ghost: &Ghost| ghost.claim == *claim && ghost.fence == fence;
            if self.ghosts.get(task).is_some_and(is_own) {
                self.gone.insert(task.clone());
            }
            return false;
        }
        if let Some(entry) = self.known.remove(task) {
            self.changes.take(&entry);
            if entry.asked.cancel {
                self.changes.let_go(task);
            }
            if let Some(entry) = entry.apply(verdict, tx.now(), tx.options()) {
                self.changes.put(entry, false);
            }
        }
        true
    }

    /// A superseded run lets go without a verdict.
    pub(super) fn let_go(&mut self, id: TaskId) {
        self.gone.insert(id);
    }

    /// Writes what was taken; successors of runs that let go become claimable (T3).
    pub(super) async fn write<T: Tx>(mut self, tx: &mut T) -> Answer<()> {
        if !self.gone.is_empty() {
            let gone = self.gone.iter().collect();
            for entry in entries::by_id(tx, &TASK_BY_ID, &gone).await?.into_values() {
                self.changes.take(&entry);
                self.changes.put(entry, false);
            }
            for id in &self.gone {
                self.changes.let_go(id);
            }
        }
        self.changes.write(tx).await
    }
}

/// Ends those of the leases that hold nothing any more.
///
/// Whoever acks beside this step may still show its tasks. Then the lease stays, without tasks,
/// until the leader ends it.
pub(super) async fn close_empty<'a, T: Tx>(
    tx: &mut T,
    claims: impl IntoIterator<Item = &'a ClaimId>,
) -> Answer<()> {
    let mut claims: BTreeMap<String, String> =
        claims.into_iter().map(|claim| (place::of_claim(claim), claim.to_string())).collect();
    if claims.is_empty() {
        return Ok(());
    }
    for busy in texts(tx, &PLACE_BUSY, claims.keys()).await? {
        claims.remove(&busy);
    }
    let mut empty: BTreeSet<String> = claims.into_values().collect();
    for (statement, is_kept) in [(&STOP_OF_CLAIM, false), (&LEASE_HELD, true)] {
        if empty.is_empty() {
            return Ok(());
        }
        let found: BTreeSet<String> = texts(tx, statement, &empty).await?.into_iter().collect();
        empty.retain(|claim| found.contains(claim) == is_kept);
    }
    if empty.is_empty() {
        return Ok(());
    }
    tx.run(&LEASE_DELETE, vec![tx.ns().into(), Arg::texts(&empty)]).await?;
    let (ns, now) = (tx.ns(), tx.now());
    let ended = empty.into_iter().map(|claim| vec![ns.into(), claim.into(), now.into()]);
    tx.insert(&ENDED_CLAIM_INSERT, ended.collect()).await
}

/// The first column of what a statement finds by names.
async fn texts<T: Tx>(
    tx: &mut T,
    statement: &'static Statement,
    names: impl IntoIterator<Item = &String>,
) -> Answer<Vec<String>> {
    let rows = tx.rows(statement, vec![tx.ns().into(), Arg::texts(names)]).await?;
    let texts: Result<_, String> = rows.into_iter().map(|row| Reader::new(row).text()).collect();
    Ok(texts.map_err(unreadable)?)
}
