//! A worker hands outcomes back.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::id::Callback;
use crate::domain::id::ClaimId;
use crate::domain::id::NodeName;
use crate::domain::id::TaskId;
use crate::domain::json::Kwargs;
use crate::domain::state::Again;
use crate::domain::state::Deciding;
use crate::domain::state::TaskState;
use crate::domain::state::Verdict;
use crate::domain::state::decide;
use crate::domain::task::Spec;
use crate::domain::task::TaskRecord;
use crate::domain::time::Moment;
use crate::domain::time::Timestamp;
use crate::events::Event;
use crate::metrics::Ended;
use crate::metrics::Sender;
use crate::metrics::Tally;
use crate::store::AckItem;
use crate::store::Acked;
use crate::store::Fetch;
use crate::store::Result;

use super::Desk;
use super::Handed;
use super::claimed_at;
use super::name;

impl Desk {
    /// Hands outcomes back: one reply per item, in order. No task may come twice.
    ///
    /// An outcome under a claim that does not hold the task with that fence is stale and changes
    /// nothing (T5). Whoever is accepted leaves the claim in the same step (T6).
    ///
    /// Cost: two round trips.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`](crate::store::Error::Unavailable): repeat it;
    /// [`Error::Corrupt`](crate::store::Error::Corrupt) if a record cannot be read.
    pub async fn hand_back(&self, claim: &ClaimId, handed: Vec<Handed>) -> Result<Vec<Acked>> {
        let ids = handed.iter().map(|handed| handed.task.clone()).collect();
        let fetch = Fetch { ids, watch: None };
        let (found, now) = tokio::join!(self.store.fetch(&fetch), self.store.now());
        let found = found?.into_iter().flatten().collect();
        self.decide_and_ack(claim, handed, found, now?).await
    }

    /// Decides from the records that were `found`, and sends verdicts.
    pub(super) async fn decide_and_ack(
        &self,
        claim: &ClaimId,
        handed: Vec<Handed>,
        found: Vec<TaskRecord>,
        now: Timestamp,
    ) -> Result<Vec<Acked>> {
        let found: HashMap<TaskId, TaskRecord> =
            found.into_iter().map(|task| (task.id.clone(), task)).collect();
        let ends: Vec<Ended> = handed.iter().map(|handed| Ended::from(&handed.outcome)).collect();
        let outcomes: Vec<_> = match self.traces {
            Some(_) => handed.iter().map(|handed| handed.outcome.clone()).collect(),
            None => Vec::new(),
        };
        let items = handed.into_iter().map(|handed| {
            let task = found.get(&handed.task).filter(|task| {
                let lease = task.lease.as_ref();
                lease.is_some_and(|lease| lease.claim_id == *claim && lease.fence == handed.fence)
            });
            match task {
                Some(task) => self.decided(claim, task, handed, now),
                None => lets_go(claim, handed, now),
            }
        });
        let items: Vec<AckItem> = items.collect();
        let spans = self.begin_acks(&items, &outcomes, &found, now);
        let acked = self.store.ack(&items).await?;
        spans.end(&acked);
        self.watches.forget(claim, items.iter().map(|item| &item.task));
        self.count(&items, &ends, &acked, now);
        self.tell_ends(&items, &acked, &found, now);
        Ok(acked)
    }

    fn decided(
        &self,
        claim: &ClaimId,
        task: &TaskRecord,
        handed: Handed,
        now: Timestamp,
    ) -> AckItem {
        let nobody = || NodeName::parse("?").expect("one letter is a name");
        let node = task.lease.as_ref().map_or_else(nobody, |lease| lease.node.clone());
        let deciding = Deciding { now, jitter: self.jitter(), node: &node };
        AckItem {
            claim: claim.clone(),
            task: handed.task,
            fence: handed.fence,
            spec: Arc::clone(&task.spec),
            verdict: decide(task, handed.outcome, &deciding),
        }
    }

    /// Counts what the store made of outcomes.
    fn count(&self, items: &[AckItem], ends: &[Ended], acked: &[Acked], now: Timestamp) {
        let others = self.metrics.others();
        let mut tally = Tally::default();
        let mut stale_count = 0;
        for ((item, ended), acked) in items.iter().zip(ends).zip(acked) {
            match acked {
                Acked::Done => {
                    tally.accept(*ended, &item.verdict);
                    others.ended(now.since(claimed_at(item.fence)));
                }
                Acked::Stale => stale_count += 1,
            }
        }
        others.add(&tally);
        self.metrics.stale(Sender::Remote, stale_count);
    }

    fn tell_ends(
        &self,
        items: &[AckItem],
        acked: &[Acked],
        found: &HashMap<TaskId, TaskRecord>,
        now: Timestamp,
    ) {
        if !self.events.has_listeners() {
            return;
        }
        for (item, acked) in items.iter().zip(acked) {
            let Some(task) = found.get(&item.task) else { continue };
            let Some(run) = name(task).filter(|run| run.fence == item.fence) else { continue };
            self.events.tell(match acked {
                Acked::Stale => Event::Stale { run },
                Acked::Done => {
                    let (state, again, errors) = match &item.verdict {
                        Verdict::End { state, errors, .. } => (*state, None, errors),
                        Verdict::Again { why, errors, .. } => {
                            (TaskState::Scheduled, Some(*why), errors)
                        }
                    };
                    let error = errors.last().filter(|error| error.attempt == run.attempt);
                    let error = error.map(|error| error.message.clone());
                    let took = now.since(claimed_at(item.fence));
                    Event::Ended { run, state, again, error, took }
                }
            });
        }
    }
}

/// A run that no task is known for is stale, whatever it says; if its task was replaced or removed, it
/// lets go of the successor. Nothing of the spec or verdict is used: a run that left its claim never
/// comes back to it.
fn lets_go(claim: &ClaimId, handed: Handed, now: Timestamp) -> AckItem {
    let nothing = Callback::parse("?").expect("one letter is a callback");
    AckItem {
        claim: claim.clone(),
        task: handed.task,
        fence: handed.fence,
        spec: Arc::new(Spec::new(nothing, Kwargs::empty())),
        verdict: Verdict::Again {
            why: Again::Release,
            run_at: Moment::At(now),
            planned_at: now,
            attempt: 0,
            crashes: 0,
            errors: Vec::new(),
            result: None,
        },
    }
}
