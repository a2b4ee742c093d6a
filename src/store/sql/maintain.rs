//! Housekeeping, and who is there.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::domain::id::NodeName;
use crate::domain::id::ProcessId;
use crate::domain::id::TaskId;
use crate::domain::state::TaskState;
use crate::domain::time::Timestamp;
use crate::store::Cluster;
use crate::store::Declaration;
use crate::store::Declare;
use crate::store::ENDED_CLAIM_KEPT;
use crate::store::Led;
use crate::store::Maintain;
use crate::store::Maintained;
use crate::store::NODE_FORGOTTEN_AFTER;
use crate::store::NodeView;
use crate::store::told::Told;

use super::Answer;
use super::Columns;
use super::Statement;
use super::Step;
use super::Tx;
use super::election;
use super::entries;
use super::entries::Changes;
use super::entries::TASK_FREE;
use super::front::First;
use super::lanes::places;
use super::place;
use super::row::Reader;
use super::row::unreadable;

static TASK_EXPIRED: Statement = Statement::new(include_str!("statements/task_expired.sql"));
static TASK_OVER: Statement = Statement::new(include_str!("statements/task_over.sql"));
static NODE_ALL: Statement = Statement::new(include_str!("statements/node_all.sql"));
static NODE_LEAVE: Statement = Statement::new(include_str!("statements/node_leave.sql"));
static DRAIN_FORGET: Statement = Statement::new(include_str!("statements/drain_forget.sql"));
static ENDED_CLAIM_PRUNE: Statement =
    Statement::new(include_str!("statements/ended_claim_prune.sql"));
static LEASE_REMOTE: Statement = Statement::new(include_str!("statements/lease_remote.sql"));

/// Asks who is there.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct AskCluster;

impl Step for Maintain {
    type Reply = Led<Maintained>;

    const METHOD: &'static str = "maintain";

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<Self::Reply> {
        if !election::admits(tx, &self.mandate).await? {
            return Ok(Led::Deposed);
        }
        let (ns, now, limit) = (tx.ns(), tx.now(), self.limit);
        let mut done = Maintained::default();
        let late = tx.rows(&TASK_EXPIRED, vec![ns.into(), now.into(), limit.into()]).await?;
        let late = ids(late, limit, &mut done)?;
        let over = over(tx, limit, &mut done).await?;
        finish(tx, &late, &over, &mut done).await?;
        forget_nodes(tx, limit, &mut done).await?;
        tx.run(&DRAIN_FORGET, vec![ns.into(), ns.into()]).await?;
        let long_ago = now.minus(ENDED_CLAIM_KEPT);
        tx.run(&ENDED_CLAIM_PRUNE, vec![ns.into(), long_ago.into()]).await?;
        Ok(Led::Done(done))
    }
}

impl Step for Declare {
    type Reply = Led<()>;

    const METHOD: &'static str = "declare";

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<Self::Reply> {
        if !election::admits(tx, &self.mandate).await? {
            return Ok(Led::Deposed);
        }
        match &self.what {
            Declaration::Add(add) => drop(add.take(tx).await?),
            Declaration::Remove(ids) => drop(Declaration::removal(ids).take(tx).await?),
        }
        Ok(Led::Done(()))
    }
}

/// Of each state the first tasks whose time is over, whatever their queue.
async fn over<T: Tx>(tx: &mut T, limit: usize, done: &mut Maintained) -> Answer<BTreeSet<TaskId>> {
    let (ns, now) = (tx.ns(), tx.now());
    let mut lines: BTreeMap<TaskState, BTreeSet<(Timestamp, TaskId)>> = BTreeMap::new();
    let (from, to) = place::ENDS;
    for First { place, spot } in places(tx, from, to).await? {
        let Some((state, _)) = place::end(&place).filter(|_| spot.due <= now) else { continue };
        let line = lines.entry(state).or_default();
        for columns in
            tx.rows(&TASK_OVER, vec![ns.into(), place.into(), now.into(), limit.into()]).await?
        {
            let mut row = Reader::new(columns);
            line.insert((row.moment().map_err(unreadable)?, row.parsed().map_err(unreadable)?));
        }
    }
    done.more |= lines.values().any(|line| line.len() >= limit);
    let first = |line: BTreeSet<_>| line.into_iter().take(limit).map(|(_, id)| id);
    Ok(lines.into_values().flat_map(first).collect())
}

