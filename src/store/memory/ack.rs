//! Leases are kept, and runs handed back.

use crate::domain::id::ClaimId;
use crate::domain::id::TaskId;
use crate::domain::lease::Fence;
use crate::domain::state::Verdict;
use crate::domain::time::Timestamp;
use crate::store::AckItem;
use crate::store::Acked;
use crate::store::Beat;
use crate::store::Keep;
use crate::store::Kept;
use crate::store::Stop;
use crate::store::StopReason;
use crate::store::told::Told;

use super::state::Held;
use super::state::Run;
use super::state::State;

/// The outcome of a run under a claim.
#[derive(Clone, Copy, Debug)]
pub(super) struct HandedBack<'a> {
    pub(super) claim: &'a ClaimId,
    pub(super) task: &'a TaskId,
    pub(super) fence: Fence,
    pub(super) verdict: &'a Verdict,
}

impl State {
    pub(super) fn keep(&mut self, keep: &Keep, now: Timestamp) -> Kept {
        if let Some(beat) = &keep.beat {
            self.beat(beat, now);
        }

        let told = |beat: &Beat| self.draining.contains(&beat.process);
        let mut kept = Kept {
            now,
            lost: Vec::new(),
            unanswered: Vec::new(),
            stop: Vec::new(),
            drain: keep.beat.as_ref().is_some_and(told),
            leader: None,
        };
        for claim in &keep.claims {
            match self.leases.get_mut(claim) {
                Some(held) => {
                    held.ttl = keep.ttl;
                    held.expires_at = now.plus(keep.ttl);
                    held.renewed_at = now;
                }
                None => kept.lost.push(claim.clone()),
            }
            if let Some(held) = self.leases.get(claim) {
                kept.stop.extend(held.runs.iter().filter_map(|run| self.stop(claim, run)));
            }
        }
        kept.leader = self.chair.leader(now);
        kept
    }

    fn beat(&mut self, beat: &Beat, now: Timestamp) {
        if !beat.leaving {
            let view = Told::of(beat).view(beat.node.clone(), beat.process.clone(), now);
            self.nodes.insert(beat.node.clone(), view);
            return;
        }
        self.hinting.unwait(&beat.process);
        self.draining.remove(&beat.process);
        if self.nodes.get(&beat.node).is_some_and(|node| node.process == beat.process) {
            self.nodes.remove(&beat.node);
        }
    }

    fn stop(&self, claim: &ClaimId, (task, run): (&TaskId, &Run)) -> Option<Stop> {
        let is_cancelled = || self.tasks.get(task).is_some_and(|entry| entry.asked.cancel);
        let reason = match run {
            Run::Superseded => StopReason::Superseded,
            Run::Present if is_cancelled() => StopReason::Cancelled,
            Run::Present => return None,
        };
        Some(Stop { claim: claim.clone(), task: task.clone(), reason })
    }

    pub(super) fn ack(&mut self, items: &[AckItem], now: Timestamp) -> Vec<Acked> {
        let mut acked = Vec::with_capacity(items.len());
        for item in items {
            let (claim, task) = (&item.claim, &item.task);
            let handed = HandedBack { claim, task, fence: item.fence, verdict: &item.verdict };
            let is_accepted = self.hand_back(&handed, now);
            self.close_if_empty(&item.claim, now);
            acked.push(if is_accepted { Acked::Done } else { Acked::Stale });
        }
        acked
    }

    /// Applies a verdict if the claim holds the task with that fence (T5). Whoever is accepted
    /// leaves the claim in the same step, so no second outcome is (T6).
    pub(super) fn hand_back(&mut self, handed: &HandedBack<'_>, now: Timestamp) -> bool {
        let HandedBack { claim, task: id, fence, verdict } = *handed;
        let Some(run) = self.leases.get_mut(claim).and_then(|held| let_out(held, id, fence)) else {
            return false;
        };
        if run == Run::Superseded {
            self.let_go(id);
            return false;
        }
        if let Some(entry) = self.take(id)
            && let Some(entry) = entry.apply(verdict, now, &self.options)
        {
            self.put(entry);
        }
        true
    }
}

/// Takes a run from its lease if the fence is its own.
fn let_out(held: &mut Held, id: &TaskId, fence: Fence) -> Option<Run> {
    if held.fence == fence { held.runs.remove(id) } else { None }
}
