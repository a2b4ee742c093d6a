//! Due tasks are leased.

use std::collections::BTreeSet;

use crate::domain::id::ClaimId;
use crate::domain::id::QueueName;
use crate::domain::id::TaskId;
use crate::domain::lease::Lease;
use crate::domain::state::TaskState;
use crate::domain::time::Timestamp;
use crate::domain::time::as_us;
use crate::store::Claim;
use crate::store::Claimed;
use crate::store::HolderKind;
use crate::store::RESERVED_AGAIN_AFTER;
use crate::store::RESERVED_FOR;
use crate::store::SuspectRoom;
use crate::store::TaskRecord;
use crate::store::entry::Entry;
use crate::store::entry::Lane;
use crate::store::entry::Rank;

use super::Answer;
use super::Arg;
use super::Columns;
use super::Statement;
use super::Step;
use super::Tx;
use super::entries;
use super::entries::Changes;
use super::front::Spot;
use super::lanes;
use super::lanes::Lanes;
use super::lanes::wants;
use super::place;
use super::queues;
use super::row;
use super::row::Reader;
use super::row::unreadable;

static CLAIM_KNOWN: Statement = Statement::new(include_str!("statements/claim_known.sql"));
static TASK_DUE: Statement = Statement::new(include_str!("statements/task_due.sql"));
static TASK_DUE_AFTER: Statement = Statement::new(include_str!("statements/task_due_after.sql"));
static TASK_UNDER: Statement = Statement::new(include_str!("statements/task_under.sql"));
static TASK_START: Statement = Statement::new(include_str!("statements/task_start.sql"));
static TASK_SET_ASIDE: Statement = Statement::new(include_str!("statements/task_set_aside.sql"));
static LEASE_INSERT: Statement = Statement::new(include_str!("statements/lease_insert.sql"));
static LEADER_HELD: Statement = Statement::new(include_str!("statements/leader_held.sql"));
static LEADER_RESERVE: Statement = Statement::new(include_str!("statements/leader_reserve.sql"));

/// Looks whether a claim would take anything, without holding a row: most polls find nothing.
#[derive(Clone, Debug)]
pub(in crate::store) struct Peek(pub(in crate::store) Claim);

impl Step for Peek {
    /// The answer, if nothing is due.
    type Reply = Option<Claimed>;

    const METHOD: &'static str = "claim";
    const READS: bool = true;

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<Option<Claimed>> {
        let Self(claim) = self;
        let horizon = tx.now().plus(claim.ahead);
        if known(tx, claim).await?.is_some() {
            return Ok(None);
        }
        let mut claimed = Claimed::nothing(tx.now());
        let queues = open_queues(tx, claim).await?;
        let lanes = lanes::find(tx, claim, &queues).await?;
        if lanes.found.iter().any(|lane| lane.first <= horizon) {
            return Ok(None);
        }
        foresee(&mut claimed, claim, claim.suspects, &lanes);
        Ok(Some(claimed))
    }
}

impl Step for Claim {
    type Reply = Claimed;

    const METHOD: &'static str = "claim";

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<Claimed> {
        let mut claimed = Claimed::nothing(tx.now());
        let horizon = tx.now().plus(self.ahead);
        let (room, left) = (self.suspects, self.limit);
        let mut taking = Taking {
            claim: self,
            horizon,
            room,
            left,
            taken: Vec::new(),
            changes: Changes::default(),
            corrupt: Vec::new(),
        };
        let known = known(tx, self).await?;
        if known.is_some_and(|known| known == Known::Ended) {
            return Ok(claimed);
        }
        let queues = open_queues(tx, self).await?;
        if known.is_some() {
            claimed.tasks = runs_of(tx, self).await?;
        } else {
            claimed.isolate = taking.due(tx, &queues).await?;
            let Taking { taken, changes, corrupt, .. } = &mut taking;
            claimed.corrupt = std::mem::take(corrupt);
            let (taken, changes) = (std::mem::take(taken), std::mem::take(changes));
            changes.write(tx).await?;
            claimed.tasks = lease(tx, self, taken).await?;
        }
        foresee(&mut claimed, self, taking.room, &lanes::find(tx, self, &queues).await?);
        Ok(claimed)
    }
}

/// Notes what is left for the claimer, and when it should ask again.
fn foresee(claimed: &mut Claimed, claim: &Claim, room: SuspectRoom, lanes: &Lanes) {
    let reached = lanes.found.iter().filter(|found| reaches(found.lane.rank, room));
    let first = reached.map(|found| found.first).min();
    let horizon = claimed.now.plus(claim.ahead);
    claimed.more = first.is_some_and(|first| first <= horizon);
    // A node asks before a task is due.
    let again_at = lanes.again_at.map(|at| at.plus(claim.ahead));
    claimed.next_run_at = first.into_iter().chain(again_at).min();
}

