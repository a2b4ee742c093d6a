//! A store whose calls by a node are written down.

#![cfg_attr(
    not(test),
    expect(clippy::wildcard_imports, reason = "a store names all of its contract")
)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use taskshed::domain::id::NodeName;
use taskshed::domain::id::ProcessId;
use taskshed::domain::id::QueueName;
use taskshed::domain::state::Again;
use taskshed::domain::state::TaskState;
use taskshed::domain::state::Verdict;
use taskshed::domain::task::TaskRecord;
use taskshed::domain::time::Timestamp;
use taskshed::store::*;

use crate::checker::history;
use crate::checker::history::Call;
use crate::checker::history::Reply;

use super::Witness;
use super::store_fault;

/// A store between a node and another one.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    inner: Arc<dyn Store>,
    witness: Witness,
    version: Option<Arc<str>>,
}

impl Observed {
    /// Writes down what a node calls on `inner`. Its beats say this version, if one is given.
    pub(crate) fn new(inner: Arc<dyn Store>, witness: Witness, version: Option<&str>) -> Self {
        Self { inner, witness, version: version.map(Into::into) }
    }

    /// Writes a call down before it is sent and after its answer.
    async fn through<T>(
        &self,
        what: Call,
        call: impl Future<Output = Result<T>> + Send,
        told: impl FnOnce(&T) -> Reply + Send,
    ) -> Result<T> {
        let number = self.witness.ask(what);
        let answer = call.await;
        let reply = match &answer {
            Ok(answer) => told(answer),
            Err(error) => store_fault(error),
        };
        self.witness.answer(number, reply);
        answer
    }
}

#[async_trait]
impl Tasks for Observed {
    async fn add(&self, add: &Add) -> Result<Added> {
        self.inner.add(add).await
    }

    async fn fetch(&self, fetch: &Fetch) -> Result<Vec<Option<TaskRecord>>> {
        self.inner.fetch(fetch).await
    }

    async fn list(&self, list: &List) -> Result<Page> {
        self.inner.list(list).await
    }

    async fn change(&self, change: &Change) -> Result<Changed> {
        self.inner.change(change).await
    }

    async fn stats(&self) -> Result<Stats> {
        self.inner.stats().await
    }

    async fn restore(&self, restore: &Restore) -> Result<Restored> {
        self.inner.restore(restore).await
    }

    async fn set_queue(&self, queue: &QueueName, gate: Gate) -> Result<()> {
        self.inner.set_queue(queue, gate).await
    }
}

#[async_trait]
impl Queue for Observed {
    async fn claim(&self, claim: &Claim) -> Result<Claimed> {
        let what = Call::Claim { claim: claim.id.to_string() };
        self.through(what, self.inner.claim(claim), |claimed| {
            let tasks = claimed.tasks.iter().map(taken).collect();
            Reply::Claimed { now: claimed.now.as_us(), tasks }
        })
        .await
    }

    async fn keep(&self, keep: &Keep) -> Result<Kept> {
        let mut keep = keep.clone();
        if let (Some(beat), Some(version)) = (&mut keep.beat, &self.version) {
            version.as_ref().clone_into(&mut beat.version);
        }
        let claims = keep.claims.iter().map(ToString::to_string).collect();
        self.through(Call::Keep { claims }, self.inner.keep(&keep), |kept| {
            if !kept.unanswered.is_empty() {
                return Reply::Unknown { error: "a part of the store gave no answer".to_owned() };
            }
            let lost = kept.lost.iter().map(ToString::to_string).collect();
            Reply::Kept { now: kept.now.as_us(), lost }
        })
        .await
    }

    async fn drain(&self, node: &NodeName) -> Result<bool> {
        self.inner.drain(node).await
    }

    async fn ack(&self, items: &[AckItem]) -> Result<Vec<Acked>> {
        let acked = |item: &AckItem| history::Acked {
            task: item.task.to_string(),
            claim: item.claim.to_string(),
            fence: item.fence.0,
            verdict: verdict(&item.verdict),
        };
        let what = Call::Ack { items: items.iter().map(acked).collect() };
        self.through(what, self.inner.ack(items), |answers| {
            let done = answers.iter().map(|answer| *answer == Acked::Done).collect();
            Reply::Acked { done }
        })
        .await
    }

