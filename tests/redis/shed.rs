//! A store in a private server, a clock that the test moves, and short ways to use both.

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use taskshed::clock::ManualClock;
use taskshed::domain::draft::Task;
use taskshed::domain::durability::Durability;
use taskshed::domain::id::Callback;
use taskshed::domain::id::ClaimId;
use taskshed::domain::id::NodeName;
use taskshed::domain::id::ProcessId;
use taskshed::domain::id::QueueName;
use taskshed::domain::id::RequestId;
use taskshed::domain::id::TaskId;
use taskshed::domain::retry::Jitter;
use taskshed::domain::state::Deciding;
use taskshed::domain::state::Outcome;
use taskshed::domain::state::decide;
use taskshed::domain::state::decide_reclaim;
use taskshed::domain::task::NewTask;
use taskshed::domain::time::Timestamp;
use taskshed::store::AckItem;
use taskshed::store::Acked;
use taskshed::store::Action;
use taskshed::store::Add;
use taskshed::store::AddOutcome;
use taskshed::store::Campaign;
use taskshed::store::Change;
use taskshed::store::Changed;
use taskshed::store::Claim;
use taskshed::store::Claimed;
use taskshed::store::Existing;
use taskshed::store::Fetch;
use taskshed::store::Holder;
use taskshed::store::HolderKind;
use taskshed::store::Leadership;
use taskshed::store::Led;
use taskshed::store::Look;
use taskshed::store::Maintain;
use taskshed::store::Maintained;
use taskshed::store::Mandate;
use taskshed::store::Options;
use taskshed::store::Queue;
use taskshed::store::Reclaim;
use taskshed::store::ReclaimItem;
use taskshed::store::Result;
use taskshed::store::Scope;
use taskshed::store::SuspectRoom;
use taskshed::store::Target;
use taskshed::store::TaskRecord;
use taskshed::store::Tasks;
use taskshed::store::redis::RedisStore;

use super::RedisServer;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const START: i64 = 1_800_000_000_000_000;

static SHARED: LazyLock<RedisServer> = LazyLock::new(|| RedisServer::start(&[]));
static COUNT: AtomicU64 = AtomicU64::new(0);

/// A number that no other caller in this process gets.
pub(crate) fn unique() -> u64 {
    COUNT.fetch_add(1, Ordering::Relaxed)
}

pub(crate) struct Shed {
    pub(crate) store: RedisStore,
    pub(crate) clock: ManualClock,
    pub(crate) raw: redis::aio::MultiplexedConnection,
    pub(crate) prefix: String,
    url: String,
    options: Options,
}

impl Shed {
    /// In the server that most tests share, in a namespace of its own.
    pub(crate) async fn new() -> Self {
        Self::at(&SHARED.url()).await
    }

    /// In the server at `url`.
    pub(crate) async fn at(url: &str) -> Self {
        let namespace = format!("n{}", unique());
        let clock = ManualClock::at(Timestamp::from_us(START));
        let prefix = format!("{{ts:{namespace}:0}}:");
        let options = Options { namespace: namespace.parse().unwrap(), ..Options::default() };
        let store =
            RedisStore::open(url, options.clone()).unwrap().with_clock(Arc::new(clock.clone()));
        let client = redis::Client::open(url).unwrap();
        let raw = client.get_multiplexed_async_connection().await.unwrap();
        Self { store, clock, raw, prefix, url: url.into(), options }
    }

    /// The same place, where writes must be more durable.
    pub(crate) fn durable(mut self, durability: Durability) -> Self {
        self.options.durability = durability;
        let store = RedisStore::open(&self.url, self.options.clone()).unwrap();
        self.store = store.with_clock(Arc::new(self.clock.clone()));
        self
    }

