//! The worker's side.

use std::collections::BTreeMap;
use std::collections::HashSet;

use async_trait::async_trait;
use redis::Cmd;

use crate::domain::id::ClaimId;
use crate::domain::id::NodeName;
use crate::domain::id::ProcessId;
use crate::domain::id::TaskId;
use crate::domain::json::Json;
use crate::domain::schedule::Schedule;
use crate::domain::state::TaskState;
use crate::domain::state::Verdict;
use crate::domain::time::Timestamp;
use crate::domain::time::as_us;
use crate::store::AckItem;
use crate::store::Acked;
use crate::store::Claim;
use crate::store::Claimed;
use crate::store::Hints;
use crate::store::HolderKind;
use crate::store::Keep;
use crate::store::Kept;
use crate::store::Queue;
use crate::store::Result;
use crate::store::Stop;
use crate::store::StopReason;
use crate::store::told::Told;

use super::RedisStore;
use super::hints::RedisHints;
use super::keys;
use super::leadership::leader_of;
use super::record::Lossy;
use super::record::Row;
use super::script;
use super::verdict;

/// A beat's answer: now, who leads, lost claims, what is to stop, and whether the process is to drain.
type KeepReply = (i64, Vec<String>, Vec<String>, Vec<String>, bool);

/// A claim's answer: now, fence, lease end, next `run_at`, more, isolate, ids, `run_at`s, records,
/// states, results, damaged ids.
type ClaimReply = (
    i64,
    String,
    String,
    String,
    bool,
    bool,
    String,
    String,
    Vec<Lossy>,
    Vec<Lossy>,
    Vec<Lossy>,
    Vec<Lossy>,
);

#[async_trait]
impl Queue for RedisStore {
    async fn claim(&self, claim: &Claim) -> Result<Claimed> {
        let call = self.claim_call(claim);
        let reply: ClaimReply = self.run("claim", &script::CLAIM, call).await?;
        self.answers.learn(&reply.6, &reply.8);
        let (claimed, damaged) = read_claim(claim, reply);
        if !damaged.is_empty() {
            self.set_aside("claim", claim.id.as_str(), &damaged).await?;
        }
        Ok(claimed)
    }

    fn claim_max(&self) -> usize {
        self.answers.claim_max()
    }

    async fn keep(&self, keep: &Keep) -> Result<Kept> {
        let mut call = self.call(&script::KEEP);
        call.arg(as_us(keep.ttl));
        match &keep.beat {
            Some(beat) => {
                call.arg(if beat.leaving { "-1" } else { "1" })
                    .arg(beat.node.as_str())
                    .arg(beat.process.as_str())
                    .arg(Told::of(beat).to_text());
            }
            None => {
                call.arg("0").arg("").arg("").arg("");
            }
        }
        call.arg(keep.claims.iter().map(ClaimId::as_str).collect::<Vec<_>>());
        let (now, leader, lost, stops, drain): KeepReply =
            self.run("keep", &script::KEEP, call).await?;

        let stop = stops.chunks_exact(3).filter_map(|told| {
            let reason =
                if told[2] == "c" { StopReason::Cancelled } else { StopReason::Superseded };
            let (claim, task) = (ClaimId::parse(&told[0]).ok()?, TaskId::parse(&told[1]).ok()?);
            Some(Stop { claim, task, reason })
        });
        Ok(Kept {
            now: Timestamp::from_us(now),
            stop: stop.collect(),
            unanswered: Vec::new(),
            lost: lost.iter().filter_map(|claim| ClaimId::parse(claim).ok()).collect(),
            drain,
            leader: leader_of(&leader),
        })
    }

    async fn drain(&self, node: &NodeName) -> Result<bool> {
        let mut call = self.call(&script::DRAIN);
        call.arg(node.as_str());
        self.run("drain", &script::DRAIN, call).await
    }

    async fn ack(&self, items: &[AckItem]) -> Result<Vec<Acked>> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let (call, order) = self.ack_call(items);
        let digits: String = self.run("ack", &script::ACK, call).await?;
        let mut acked = vec![Acked::Stale; items.len()];
        for (digit, index) in digits.bytes().zip(order) {
            if digit == b'1' {
                acked[index] = Acked::Done;
            }
        }
        Ok(acked)
    }

    async fn hints(&self, process: &ProcessId) -> Result<Option<Box<dyn Hints>>> {
        let channel = keys::wake_channel(&self.prefix, process);
        let hints = RedisHints::subscribe(self.link.address(), &channel).await?;
        Ok(Some(Box::new(hints)))
    }
}

impl RedisStore {
    /// Takes tasks whose records cannot be read from a claim, and keeps them as they are (T1).
    pub(super) async fn set_aside(
        &self,
        method: &'static str,
        claim: &str,
        damaged: &[String],
    ) -> Result<()> {
        let mut call = self.call(&script::SET_ASIDE);
        call.arg(claim).arg(damaged);
        let _set: i64 = self.run(method, &script::SET_ASIDE, call).await?;
        Ok(())
    }

    /// What a claim would find, without taking anything; a process that waits is noted all the same,
    /// and need not be in replicas.
    pub(super) async fn look(&self, claim: &Claim) -> Result<Claimed> {
        let call = self.claim_call(&Claim { limit: 0, ..claim.clone() });
        let reply: ClaimReply = self.link.run("claim", &script::CLAIM, call).await?;
        Ok(read_claim(claim, reply).0)
    }

