//! What the leader looks at, and takes back.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::id::ClaimId;
use crate::domain::id::ProcessId;
use crate::domain::id::TaskId;
use crate::domain::time::Timestamp;
use crate::store::BATCH_MAX;
use crate::store::HolderKind;
use crate::store::LeaseView;
use crate::store::Led;
use crate::store::Look;
use crate::store::Looked;
use crate::store::Reclaim;
use crate::store::ReclaimItem;
use crate::store::Scope;
use crate::store::TaskRecord;

use super::Answer;
use super::Arg;
use super::Columns;
use super::Statement;
use super::Step;
use super::Tx;
use super::ack;
use super::ack::Returns;
use super::claim::under;
use super::election;
use super::entries;
use super::entries::HandedBack;
use super::entries::TASK_LOST;
use super::row::Reader;
use super::row::unreadable;

static LEASE_EXPIRED: Statement = Statement::new(include_str!("statements/lease_expired.sql"));
static LEASE_NEXT: Statement = Statement::new(include_str!("statements/lease_next.sql"));
static LEASE_ALL: Statement = Statement::new(include_str!("statements/lease_all.sql"));
static LEASE_OF_CLAIM: Statement = Statement::new(include_str!("statements/lease_of_claim.sql"));
static LEASE_END_HELD: Statement = Statement::new(include_str!("statements/lease_end_held.sql"));
static STOP_OF_CLAIM: Statement = Statement::new(include_str!("statements/stop_of_claim.sql"));

impl Step for Look {
    type Reply = Led<Looked>;

    const METHOD: &'static str = "leases";

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<Self::Reply> {
        if !election::admits(tx, &self.mandate).await? {
            return Ok(Led::Deposed);
        }
        let ns = tx.ns();
        let rows = match &self.scope {
            Scope::Expired => {
                let args = vec![ns.into(), tx.now().into(), BATCH_MAX.into()];
                tx.rows(&LEASE_EXPIRED, args).await?
            }
            Scope::All { skip } => {
                let args = vec![ns.into(), BATCH_MAX.into(), (*skip).into()];
                tx.rows(&LEASE_ALL, args).await?
            }
            Scope::Claims(claims) if claims.is_empty() => Vec::new(),
            Scope::Claims(claims) => {
                let claims = Arg::texts(claims.iter().map(ClaimId::as_str));
                tx.rows(&LEASE_OF_CLAIM, vec![ns.into(), claims]).await?
            }
        };
        let leases: Result<Vec<LeaseView>, String> = rows.into_iter().map(view).collect();
        let mut leases = leases.map_err(unreadable)?;
        if let Scope::Claims(claims) = &self.scope {
            let runs = under(tx, claims).await?;
            let tasks = entries::views(tx, &runs).await?;
            for view in &mut leases {
                let is_under = |task: &&TaskRecord| {
                    task.lease.as_ref().is_some_and(|lease| lease.claim_id == view.claim)
                };
                view.tasks = tasks.iter().filter(is_under).cloned().collect();
                view.tasks.sort_by(|a, b| a.id.cmp(&b.id));
            }
            let asked = |view: &LeaseView| claims.iter().position(|claim| *claim == view.claim);
            leases.sort_by_key(asked);
        }
        let next_end = match &self.scope {
            Scope::Claims(_) => None,
            _ => next_end(tx).await?,
        };
        Ok(Led::Done(Looked { now: tx.now(), leases, next_end }))
    }
}

/// The earliest end of a lease that has not expired.
async fn next_end<T: Tx>(tx: &mut T) -> Answer<Option<Timestamp>> {
    let args = vec![tx.ns().into(), tx.now().into()];
    let rows = tx.rows(&LEASE_NEXT, args).await?;
    let end = rows.into_iter().next().map(|row| Reader::new(row).moment()).transpose();
    Ok(end.map_err(unreadable)?)
}

/// A lease as the leader sees it. A process that has beaten after the lease was last prolonged
/// lives, and did not know of the claim.
fn view(columns: Columns) -> Result<LeaseView, String> {
    let mut row = Reader::new(columns);
    let (claim, node) = (row.parsed()?, row.parsed()?);
    let process: ProcessId = row.parsed()?;
    let kind = if row.text()? == "remote" { HolderKind::Remote } else { HolderKind::Node };
    let (ttl, grace) = (length(row.int()?), length(row.int()?));
    let (expires_at, renewed_at) = (row.moment()?, row.moment()?);
    let (beating, beat_at) = (row.texts()?, row.moments()?);
    let has_beaten = beating.is_some_and(|beating| beating == process.as_str())
        && beat_at.is_some_and(|beat_at: Timestamp| beat_at > renewed_at);
    let crashed = kind == HolderKind::Remote || !has_beaten;
    Ok(LeaseView { claim, node, process, kind, ttl, grace, expires_at, crashed, tasks: Vec::new() })
}

fn length(us: i64) -> Duration {
    Duration::from_micros(us.unsigned_abs())
}

impl Step for Reclaim {
    type Reply = Led<u64>;

    const METHOD: &'static str = "reclaim";

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<Led<u64>> {
        if !election::admits(tx, &self.mandate).await? {
            return Ok(Led::Deposed);
        }
        let (ns, claim) = (tx.ns(), &self.claim);
        let rows = tx.rows(&LEASE_END_HELD, vec![ns.into(), claim.as_str().into()]).await?;
        let Some(row) = rows.into_iter().next() else { return Ok(Led::Done(0)) };
        if Reader::new(row).moment().map_err(unreadable)? != self.expires_at {
            return Ok(Led::Done(0));
        }

        let handed: Vec<HandedBack<'_>> = self
            .items
            .iter()
            .map(|ReclaimItem { task, fence, spec, verdict }| HandedBack {
                claim,
                task,
                fence: *fence,
                spec,
                verdict,
            })
            .collect();
        let mut returns = Returns::new(entries::by_run(tx, &TASK_LOST, &handed).await?);
        for id in superseded(tx, claim).await? {
            returns.let_go(id);
        }
        let mut taken = 0;
        for handed in &handed {
            taken += u64::from(returns.take(handed, tx));
        }
        returns.write(tx).await?;
        ack::close_empty(tx, [claim]).await?;
        Ok(Led::Done(taken))
    }
}

/// Tasks that were replaced or removed while they ran under a claim.
async fn superseded<T: Tx>(tx: &mut T, claim: &ClaimId) -> Answer<BTreeSet<TaskId>> {
    let args = vec![tx.ns().into(), Arg::texts([claim.as_str()])];
    let mut found = BTreeSet::new();
    for columns in tx.rows(&STOP_OF_CLAIM, args).await? {
        let mut row = Reader::new(columns.into_iter().skip(1).collect());
        let mut read =
            || -> Result<(TaskId, bool), String> { Ok((row.parsed()?, row.int()? != 0)) };
        let (id, is_superseded) = read().map_err(unreadable)?;
        if is_superseded {
            found.insert(id);
        }
    }
    Ok(found)
}