    async fn hints(&self, process: &ProcessId) -> Result<Option<Box<dyn Hints>>> {
        self.inner.hints(process).await
    }
}

#[async_trait]
impl Leadership for Observed {
    async fn campaign(&self, campaign: &Campaign) -> Result<Leading> {
        let own = |leader: &Leader| leader.process == campaign.process;
        self.through(Call::Campaign, self.inner.campaign(campaign), |leading| Reply::Leads {
            now: leading.now.as_us(),
            term: leading.leader.as_ref().map(|leader| leader.term.0),
            own: leading.leader.as_ref().is_some_and(own),
        })
        .await
    }

    async fn resign(&self, resign: &Resign) -> Result<Option<Leader>> {
        self.through(Call::Resign, self.inner.resign(resign), |_| Reply::Done).await
    }

    async fn leases(&self, look: &Look) -> Result<Led<Looked>> {
        let what = Call::Duty { term: look.mandate.term.0, duty: "leases".to_owned() };
        self.through(what, self.inner.leases(look), |led| is_led(led, |_| 0)).await
    }

    async fn reclaim(&self, reclaim: &Reclaim) -> Result<Led<u64>> {
        let judged = |item: &ReclaimItem| history::Judged {
            task: item.task.to_string(),
            verdict: verdict(&item.verdict),
        };
        let what = Call::Reclaim {
            term: reclaim.mandate.term.0,
            claim: reclaim.claim.to_string(),
            tasks: reclaim.items.iter().map(judged).collect(),
        };
        self.through(what, self.inner.reclaim(reclaim), |led| is_led(led, |taken| *taken)).await
    }

    async fn maintain(&self, maintain: &Maintain) -> Result<Led<Maintained>> {
        let what = Call::Duty { term: maintain.mandate.term.0, duty: "maintain".to_owned() };
        self.through(what, self.inner.maintain(maintain), |led| is_led(led, |_| 0)).await
    }

    async fn declare(&self, declare: &Declare) -> Result<Led<()>> {
        let what = Call::Duty { term: declare.mandate.term.0, duty: "declare".to_owned() };
        self.through(what, self.inner.declare(declare), |led| is_led(led, |()| 0)).await
    }

    async fn cluster(&self) -> Result<Cluster> {
        self.inner.cluster().await
    }
}

#[async_trait]
impl Store for Observed {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn apart(&self) -> Arc<dyn Store> {
        Arc::new(Self { inner: self.inner.apart(), ..self.clone() })
    }

    async fn migrate(&self) -> Result<Migrated> {
        self.inner.migrate().await
    }

    async fn prepare(&self) -> Result<()> {
        self.inner.prepare().await
    }

    async fn now(&self) -> Result<Timestamp> {
        self.inner.now().await
    }

    async fn check(&self, lease: Duration) -> Result<Vec<Finding>> {
        self.inner.check(lease).await
    }
}

fn taken(task: &TaskRecord) -> history::Claimed {
    history::Claimed {
        task: task.id.to_string(),
        fence: task.lease.as_ref().map_or(0, |lease| lease.fence.0),
        planned: task.planned_at.as_us(),
        run_at: task.run_at.as_us(),
        attempt: task.attempt,
        crashes: task.crashes,
    }
}

fn is_led<T>(led: &Led<T>, taken: impl FnOnce(&T) -> u64) -> Reply {
    let taken = match led {
        Led::Done(value) => Some(taken(value)),
        Led::Deposed => None,
    };
    Reply::Led { taken }
}

fn verdict(verdict: &Verdict) -> history::Verdict {
    match verdict {
        Verdict::End { state, .. } => match state {
            TaskState::Dead => history::Verdict::Dead,
            TaskState::Cancelled => history::Verdict::Cancelled,
            TaskState::Expired => history::Verdict::Expired,
            TaskState::Completed | TaskState::Scheduled | TaskState::Running => {
                history::Verdict::Completed
            }
        },
        Verdict::Again { why, .. } => match why {
            Again::Retry => history::Verdict::Retry,
            Again::Snooze => history::Verdict::Snooze,
            Again::Release => history::Verdict::Release,
            Again::Reclaim => history::Verdict::Reclaim,
            Again::Next => history::Verdict::Next,
        },
    }
}
