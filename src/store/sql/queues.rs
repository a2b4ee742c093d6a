//! Queues: known, open or paused, and how deep they are.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::domain::id::QueueName;
use crate::domain::state::TaskState;
use crate::domain::time::Timestamp;
use crate::store::Gate;
use crate::store::QueueStats;
use crate::store::Stats;
use crate::store::entry::Rank;

use super::Answer;
use super::Arg;
use super::Columns;
use super::Statement;
use super::Step;
use super::Tx;
use super::place;
use super::row::Reader;
use super::row::unreadable;

static QUEUE_KNOWN: Statement = Statement::new(include_str!("statements/queue_known.sql"));
static QUEUE_ALL: Statement = Statement::new(include_str!("statements/queue_all.sql"));
static QUEUE_INSERT: Statement = Statement::new(include_str!("statements/queue_insert.sql"));
static QUEUE_SET: Statement = Statement::new(include_str!("statements/queue_set.sql"));
static PLACE_COUNTS: Statement = Statement::new(include_str!("statements/place_counts.sql"));
static RUNNING_COUNTS: Statement = Statement::new(include_str!("statements/running_counts.sql"));

/// Opens or pauses a queue.
#[derive(Clone, Debug)]
pub(in crate::store) struct SetQueue(pub(in crate::store) QueueName, pub(in crate::store) Gate);

/// Makes queues known.
#[cfg(feature = "mysql")]
#[derive(Clone, Debug)]
pub(in crate::store) struct KnowQueues(pub(in crate::store) BTreeSet<QueueName>);

#[cfg(feature = "mysql")]
impl Step for KnowQueues {
    type Reply = ();

    const METHOD: &'static str = "add";

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<()> {
        know(tx, &self.0).await
    }
}

/// Asks for depths.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct AskStats;

/// Which of these queues are known, and whether they are paused.
pub(super) async fn known<'a, T: Tx>(
    tx: &mut T,
    names: impl IntoIterator<Item = &'a QueueName>,
) -> Answer<BTreeMap<QueueName, bool>> {
    let names: BTreeSet<&str> = names.into_iter().map(QueueName::as_str).collect();
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = tx.rows(&QUEUE_KNOWN, vec![tx.ns().into(), Arg::texts(names)]).await?;
    read_gates(rows)
}

fn read_gates(rows: Vec<Columns>) -> Answer<BTreeMap<QueueName, bool>> {
    let mut gates = BTreeMap::new();
    for columns in rows {
        let mut row = Reader::new(columns);
        let mut read = || -> Result<_, String> { Ok((row.parsed()?, row.int()? != 0)) };
        gates.extend([read().map_err(unreadable)?]);
    }
    Ok(gates)
}

/// Makes queues known.
pub(super) async fn know<'a, T: Tx>(
    tx: &mut T,
    names: impl IntoIterator<Item = &'a QueueName>,
) -> Answer<()> {
    let names: BTreeSet<&QueueName> = names.into_iter().collect();
    let known = known(tx, names.iter().copied()).await?;
    let unknown = names.into_iter().filter(|name| !known.contains_key(*name));
    let rows = unknown.map(|name| vec![tx.ns().into(), name.as_str().into(), false.into()]);
    let rows = rows.collect();
    tx.insert(&QUEUE_INSERT, rows).await
}

impl Step for SetQueue {
    type Reply = ();

    const METHOD: &'static str = "set_queue";

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<()> {
        let Self(name, gate) = self;
        know(tx, [name]).await?;
        let is_paused = *gate == Gate::Paused;
        tx.run(&QUEUE_SET, vec![is_paused.into(), tx.ns().into(), name.as_str().into()]).await
    }
}

impl Step for AskStats {
    type Reply = Stats;

    const METHOD: &'static str = "stats";
    const READS: bool = true;

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<Stats> {
        let (ns, now) = (tx.ns(), tx.now());
        let gates = read_gates(tx.rows(&QUEUE_ALL, vec![ns.into()]).await?)?;
        let mut depths = Depths { now, next_run_at: None, queues: BTreeMap::new() };
        for (queue, paused) in gates {
            let stats = QueueStats { paused, ..QueueStats::of(&queue) };
            depths.queues.insert(queue, stats);
        }
        // Places begin with `e:`, `h:` or `l:`, apart from those of running tasks and of damage.
        let args = vec![now.into(), ns.into(), "e:".into(), "l;".into()];
        for columns in tx.rows(&PLACE_COUNTS, args).await? {
            depths.count(columns).map_err(unreadable)?;
        }
        for columns in tx.rows(&RUNNING_COUNTS, vec![ns.into()]).await? {
            let mut row = Reader::new(columns);
            let mut read = || -> Result<_, String> { Ok((row.parsed()?, row.int()?)) };
            let (queue, count) = read().map_err(unreadable)?;
            depths.queue(&queue).running = count.unsigned_abs();
        }
        let Depths { next_run_at, queues, .. } = depths;
        Ok(Stats { now, next_run_at, queues: queues.into_values().collect() })
    }
}

struct Depths {
    now: Timestamp,
    next_run_at: Option<Timestamp>,
    queues: BTreeMap<QueueName, QueueStats>,
}

impl Depths {
    fn queue(&mut self, name: &QueueName) -> &mut QueueStats {
        self.queues.entry(name.clone()).or_insert_with(|| QueueStats::of(name))
    }

    fn count(&mut self, columns: Columns) -> Result<(), String> {
        let mut row = Reader::new(columns);
        let (text, count) = (row.text()?, row.int()?.unsigned_abs());
        let (due, first) = (row.int()?.unsigned_abs(), row.moment()?);
        if let Some(lane) = place::lane(&text) {
            self.next_run_at = Some(self.next_run_at.map_or(first, |at| at.min(first)));
            let now = self.now;
            let stats = self.queue(&lane.queue);
            match lane.rank {
                Rank::Alone | Rank::Three | Rank::Two => stats.suspects += count,
                Rank::Parked => stats.parked += count,
                Rank::Ordinary => {
                    stats.scheduled[lane.priority as usize] += count;
                    stats.due += due;
                    if first <= now {
                        stats.oldest_due_at =
                            Some(stats.oldest_due_at.map_or(first, |at| at.min(first)));
                    }
                }
            }
        } else if let Some((state, queue)) = place::end(&text) {
            let stats = self.queue(&queue);
            match state {
                TaskState::Dead => stats.dead += count,
                TaskState::Cancelled => stats.cancelled += count,
                TaskState::Expired => stats.expired += count,
                _ => stats.completed += count,
            }
        } else if let Some(queue) = place::held(&text) {
            self.queue(&queue).held += count;
        }
        Ok(())
    }
}
