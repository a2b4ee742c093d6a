//! The worker's side, claims apart.

use std::collections::HashSet;

use async_trait::async_trait;

use crate::domain::id::ClaimId;
use crate::domain::id::NodeName;
use crate::domain::id::ProcessId;
use crate::store::AckItem;
use crate::store::Acked;
use crate::store::BATCH_MAX;
use crate::store::Claim;
use crate::store::Claimed;
use crate::store::Hints;
use crate::store::Keep;
use crate::store::Kept;
use crate::store::Leader;
use crate::store::Queue;
use crate::store::Result;

use super::ClusterStore;
use super::board::Place;
use super::claim;
use super::hints;

#[async_trait]
impl Queue for ClusterStore {
    async fn claim(&self, claim: &Claim) -> Result<Claimed> {
        claim::claim(self, claim).await
    }

    fn claim_max(&self) -> usize {
        let most = self.parts.iter().map(Queue::claim_max);
        most.min().unwrap_or(BATCH_MAX)
    }

    async fn keep(&self, keep: &Keep) -> Result<Kept> {
        let homes: Vec<_> = keep.claims.iter().map(|claim| self.home(claim)).collect();
        let calls = (0..self.count()).filter_map(|part| {
            let some = keep.claims.iter().zip(&homes).filter(|(_, home)| home.may_be(part));
            let claims: Vec<_> = some.map(|(claim, _)| claim.clone()).collect();
            if keep.beat.is_none() && claims.is_empty() && part > 0 {
                return None;
            }
            let some = Keep { beat: keep.beat.clone(), claims, ttl: keep.ttl };
            Some((part, async move { self.parts[part].keep(&some).await }))
        });
        let calls: Vec<_> = calls.collect();
        let answers = self.soon(calls).await?;

        let mut kept = Kept {
            now: answers[0].1.now,
            lost: Vec::new(),
            unanswered: Vec::new(),
            stop: Vec::new(),
            drain: answers.iter().any(|(_, some)| some.drain),
            leader: leader_of(&answers),
        };
        let lost: Vec<HashSet<&ClaimId>> =
            answers.iter().map(|(_, some)| some.lost.iter().collect()).collect();
        for (claim, home) in keep.claims.iter().zip(&homes) {
            let mut asked = answers.iter().zip(&lost).filter(|((part, _), _)| home.may_be(*part));
            let asked_count = asked.clone().count();
            if let Some(((part, _), _)) = asked.find(|(_, lost)| !lost.contains(claim)) {
                self.board.went(claim, Place::Holds(*part));
            } else if asked_count == home.count(self.count()) {
                kept.lost.push(claim.clone());
            } else {
                kept.unanswered.push(claim.clone());
            }
        }
        kept.stop = answers.into_iter().flat_map(|(_, some)| some.stop).collect();
        Ok(kept)
    }

    async fn drain(&self, node: &NodeName) -> Result<bool> {
        let answers = self.all(self.each(|part| part.drain(node))).await?;
        Ok(answers.into_iter().any(|(_, is_there)| is_there))
    }

    async fn ack(&self, items: &[AckItem]) -> Result<Vec<Acked>> {
        let places = self.split(items.iter().map(|item| item.task.as_str()));
        let calls = places.iter().map(|(part, places)| {
            let some: Vec<_> = places.iter().map(|at| items[*at].clone()).collect();
            (*part, async move { self.parts[*part].ack(&some).await })
        });
        let answers = self.all(calls.collect()).await?;
        let mut acked = vec![Acked::Stale; items.len()];
        for (part, some) in answers {
            for (at, one) in places[&part].iter().zip(some) {
                acked[*at] = one;
            }
        }
        Ok(acked)
    }

    async fn hints(&self, process: &ProcessId) -> Result<Option<Box<dyn Hints>>> {
        hints::listen(self, process).await.map(Some)
    }
}

/// Where a claim may be.
#[derive(Clone, Copy, Debug)]
struct Home(Option<usize>);

impl Home {
    fn may_be(self, part: usize) -> bool {
        self.0.is_none_or(|home| home == part)
    }

    fn count(self, parts: usize) -> usize {
        if self.0.is_some() { 1 } else { parts }
    }
}

impl ClusterStore {
    fn home(&self, claim: &ClaimId) -> Home {
        match self.board.place(claim) {
            Some(Place::Holds(part)) => Home(Some(part)),
            Some(Place::Doubt(_)) | None => Home(None),
        }
    }
}

/// Who leads: by the partition that elects, else by the latest term that another one knows.
fn leader_of(answers: &[(usize, Kept)]) -> Option<Leader> {
    if let (0, first) = &answers[0] {
        return first.leader.clone();
    }
    let leaders = answers.iter().filter_map(|(_, some)| some.leader.clone());
    leaders.max_by_key(|leader| leader.term)
}