    /// Whether a claim holds tasks here, or did so lately.
    pub(super) async fn keeps(&self, claim: &ClaimId) -> Result<bool> {
        let mut call = self.call(&script::KEEPS);
        call.arg(claim.as_str());
        self.run("claim", &script::KEEPS, call).await
    }

    fn claim_call(&self, claim: &Claim) -> Cmd {
        let mut call = self.call(&script::CLAIM);
        call.arg(claim.id.as_str())
            .arg(claim.holder.node.as_str())
            .arg(claim.holder.process.as_str())
            .arg(match claim.holder.kind {
                HolderKind::Node => "n",
                HolderKind::Remote => "r",
            })
            .arg(as_us(claim.ttl))
            .arg(as_us(claim.grace))
            .arg(as_us(claim.ahead))
            .arg(claim.limit)
            .arg(claim.suspects.two)
            .arg(claim.suspects.three)
            .arg(u8::from(claim.suspects.idle))
            .arg(u8::from(claim.wait))
            .arg(as_us(self.options.keep_expired))
            .arg(claim.queues.len());
        for queue in &claim.queues {
            call.arg(queue.as_str());
        }
        match &claim.callbacks {
            Some(callbacks) => {
                call.arg(callbacks.len());
                for callback in callbacks.iter() {
                    call.arg(callback.as_str());
                }
            }
            None => {
                call.arg(-1);
            }
        }
        call
    }

    /// The call of an ack, and the index of the item that each digit of the answer is for. A second
    /// outcome of the same run cannot be accepted, so it is not sent.
    fn ack_call(&self, items: &[AckItem]) -> (Cmd, Vec<usize>) {
        let mut call = self.call(&script::ACK);
        call.arg(self.keep_cancelled_us());
        let mut order = Vec::with_capacity(items.len());
        let mut seen = HashSet::with_capacity(items.len());
        let mut plain: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, item) in items.iter().enumerate() {
            if !seen.insert((&item.task, &item.claim, item.fence)) {
                continue;
            }
            if is_plain(item) {
                let block = (&item.claim, item.fence, &item.spec.queue);
                plain.entry(block).or_default().push(index);
            } else {
                call.arg("G").arg(item.claim.as_str()).arg(item.fence.0).arg(item.task.as_str());
                verdict::push(&mut call, &item.verdict, &item.spec, &self.options);
                order.push(index);
            }
        }
        for ((claim, fence, queue), block) in plain {
            call.arg("P").arg(claim.as_str()).arg(fence.0).arg(queue.as_str());
            push_plain(&mut call, items, &block);
            order.extend(block);
        }
        (call, order)
    }
}

/// Whether an outcome leaves nothing behind: completed, once, kept by nobody, in no index.
fn is_plain(item: &AckItem) -> bool {
    let spec = &item.spec;
    matches!(item.verdict, Verdict::End { state: TaskState::Completed, .. })
        && spec.schedule == Schedule::Once
        && spec.retention.is_zero()
        && spec.group_id.is_none()
        && spec.unique_key.is_none()
}

fn push_plain(call: &mut Cmd, items: &[AckItem], block: &[usize]) {
    let results: Vec<&str> =
        block.iter().map(|index| verdict::json_text(result_of(&items[*index]))).collect();
    let sent = match results.first() {
        Some(first) if results.iter().any(|result| result != first) => &results[..],
        Some(first) if !first.is_empty() => &results[..1],
        _ => &[],
    };
    call.arg(block.len()).arg(sent.len());
    for index in block {
        call.arg(items[*index].task.as_str());
    }
    for result in sent {
        call.arg(*result);
    }
}

fn result_of(item: &AckItem) -> Option<&Json> {
    match &item.verdict {
        Verdict::End { result, .. } | Verdict::Again { result, .. } => result.as_ref(),
    }
}

/// The tasks of a claim, and the ids of those among them whose records cannot be read.
fn read_claim(claim: &Claim, reply: ClaimReply) -> (Claimed, Vec<String>) {
    let (now, fence, lease_end, next, more, isolate, ids, run_ats, records, states, results, aside) =
        reply;
    let mut claimed = Claimed {
        now: Timestamp::from_us(now),
        tasks: Vec::with_capacity(records.len()),
        next_run_at: next.parse().ok().map(Timestamp::from_us),
        more,
        isolate,
        corrupt: aside.iter().filter_map(|id| TaskId::parse(&id.0).ok()).collect(),
    };
    let mut damaged = Vec::new();
    let held = Row {
        claim: claim.id.as_str().into(),
        node: claim.holder.node.as_str().into(),
        fence: fence.into(),
        lease_end: lease_end.into(),
        ..Row::default()
    };
    // A lease that cannot be read is none, and without one each task of it is damaged.
    let lease = held.lease().ok();
    let (mut states, mut results) = (states.into_iter(), results.into_iter());
    // One `run_at` is that of all.
    let run_ats = run_ats.split('\t').cycle();
    let rows = ids.trim_matches('\t').split('\t').zip(run_ats).zip(&records);
    for ((id, run_at), record) in rows {
        let row = Row {
            record: record.0.as_str().into(),
            state: states.next().map(|state| state.0.into()).unwrap_or_default(),
            result: results.next().map(|result| result.0.into()).unwrap_or_default(),
            place: "running".into(),
            run_at: run_at.into(),
            lease: lease.clone(),
            id: id.into(),
            ..Row::default()
        };
        if let Ok(task) = row.read() {
            claimed.tasks.push(task);
        } else {
            claimed.corrupt.extend(TaskId::parse(id));
            damaged.push(id.to_owned());
        }
    }
    (claimed, damaged)
}