    /// Sends a command as an operator would.
    pub(crate) async fn tell<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut cmd = redis::cmd(words[0]);
        cmd.arg(&words[1..]);
        cmd.query_async(&mut self.raw.clone()).await.unwrap()
    }

    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Names of the keys of the namespace, without what stays between tasks.
    pub(crate) async fn leftovers(&self) -> Vec<String> {
        let keys: Vec<String> = self.tell(&["KEYS", &format!("{}*", self.prefix)]).await;
        let stays = ["queues", "schema", "leader", "nodes", "beats", "ended_claims"];
        let left = keys.into_iter().map(|key| key[self.prefix.len()..].to_owned());
        left.filter(|key| !stays.contains(&key.as_str())).collect()
    }

    pub(crate) async fn add(&self, tasks: Vec<NewTask>) -> Result<Vec<AddOutcome>> {
        let request = RequestId::parse(&format!("r{}", unique())).unwrap();
        let add = Add { request, tasks, existing: Existing::Replace };
        self.store.add(&add).await.map(|added| added.outcomes)
    }

    pub(crate) async fn claim(&self, limit: usize) -> Result<Claimed> {
        self.store.claim(&claim(limit)).await
    }

    pub(crate) async fn finish(&self, claimed: &Claimed, outcome: Outcome) -> Result<Vec<Acked>> {
        let items: Vec<_> =
            claimed.tasks.iter().map(|task| ack(task, outcome.clone(), claimed.now)).collect();
        self.store.ack(&items).await
    }

    /// Loses a lease as the leader does: its end passes, and each task gets its verdict.
    pub(crate) async fn reclaim(&self, mandate: &Mandate, claim: &ClaimId) -> u64 {
        let scope = Scope::Claims(vec![claim.clone()]);
        let look = Look { mandate: mandate.clone(), scope };
        let Led::Done(looked) = self.store.leases(&look).await.unwrap() else { panic!("deposed") };
        let view = &looked.leases[0];
        let now = Timestamp::from_us(START);
        let deciding = Deciding { now, jitter: Jitter::NONE, node: &view.node };
        let items = view.tasks.iter().map(|task| ReclaimItem {
            task: task.id.clone(),
            fence: task.lease.clone().unwrap().fence,
            spec: task.spec.clone(),
            verdict: decide_reclaim(task, view.crashed, &deciding),
        });
        let reclaim = Reclaim {
            mandate: mandate.clone(),
            claim: claim.clone(),
            expires_at: view.expires_at,
            items: items.collect(),
        };
        match self.store.reclaim(&reclaim).await.unwrap() {
            Led::Done(count) => count,
            Led::Deposed => panic!("deposed"),
        }
    }

    pub(crate) async fn lead(&self) -> Mandate {
        let Holder { node, process, .. } = holder("node-l");
        let campaign = Campaign { node, process, ttl: 1_000_000 * SECOND };
        let leader = self.store.campaign(&campaign).await.unwrap().leader.unwrap();
        Mandate { process: leader.process, term: leader.term }
    }

    pub(crate) async fn maintain(&self, mandate: &Mandate) -> Maintained {
        let house = Maintain { mandate: mandate.clone(), limit: 1000 };
        match self.store.maintain(&house).await.unwrap() {
            Led::Done(maintained) => maintained,
            Led::Deposed => panic!("deposed"),
        }
    }

    pub(crate) async fn change(&self, action: Action, ids: &[&str]) -> Changed {
        let target = Target::Ids(ids.iter().map(|id| TaskId::parse(id).unwrap()).collect());
        self.store.change(&Change { target, action }).await.unwrap()
    }

    pub(crate) async fn task(&self, id: &str) -> Option<TaskRecord> {
        let fetch = Fetch { ids: vec![TaskId::parse(id).unwrap()], watch: None };
        self.store.fetch(&fetch).await.unwrap().remove(0)
    }
}

pub(crate) fn task(id: &str) -> Task {
    Task::new("noop", &json!({ "n": 1 })).unwrap().id(id)
}

pub(crate) fn planned(task: Task) -> NewTask {
    let fresh = TaskId::parse(&format!("t{}", unique())).unwrap();
    task.check(usize::MAX).unwrap().plan(fresh, Timestamp::from_us(START)).unwrap()
}

pub(crate) fn holder(node: &str) -> Holder {
    Holder {
        node: NodeName::parse(node).unwrap(),
        process: ProcessId::parse(&format!("{node}-process")).unwrap(),
        kind: HolderKind::Node,
    }
}

pub(crate) fn claim(limit: usize) -> Claim {
    Claim {
        id: ClaimId::parse(&format!("c{}", unique())).unwrap(),
        holder: holder("node-a"),
        queues: vec![QueueName::default()],
        callbacks: Some(Arc::from([Callback::parse("noop").unwrap()])),
        limit,
        ttl: 10 * SECOND,
        grace: 2 * SECOND,
        ahead: Duration::ZERO,
        suspects: SuspectRoom::default(),
        wait: false,
    }
}

pub(crate) fn ack(task: &TaskRecord, outcome: Outcome, now: Timestamp) -> AckItem {
    let node = NodeName::parse("node-a").unwrap();
    let deciding = Deciding { now, jitter: Jitter::NONE, node: &node };
    let lease = task.lease.clone().unwrap();
    AckItem {
        claim: lease.claim_id,
        task: task.id.clone(),
        fence: lease.fence,
        spec: task.spec.clone(),
        verdict: decide(task, outcome, &deciding),
    }
}
