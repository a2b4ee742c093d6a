//! Processes beat, and leases are kept.

use std::collections::BTreeSet;

use crate::domain::id::ClaimId;
use crate::domain::id::NodeName;
use crate::domain::id::ProcessId;
use crate::domain::time::as_us;
use crate::store::Beat;
use crate::store::Keep;
use crate::store::Kept;
use crate::store::Stop;
use crate::store::StopReason;
use crate::store::told::Told;

use super::Answer;
use super::Arg;
use super::Statement;
use super::Step;
use super::Tx;
use super::election;
use super::row::Reader;
use super::row::unreadable;

static LEASE_HELD: Statement = Statement::new(include_str!("statements/lease_held.sql"));
static LEASE_RENEW: Statement = Statement::new(include_str!("statements/lease_renew.sql"));
static STOP_OF_CLAIM: Statement = Statement::new(include_str!("statements/stop_of_claim.sql"));
static NODE_DELETE: Statement = Statement::new(include_str!("statements/node_delete.sql"));
static NODE_LEAVE: Statement = Statement::new(include_str!("statements/node_leave.sql"));
static NODE_PROCESS: Statement = Statement::new(include_str!("statements/node_process.sql"));
static DRAIN_DELETE: Statement = Statement::new(include_str!("statements/drain_delete.sql"));
static DRAIN_INSERT: Statement = Statement::new(include_str!("statements/drain_insert.sql"));
static NODE_INSERT: Statement = Statement::new(include_str!("statements/node_insert.sql"));

impl Step for Keep {
    type Reply = Kept;

    const METHOD: &'static str = "keep";

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<Kept> {
        let (ns, now) = (tx.ns(), tx.now());
        if let Some(beat) = &self.beat {
            take_beat(tx, beat).await?;
        }
        let mut kept = Kept {
            now,
            lost: Vec::new(),
            stop: Vec::new(),
            unanswered: Vec::new(),
            drain: false,
            leader: None,
        };
        let claims: BTreeSet<&ClaimId> = self.claims.iter().collect();
        if !claims.is_empty() {
            let asked = Arg::texts(claims.iter().map(|claim| claim.as_str()));
            let mut held = BTreeSet::new();
            for columns in tx.rows(&LEASE_HELD, vec![ns.into(), asked]).await? {
                held.insert(Reader::new(columns).parsed::<ClaimId>().map_err(unreadable)?);
            }
            let lost = self.claims.iter().filter(|claim| !held.contains(*claim));
            kept.lost = lost.cloned().collect();
            if !held.is_empty() {
                let held = Arg::texts(held.iter().map(ClaimId::as_str));
                let (ttl, end) = (as_us(self.ttl).into(), now.plus(self.ttl).into());
                let args = vec![ttl, end, now.into(), ns.into(), held.clone()];
                tx.run(&LEASE_RENEW, args).await?;
                kept.stop = stops(tx, held).await?;
            }
        }
        (kept.leader, kept.drain) = match &self.beat {
            Some(beat) => election::leader_and_order(tx, &beat.process).await?,
            None => (election::leader(tx).await?, false),
        };
        Ok(kept)
    }
}

/// Tells the process that beats under a name to drain.
#[derive(Clone, Debug)]
pub(in crate::store) struct Drain(pub(in crate::store) NodeName);

impl Step for Drain {
    type Reply = bool;

    const METHOD: &'static str = "drain";

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<bool> {
        let ns = tx.ns();
        let rows = tx.rows(&NODE_PROCESS, vec![ns.into(), self.0.as_str().into()]).await?;
        let Some(columns) = rows.into_iter().next() else { return Ok(false) };
        let process: ProcessId = Reader::new(columns).parsed().map_err(unreadable)?;
        // Told twice, it is told once.
        tx.run(&DRAIN_DELETE, vec![ns.into(), process.as_str().into()]).await?;
        let row = vec![ns.into(), "".into(), process.as_str().into(), 0_i64.into(), 0_i64.into()];
        tx.insert(&DRAIN_INSERT, vec![row]).await?;
        Ok(true)
    }
}

async fn stops<T: Tx>(tx: &mut T, claims: Arg) -> Answer<Vec<Stop>> {
    let rows = tx.rows(&STOP_OF_CLAIM, vec![tx.ns().into(), claims]).await?;
    let read = |columns| -> Result<Stop, String> {
        let mut row = Reader::new(columns);
        let (claim, task) = (row.parsed()?, row.parsed()?);
        let superseded = row.int()? != 0;
        let reason = if superseded { StopReason::Superseded } else { StopReason::Cancelled };
        Ok(Stop { claim, task, reason })
    };
    let stops: Result<_, String> = rows.into_iter().map(read).collect();
    Ok(stops.map_err(unreadable)?)
}

async fn take_beat<T: Tx>(tx: &mut T, beat: &Beat) -> Answer<()> {
    let (ns, node, process) = (tx.ns(), beat.node.as_str(), beat.process.as_str());
    if beat.leaving {
        tx.run(&NODE_LEAVE, vec![ns.into(), node.into(), process.into()]).await?;
        return tx.run(&DRAIN_DELETE, vec![ns.into(), process.into()]).await;
    }
    let told = Told::of(beat).to_text();
    tx.run(&NODE_DELETE, vec![ns.into(), node.into()]).await?;
    let row = vec![ns.into(), node.into(), process.into(), tx.now().into(), told.into()];
    tx.insert(&NODE_INSERT, vec![row]).await
}