/// What is known of a claim's id.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Live,
    Ended,
}

async fn known<T: Tx>(tx: &mut T, claim: &Claim) -> Answer<Option<Known>> {
    let (ns, id) = (tx.ns(), claim.id.as_str());
    let args = vec![ns.into(), id.into(), ns.into(), id.into()];
    let mut kinds = Vec::new();
    for columns in tx.rows(&CLAIM_KNOWN, args).await? {
        kinds.push(Reader::new(columns).int().map_err(unreadable)?);
    }
    Ok(match kinds.iter().min() {
        Some(1) => Some(Known::Live),
        Some(_) => Some(Known::Ended),
        None => None,
    })
}

/// The queues of a claim that are known and not paused, in its order (T8).
async fn open_queues<'a, T: Tx>(tx: &mut T, claim: &'a Claim) -> Answer<Vec<&'a QueueName>> {
    let gates = queues::known(tx, &claim.queues).await?;
    let is_open = |queue: &&QueueName| gates.get(*queue).is_some_and(|paused| !paused);
    Ok(claim.queues.iter().filter(is_open).collect())
}

/// Whether the claimer could come back for a task of such a lane.
fn reaches(rank: Rank, room: SuspectRoom) -> bool {
    match rank {
        Rank::Alone => room.idle,
        Rank::Three => room.three > 0,
        Rank::Two => room.two > 0,
        Rank::Parked | Rank::Ordinary => true,
    }
}

/// A claim while tasks are taken for it.
struct Taking<'a> {
    claim: &'a Claim,
    horizon: Timestamp,
    room: SuspectRoom,
    /// How many more tasks may be met.
    left: usize,
    taken: Vec<Entry>,
    changes: Changes,
    corrupt: Vec<TaskId>,
}

impl Taking<'_> {
    /// Takes tasks from the lanes, in their order. Answers whether the claimer is to become idle.
    async fn due<T: Tx>(&mut self, tx: &mut T, queues: &[&QueueName]) -> Answer<bool> {
        let lanes = lanes::find(tx, self.claim, queues).await?;
        let due: Vec<Lane> = lanes
            .found
            .into_iter()
            .filter(|found| found.first <= self.horizon)
            .map(|found| found.lane)
            .collect();
        if let Some(alone) = due.iter().find(|lane| lane.rank == Rank::Alone) {
            if self.claim.suspects.idle {
                self.meet(tx, alone, 1).await?;
                return Ok(false);
            }
            if self.reserve(tx).await? {
                return Ok(true);
            }
        }
        for lane in due {
            let most = match lane.rank {
                Rank::Alone => 0,
                Rank::Three => self.left.min(self.room.three),
                Rank::Two => self.left.min(self.room.two),
                Rank::Parked | Rank::Ordinary => self.left,
            };
            if most > 0 {
                self.meet(tx, &lane, most).await?;
            }
        }
        Ok(false)
    }

    /// The rows of due tasks in the place of a lane, held; those behind a spot of it, if there is one.
    async fn due_in<T: Tx>(
        &self,
        tx: &mut T,
        place: &str,
        spot: Option<&Spot>,
        most: usize,
    ) -> Answer<Vec<Columns>> {
        let mut args = vec![tx.ns().into(), place.into()];
        let statement = match spot {
            None => &TASK_DUE,
            Some(Spot { due, id }) => {
                args.extend([(*due).into(), id.as_str().into(), (*due).into()]);
                &TASK_DUE_AFTER
            }
        };
        args.extend([self.horizon.into(), most.into()]);
        tx.rows(statement, args).await
    }

    /// Whether the claimer has, or gets, the right to become idle for a suspect (N4).
    async fn reserve<T: Tx>(&self, tx: &mut T) -> Answer<bool> {
        let (now, process) = (tx.now(), self.claim.holder.process.as_str());
        let rows = tx.rows(&LEADER_HELD, vec![tx.ns().into()]).await?;
        let Some(columns) = rows.into_iter().next() else { return Ok(false) };
        let mut row = Reader::new(columns.into_iter().skip(6).collect());
        let (holder, since) = (row.texts(), row.moment());
        let (holder, since) = (holder.map_err(unreadable)?, since.map_err(unreadable)?);
        if let Some(holder) = holder
            && (since..since.plus(RESERVED_AGAIN_AFTER)).contains(&now)
        {
            return Ok(holder == process && now < since.plus(RESERVED_FOR));
        }
        tx.run(&LEADER_RESERVE, vec![process.into(), now.into(), tx.ns().into()]).await?;
        Ok(true)
    }

    /// Meets up to `most` due tasks of a lane: each is taken, parked or found expired.
    async fn meet<T: Tx>(&mut self, tx: &mut T, lane: &Lane, most: usize) -> Answer<()> {
        let (now, place) = (tx.now(), place::of_lane(lane));
        let begin = tx.fronts().map(|fronts| fronts.begin(place.clone(), now));
        let spot = begin.as_ref().and_then(|begin| begin.spot.as_ref());
        let rows = self.due_in(tx, &place, spot, most).await?;
        let (mut damaged, mut last, count) = (Vec::new(), None, rows.len());
        for (at, columns) in rows.into_iter().enumerate() {
            self.left -= 1;
            match lane.rank {
                Rank::Three => self.room.three -= 1,
                Rank::Two => self.room.two -= 1,
                Rank::Alone | Rank::Parked | Rank::Ordinary => {}
            }
            let mut entry = match row::read(columns, None) {
                Ok(entry) => entry,
                Err(row::Damaged { id, .. }) => {
                    damaged.push(id);
                    continue;
                }
            };
            if at + 1 == count {
                last = Some(Spot::of(entry.task.run_at, &entry.task.id));
            }
            if entry.expires().is_some_and(|at| at <= now) {
                self.changes.take(&entry);
                if let Some(entry) = entry.end(TaskState::Expired, now, tx.options()) {
                    self.changes.put(entry, false);
                }
            } else if wants(self.claim, Some(&entry.task.spec.callback)) {
                self.taken.push(entry);
            } else {
                self.changes.take(&entry);
                entry.task.parked = true;
                self.changes.put(entry, false);
            }
        }
        if let (Some(fronts), Some(begin), Some(last)) = (tx.fronts(), begin, last) {
            fronts.took(begin, last, count, now);
        }
        if !damaged.is_empty() {
            let ids = Arg::texts(damaged.iter().map(TaskId::as_str));
            let args = vec![place::ASIDE_FOR_DAMAGE.into(), tx.ns().into(), ids];
            tx.run(&TASK_SET_ASIDE, args).await?;
            self.corrupt.extend(damaged);
        }
        Ok(())
    }
}

