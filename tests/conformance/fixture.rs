//! A store, a clock that the test moves, and short ways to use both.

use std::sync::Arc;
use std::time::Duration;

use taskshed::clock::ManualClock;
use taskshed::domain::draft::Task;
use taskshed::domain::id::ClaimId;
use taskshed::domain::id::GroupId;
use taskshed::domain::retry::Jitter;
use taskshed::domain::state::Deciding;
use taskshed::domain::state::Outcome;
use taskshed::domain::state::TaskState;
use taskshed::domain::state::decide_reclaim;
use taskshed::domain::time::Timestamp;
use taskshed::store::Acked;
use taskshed::store::Action;
use taskshed::store::AddOutcome;
use taskshed::store::Change;
use taskshed::store::Changed;
use taskshed::store::Claim;
use taskshed::store::Claimed;
use taskshed::store::Fetch;
use taskshed::store::Filter;
use taskshed::store::Keep;
use taskshed::store::Kept;
use taskshed::store::LeaseView;
use taskshed::store::Led;
use taskshed::store::List;
use taskshed::store::Look;
use taskshed::store::Maintain;
use taskshed::store::Maintained;
use taskshed::store::Mandate;
use taskshed::store::Options;
use taskshed::store::QueueStats;
use taskshed::store::Reclaim;
use taskshed::store::ReclaimItem;
use taskshed::store::Scope;
use taskshed::store::Store;
use taskshed::store::Target;
use taskshed::store::TaskRecord;

use crate::requests::add;
use crate::requests::claim;
use crate::requests::ended;
use crate::requests::id;
use crate::requests::roomy;
use crate::requests::standing;
use crate::requests::unique;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A microsecond less.
pub(crate) fn almost(length: Duration) -> Duration {
    length.saturating_sub(Duration::from_micros(1))
}

/// When every test begins: January 2027.
pub(crate) fn start() -> Timestamp {
    Timestamp::from_us(1_800_000_000_000_000)
}

/// Default options in a namespace of its own.
pub(crate) fn options() -> Options {
    Options { namespace: unique("n").parse().unwrap(), ..Options::default() }
}

pub(crate) struct Shed {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: ManualClock,
    /// Where its file is, if it has one.
    _folder: Option<tempfile::TempDir>,
}

impl Shed {
    pub(crate) fn of(store: Arc<dyn Store>, clock: ManualClock) -> Self {
        Self { store, clock, _folder: None }
    }

    /// Keeps a folder as long as the store.
    pub(crate) fn in_folder(self, folder: tempfile::TempDir) -> Self {
        Self { _folder: Some(folder), ..self }
    }

    pub(crate) async fn now(&self) -> Timestamp {
        self.store.now().await.unwrap()
    }

    pub(crate) async fn add<const N: usize>(&self, tasks: [Task; N]) -> Vec<AddOutcome> {
        self.store.add(&add(tasks)).await.unwrap().outcomes
    }

    pub(crate) async fn claim(&self, claim: &Claim) -> Claimed {
        self.store.claim(claim).await.unwrap()
    }

    /// What `node-a` gets if it takes all that it can, by id.
    pub(crate) async fn claim_ids(&self, claim: &Claim) -> Vec<String> {
        ids(&self.claim(claim).await.tasks)
    }

    /// Adds a task and claims it for `node-a`.
    pub(crate) async fn running(&self, task: Task) -> TaskRecord {
        self.add([task]).await;
        let mut claimed = self.claim(&claim()).await;
        assert_eq!(claimed.tasks.len(), 1, "the task alone is due");
        claimed.tasks.remove(0)
    }

    pub(crate) async fn end(&self, task: &TaskRecord, outcome: Outcome) -> Acked {
        let item = ended(task, outcome, self.now().await);
        self.store.ack(&[item]).await.unwrap()[0]
    }

    pub(crate) async fn complete(&self, task: &TaskRecord) -> Acked {
        self.end(task, Outcome::Completed(None)).await
    }

    pub(crate) async fn find(&self, text: &str) -> Option<TaskRecord> {
        let fetch = Fetch { ids: vec![id(text)], watch: None };
        self.store.fetch(&fetch).await.unwrap().remove(0)
    }

    pub(crate) async fn task(&self, text: &str) -> TaskRecord {
        self.find(text).await.unwrap_or_else(|| panic!("there is no task {text}"))
    }

    pub(crate) async fn state(&self, text: &str) -> TaskState {
        self.task(text).await.state
    }