fn ids(rows: Vec<Columns>, limit: usize, done: &mut Maintained) -> Answer<BTreeSet<TaskId>> {
    done.more |= rows.len() == limit;
    let ids: Result<_, String> = rows.into_iter().map(|row| Reader::new(row).parsed()).collect();
    Ok(ids.map_err(unreadable)?)
}

/// Ends what was not started in time, and drops what is over. What somebody holds, or changed since
/// it was found, is left for the next time.
async fn finish<T: Tx>(
    tx: &mut T,
    late: &BTreeSet<TaskId>,
    over: &BTreeSet<TaskId>,
    done: &mut Maintained,
) -> Answer<()> {
    let now = tx.now();
    let wanted: BTreeSet<&TaskId> = late.iter().chain(over).collect();
    let mut changes = Changes::default();
    for (id, entry) in entries::by_id(tx, &TASK_FREE, &wanted).await? {
        if late.contains(&id) && entry.expires().is_some_and(|at| at <= now) {
            changes.take(&entry);
            if let Some(entry) = entry.end(TaskState::Expired, now, tx.options()) {
                changes.put(entry, false);
            }
            done.expired += 1;
        } else if over.contains(&id) && entry.prune_at.is_some_and(|at| at <= now) {
            changes.take(&entry);
            done.pruned += 1;
        }
    }
    changes.write(tx).await
}

/// Forgets nodes that fell silent, first those that did so first.
async fn forget_nodes<T: Tx>(tx: &mut T, limit: usize, done: &mut Maintained) -> Answer<()> {
    let silent_since = tx.now().minus(NODE_FORGOTTEN_AFTER);
    let mut silent = nodes(tx).await?;
    silent.retain(|node| node.beat_at <= silent_since);
    silent.truncate(limit);
    for node in &silent {
        let (name, process) = (node.node.as_str(), node.process.as_str());
        tx.run(&NODE_LEAVE, vec![tx.ns().into(), name.into(), process.into()]).await?;
        done.forgotten += 1;
    }
    done.more |= silent.len() == limit;
    Ok(())
}

/// The processes that beat, first those that did so longest ago.
async fn nodes<T: Tx>(tx: &mut T) -> Answer<Vec<NodeView>> {
    let rows = tx.rows(&NODE_ALL, vec![tx.ns().into()]).await?;
    let nodes: Result<Vec<NodeView>, String> = rows.into_iter().map(node).collect();
    Ok(nodes.map_err(unreadable)?)
}

fn node(columns: Columns) -> Result<NodeView, String> {
    let mut row = Reader::new(columns);
    let (node, process, beat_at) = (row.parsed()?, row.parsed()?, row.moment()?);
    let told: Told = serde_json::from_str(&row.text()?).map_err(|e| format!("told: {e}"))?;
    Ok(told.view(node, process, beat_at))
}

impl Step for AskCluster {
    type Reply = Cluster;

    const METHOD: &'static str = "cluster";
    const READS: bool = true;

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<Cluster> {
        let mut nodes = nodes(tx).await?;
        let mut workers: BTreeMap<(NodeName, ProcessId), (u64, Timestamp)> = BTreeMap::new();
        for columns in tx.rows(&LEASE_REMOTE, vec![tx.ns().into()]).await? {
            let mut row = Reader::new(columns);
            let mut read = || -> Result<_, String> {
                Ok(((row.parsed()?, row.parsed()?), row.moment()?, row.int()?.unsigned_abs()))
            };
            let (key, beat_at, count): ((NodeName, ProcessId), _, _) =
                read().map_err(unreadable)?;
            let worker = workers.entry(key).or_insert((0, beat_at));
            *worker = (worker.0 + count, worker.1.max(beat_at));
        }
        nodes.extend(workers.into_iter().map(|((node, process), (running, beat_at))| {
            NodeView::remote(node, process, running, beat_at)
        }));
        nodes.sort_by(|a, b| (&a.node, &a.process).cmp(&(&b.node, &b.process)));
        Ok(Cluster { now: tx.now(), nodes, leader: election::leader(tx).await? })
    }
}