/// Leases what was taken. One fence serves all, above every earlier one of each (T4).
async fn lease<T: Tx>(tx: &mut T, claim: &Claim, mut taken: Vec<Entry>) -> Answer<Vec<TaskRecord>> {
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    let (ns, now) = (tx.ns(), tx.now());
    let fence = entries::next_fence(now, taken.iter().filter_map(|entry| entry.fence).max());
    let number = i64::try_from(fence.0).unwrap_or(i64::MAX);
    let ids: BTreeSet<&str> = taken.iter().map(|entry| entry.task.id.as_str()).collect();
    let args = vec![
        place::of_claim(&claim.id).into(),
        claim.id.as_str().into(),
        number.into(),
        ns.into(),
        Arg::texts(ids),
    ];
    tx.run(&TASK_START, args).await?;

    let kind = if claim.holder.kind == HolderKind::Remote { "remote" } else { "node" };
    let expires_at = now.plus(claim.ttl);
    let row = vec![
        ns.into(),
        claim.id.as_str().into(),
        claim.holder.node.as_str().into(),
        claim.holder.process.as_str().into(),
        kind.into(),
        as_us(claim.ttl).into(),
        as_us(claim.grace).into(),
        expires_at.into(),
        now.into(),
        number.into(),
    ];
    tx.insert(&LEASE_INSERT, vec![row]).await?;
    let lease =
        Lease { node: claim.holder.node.clone(), claim_id: claim.id.clone(), fence, expires_at };
    for entry in &mut taken {
        entry.start(&claim.id, fence);
    }
    Ok(taken.iter().map(|entry| entry.view(Some(lease.clone()))).collect())
}

/// What a claim still holds, most urgent first.
async fn runs_of<T: Tx>(tx: &mut T, claim: &Claim) -> Answer<Vec<TaskRecord>> {
    let runs = under(tx, [&claim.id]).await?;
    let mut tasks = entries::views(tx, &runs).await?;
    tasks.sort_by_key(|task| (task.spec.priority, task.run_at));
    Ok(tasks)
}

/// The tasks that run under claims; those that cannot be read are passed over.
pub(super) async fn under<'a, T: Tx>(
    tx: &mut T,
    claims: impl IntoIterator<Item = &'a ClaimId>,
) -> Answer<Vec<Entry>> {
    let places: BTreeSet<String> = claims.into_iter().map(place::of_claim).collect();
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let rows = tx.rows(&TASK_UNDER, vec![tx.ns().into(), Arg::texts(places)]).await?;
    Ok(rows.into_iter().filter_map(|columns| row::read(columns, None).ok()).collect())
}
