//! Who leads.

use crate::domain::id::ProcessId;
use crate::domain::lease::Term;
use crate::domain::time::Timestamp;
use crate::store::BARRED_FOR;
use crate::store::Campaign;
use crate::store::Leader;
use crate::store::Leading;
use crate::store::Mandate;
use crate::store::Resign;

use super::Answer;
use super::Arg;
use super::Columns;
use super::Statement;
use super::Step;
use super::Tx;
use super::Value;
use super::row::Reader;
use super::row::unreadable;

static LEADER: Statement = Statement::new(include_str!("statements/leader.sql"));
static LEADER_AND_ORDER: Statement =
    Statement::new(include_str!("statements/leader_and_order.sql"));
static LEADER_HELD: Statement = Statement::new(include_str!("statements/leader_held.sql"));
static LEADER_SET: Statement = Statement::new(include_str!("statements/leader_set.sql"));
static FENCE_HELD: Statement = Statement::new(include_str!("statements/fence_held.sql"));
static FENCE_SET: Statement = Statement::new(include_str!("statements/fence_set.sql"));

/// The leader's place.
struct Chair {
    /// Who led last; the term may have ended.
    last: Option<Leader>,
    term: Term,
    /// Who may not stand, until when.
    barred: Option<(ProcessId, Timestamp)>,
}

impl Chair {
    fn read(columns: Columns) -> Result<Self, String> {
        let mut row = Reader::new(columns);
        let (node, process) = (row.texts()?, row.texts()?);
        let (term, until) = (Term(row.int()?.unsigned_abs()), row.moment()?);
        let last = match (node, process) {
            (Some(node), Some(process)) => {
                let node = node.parse().map_err(|e| format!("node: {e}"))?;
                let process = process.parse().map_err(|e| format!("process: {e}"))?;
                Some(Leader { node, process, term, until })
            }
            _ => None,
        };
        let barred = match row.texts()? {
            None => None,
            Some(text) => {
                let process = text.parse().map_err(|e| format!("barred: {e}"))?;
                Some((process, row.moment()?))
            }
        };
        Ok(Self { last, term, barred })
    }

    /// Who leads now.
    fn leader(&self, now: Timestamp) -> Option<Leader> {
        self.last.clone().filter(|leader| leader.until > now)
    }

    async fn write<T: Tx>(&self, tx: &mut T) -> Answer<()> {
        let last = self.last.as_ref();
        let (barred, barred_until) = match &self.barred {
            Some((process, until)) => (Some(process.as_str()), *until),
            None => (None, Timestamp::EPOCH),
        };
        let one = |value: Value| Arg::One(value);
        let args = vec![
            one(last.map(|leader| leader.node.as_str()).into()),
            one(last.map(|leader| leader.process.as_str()).into()),
            one(number(self.term)),
            one(last.map_or(Timestamp::EPOCH, |leader| leader.until).into()),
            one(barred.into()),
            one(barred_until.into()),
            one(tx.ns().into()),
        ];
        tx.run(&LEADER_SET, args).await
    }
}

fn number(term: Term) -> Value {
    i64::try_from(term.0).unwrap_or(i64::MAX).into()
}

async fn chair<T: Tx>(tx: &mut T, statement: &'static Statement) -> Answer<Chair> {
    let rows = tx.rows(statement, vec![tx.ns().into()]).await?;
    let row = rows.into_iter().next().ok_or_else(|| unreadable("no leader's place"))?;
    Ok(Chair::read(row).map_err(unreadable)?)
}

/// Who leads now.
pub(super) async fn leader<T: Tx>(tx: &mut T) -> Answer<Option<Leader>> {
    let now = tx.now();
    Ok(chair(tx, &LEADER).await?.leader(now))
}

/// Who leads now, and whether a process is to drain.
pub(super) async fn leader_and_order<T: Tx>(
    tx: &mut T,
    process: &ProcessId,
) -> Answer<(Option<Leader>, bool)> {
    let (ns, now) = (tx.ns(), tx.now());
    let args = vec![ns.into(), process.as_str().into(), ns.into()];
    let rows = tx.rows(&LEADER_AND_ORDER, args).await?;
    let mut row = rows.into_iter().next().ok_or_else(|| unreadable("no leader's place"))?;
    let order = row.pop().map(|count| Reader::new(vec![count]).int()).transpose();
    let is_told = order.map_err(unreadable)?.is_some_and(|count| count > 0);
    Ok((Chair::read(row).map_err(unreadable)?.leader(now), is_told))
}

/// Whether a mandate is that of the present term. If it is, an older one changes nothing from now
/// on (L1), and other duties wait for the end of this step.
pub(super) async fn admits<T: Tx>(tx: &mut T, mandate: &Mandate) -> Answer<bool> {
    let rows = tx.rows(&FENCE_HELD, vec![tx.ns().into()]).await?;
    let row = rows.into_iter().next().ok_or_else(|| unreadable("no fence"))?;
    let acted = Term(Reader::new(row).int().map_err(unreadable)?.unsigned_abs());
    let leads = leader(tx)
        .await?
        .is_some_and(|leader| leader.process == mandate.process && leader.term == mandate.term);
    if !leads || acted > mandate.term {
        return Ok(false);
    }
    let term = Arg::One(number(mandate.term));
    tx.run(&FENCE_SET, vec![term, tx.now().into(), tx.ns().into()]).await?;
    Ok(true)
}

impl Step for Campaign {
    type Reply = Leading;

    const METHOD: &'static str = "campaign";

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<Leading> {
        let now = tx.now();
        let mut chair = chair(tx, &LEADER_HELD).await?;
        let is_barred = chair
            .barred
            .as_ref()
            .is_some_and(|(process, until)| *process == self.process && *until > now);
        let term = match chair.leader(now) {
            Some(leader) if leader.process == self.process => Some(leader.term),
            Some(_) => None,
            None if is_barred => None,
            None => {
                let floor = u64::try_from(now.as_us()).unwrap_or(0);
                Some(Term(floor.max(chair.term.0 + 1)))
            }
        };
        if let Some(term) = term {
            let (node, process) = (self.node.clone(), self.process.clone());
            chair.term = term;
            chair.last = Some(Leader { node, process, term, until: now.plus(self.ttl) });
            chair.write(tx).await?;
        }
        Ok(Leading { now, leader: chair.leader(now) })
    }
}

impl Step for Resign {
    type Reply = Option<Leader>;

    const METHOD: &'static str = "resign";

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<Option<Leader>> {
        let now = tx.now();
        let mut chair = chair(tx, &LEADER_HELD).await?;
        let Some(leader) = chair.leader(now) else { return Ok(None) };
        match &self.process {
            Some(process) if *process != leader.process => return Ok(None),
            Some(_) => {}
            None => chair.barred = Some((leader.process.clone(), now.plus(BARRED_FOR))),
        }
        chair.last = Some(Leader { until: Timestamp::EPOCH, ..leader.clone() });
        chair.write(tx).await?;
        Ok(Some(leader))
    }
}