    pub(crate) async fn change(&self, action: Action, ids: &[&str]) -> Changed {
        let target = Target::Ids(ids.iter().map(|text| id(text)).collect());
        self.store.change(&Change { target, action }).await.unwrap()
    }

    pub(crate) async fn change_group(&self, action: Action, group: &str) -> Changed {
        let target = Target::Group(GroupId::parse(group).unwrap());
        self.store.change(&Change { target, action }).await.unwrap()
    }

    /// Prolongs leases by ten seconds, without a beat.
    pub(crate) async fn keep(&self, claims: &[&ClaimId]) -> Kept {
        let claims = claims.iter().map(|claim| (*claim).clone()).collect();
        self.store.keep(&Keep { beat: None, claims, ttl: 10 * SECOND }).await.unwrap()
    }

    /// All tasks that match, from as many pages as it takes.
    pub(crate) async fn list(&self, filter: Filter, limit: usize) -> Vec<TaskRecord> {
        let mut list = List { filter, limit, cursor: None };
        let mut found = Vec::new();
        loop {
            let page = self.store.list(&list).await.unwrap();
            found.extend(page.tasks);
            match page.next {
                Some(next) => list.cursor = Some(next),
                None => return found,
            }
        }
    }

    pub(crate) async fn queue(&self, name: &str) -> QueueStats {
        let stats = self.store.stats().await.unwrap();
        let found = stats.queues.into_iter().find(|stats| stats.queue.as_str() == name);
        found.unwrap_or_else(|| panic!("there is no queue {name}"))
    }

    /// Makes `node-l` leader, or renews its term.
    pub(crate) async fn lead(&self) -> Mandate {
        let leader = self.store.campaign(&standing("node-l")).await.unwrap().leader.unwrap();
        assert_eq!(leader.node.as_str(), "node-l");
        Mandate { process: leader.process, term: leader.term }
    }

    pub(crate) async fn look(&self, scope: Scope) -> Vec<LeaseView> {
        let mandate = self.lead().await;
        match self.store.leases(&Look { mandate, scope }).await.unwrap() {
            Led::Done(looked) => looked.leases,
            Led::Deposed => panic!("the leader was deposed"),
        }
    }

    /// Reclaims a lease as the leader does, whatever its end.
    pub(crate) async fn reclaim(&self, claim: &ClaimId) -> u64 {
        let view = self.look(Scope::Claims(vec![claim.clone()])).await.remove(0);
        let reclaim = self.reclaim_of(&view).await;
        match self.store.reclaim(&reclaim).await.unwrap() {
            Led::Done(taken) => taken,
            Led::Deposed => panic!("the leader was deposed"),
        }
    }

    /// The request that reclaims a lease as it was seen.
    pub(crate) async fn reclaim_of(&self, view: &LeaseView) -> Reclaim {
        let now = self.now().await;
        let deciding = Deciding { now, jitter: Jitter::NONE, node: &view.node };
        let items = view.tasks.iter().map(|task| ReclaimItem {
            task: task.id.clone(),
            fence: task.lease.as_ref().unwrap().fence,
            spec: task.spec.clone(),
            verdict: decide_reclaim(task, view.crashed, &deciding),
        });
        Reclaim {
            mandate: self.lead().await,
            claim: view.claim.clone(),
            expires_at: view.expires_at,
            items: items.collect(),
        }
    }

    /// Lets `count` nodes die one after the other while they run what is due.
    pub(crate) async fn crash(&self, count: u32) {
        for _ in 0..count {
            self.clock.advance(60 * SECOND);
            let claim = roomy();
            assert!(!self.claim(&claim).await.tasks.is_empty(), "something is due");
            self.clock.advance(20 * SECOND);
            self.reclaim(&claim.id).await;
        }
        self.clock.advance(60 * SECOND);
    }

    pub(crate) async fn maintain(&self) -> Maintained {
        let house = Maintain { mandate: self.lead().await, limit: 1000 };
        match self.store.maintain(&house).await.unwrap() {
            Led::Done(maintained) => maintained,
            Led::Deposed => panic!("the leader was deposed"),
        }
    }
}

/// The claim under which a task runs.
pub(crate) fn claim_id(task: &TaskRecord) -> &ClaimId {
    &task.lease.as_ref().unwrap().claim_id
}

/// The ids of tasks, in their order.
pub(crate) fn ids(tasks: &[TaskRecord]) -> Vec<String> {
    tasks.iter().map(|task| task.id.to_string()).collect()
}

/// The ids of tasks, sorted.
pub(crate) fn sorted_ids(tasks: &[TaskRecord]) -> Vec<String> {
    let mut found = ids(tasks);
    found.sort();
    found
}
