//! A node's API on a store in memory whose clock the test moves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use serde_json::json;
use taskshed::Scheduler;
use taskshed::clock::Clock;
use taskshed::clock::ManualClock;
use taskshed::clock::SystemClock;
use taskshed::domain::id::ClaimId;
use taskshed::domain::id::NodeName;
use taskshed::domain::id::ProcessId;
use taskshed::domain::id::QueueName;
use taskshed::domain::retry::Jitter;
use taskshed::domain::state::Deciding;
use taskshed::domain::state::Outcome;
use taskshed::domain::state::decide;
use taskshed::domain::state::decide_reclaim;
use taskshed::domain::time::Timestamp;
use taskshed::http::Api;
use taskshed::http::Readiness;
use taskshed::http::serve;
use taskshed::store::AckItem;
use taskshed::store::Beat;
use taskshed::store::Campaign;
use taskshed::store::Claim;
use taskshed::store::Claimed;
use taskshed::store::Holder;
use taskshed::store::HolderKind;
use taskshed::store::Keep;
use taskshed::store::Led;
use taskshed::store::Look;
use taskshed::store::Mandate;
use taskshed::store::Options;
use taskshed::store::Reclaim;
use taskshed::store::ReclaimItem;
use taskshed::store::Scope;
use taskshed::store::Store;
use taskshed::store::SuspectRoom;
use taskshed::store::connect::in_memory;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::asked::Client;
use super::asked::Reply;
use super::faulty::Faulty;

/// What the store's clock shows at first: 2027-01-15T08:00:00Z.
pub(crate) const START: &str = "2027-01-15T08:00:00.000000Z";

pub(crate) struct Shed {
    pub(crate) clock: ManualClock,
    /// Times requests.
    pub(crate) request_clock: ManualClock,
    pub(crate) store: Faulty,
    pub(crate) scheduler: Scheduler,
    pub(crate) address: SocketAddr,
    pub(crate) readiness: watch::Sender<Readiness>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) servers: JoinSet<std::io::Result<()>>,
}

impl Shed {
    pub(crate) async fn new() -> Self {
        Self::with(|api| api).await
    }

    /// The same with an API that is set up further.
    pub(crate) async fn with(set: impl FnOnce(Api) -> Api) -> Self {
        let clock = ManualClock::at(Timestamp::parse(START).unwrap());
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let store = Faulty::new(in_memory(shared, Options::default()));
        let request_clock = ManualClock::at(clock.wall());
        Self::on(store, clock, request_clock, set).await
    }

    /// Another node on the same store, with the same clocks.
    pub(crate) async fn another(&self) -> Self {
        let (clock, request_clock) = (self.clock.clone(), self.request_clock.clone());
        Self::on(self.store.clone(), clock, request_clock, |api| api).await
    }

    async fn on(
        store: Faulty,
        clock: ManualClock,
        request_clock: ManualClock,
        set: impl FnOnce(Api) -> Api,
    ) -> Self {
        let scheduler = Scheduler::with(
            Arc::new(store.clone()),
            Arc::new(SystemClock),
            StdRng::seed_from_u64(1),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let readiness = watch::Sender::new(Readiness::Ready);
        let state = readiness.subscribe();
        let api = Api::new(scheduler.clone())
            .clock(Arc::new(request_clock.clone()))
            .readiness(move || *state.borrow());
        let shutdown = CancellationToken::new();
        let mut servers = JoinSet::new();
        servers.spawn(serve(listener, set(api), shutdown.clone().cancelled_owned()));
        Self { clock, request_clock, store, scheduler, address, readiness, shutdown, servers }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.client().await.get(path).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.client().await.post(path, &body.to_string()).await
    }

    /// Adds a task through the API and gives its id.
    pub(crate) async fn add(&self, task: Value) -> String {
        let reply = self.post("/v1/tasks", &task).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.json()["tasks"][0]["task_id"].as_str().unwrap().into()
    }

    /// A task as the API shows it.
    pub(crate) async fn task(&self, id: &str) -> Value {
        let reply = self.get(&format!("/v1/tasks/{id}")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }

    /// How many tasks there are.
    pub(crate) async fn count(&self) -> usize {
        self.get("/v1/tasks?limit=1000").await.json()["tasks"].as_array().unwrap().len()
    }

    /// What `future` gives while the time of requests flies, within an hour of it.
    pub(crate) async fn while_time_passes<T>(&self, future: impl Future<Output = T>) -> T {
        let flies = async {
            for _ in 0..36_000 {
                self.request_clock.advance(Duration::from_millis(100));
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            given = future => given,
            () = flies => panic!("nothing came within an hour"),
        }
    }

    /// Takes what is due, as a node would.
    pub(crate) async fn claim(&self, limit: usize) -> Claimed {
        let process = ProcessId::parse("node-1").unwrap();
        let claim = Claim {
            id: ClaimId::generate(0, rand::random()),
            holder: Holder {
                node: NodeName::parse("node").unwrap(),
                process,
                kind: HolderKind::Node,
            },
            queues: vec![QueueName::default(), QueueName::parse("mail").unwrap()],
            callbacks: None,
            limit,
            ttl: Duration::from_secs(10),
            grace: Duration::from_secs(2),
            ahead: Duration::ZERO,
            suspects: SuspectRoom::default(),
            wait: false,
        };
        let store: &dyn Store = &self.store;
        store.claim(&claim).await.unwrap()
    }

    /// Takes back the tasks of all leases that have expired, as a leader would.
    pub(crate) async fn reclaim(&self) {
        let (node, process) = (NodeName::parse("leader").unwrap(), ProcessId::parse("l").unwrap());
        let ttl = Duration::from_secs(10);
        let campaign = Campaign { node: node.clone(), process: process.clone(), ttl };
        let store: &dyn Store = &self.store;
        let leading = store.campaign(&campaign).await.unwrap();
        let mandate = Mandate { process, term: leading.leader.unwrap().term };
        let look = |scope| Look { mandate: mandate.clone(), scope };
        let Led::Done(ended) = store.leases(&look(Scope::Expired)).await.unwrap() else { return };
        let claims = ended.leases.into_iter().map(|view| view.claim).collect();
        let look = look(Scope::Claims(claims));
        let Led::Done(looked) = store.leases(&look).await.unwrap() else { return };
        for view in looked.leases {
            let deciding = Deciding { now: leading.now, jitter: Jitter::NONE, node: &node };
            let items = view.tasks.iter().map(|task| ReclaimItem {
                task: task.id.clone(),
                fence: task.lease.as_ref().unwrap().fence,
                spec: Arc::clone(&task.spec),
                verdict: decide_reclaim(task, view.crashed, &deciding),
            });
            let reclaim = Reclaim {
                mandate: mandate.clone(),
                claim: view.claim.clone(),
                expires_at: view.expires_at,
                items: items.collect(),
            };
            store.reclaim(&reclaim).await.unwrap();
        }
    }

    /// Lets a node beat, and answers whether it is to drain.
    pub(crate) async fn beat(&self, name: &str) -> bool {
        let keep =
            Keep { beat: Some(beat_of(name)), claims: Vec::new(), ttl: Duration::from_secs(10) };
        let store: &dyn Store = &self.store;
        store.keep(&keep).await.unwrap().drain
    }

    /// Makes a node leader.
    pub(crate) async fn campaign(&self) {
        let (node, process) = (NodeName::parse("leader").unwrap(), ProcessId::parse("l").unwrap());
        let campaign = Campaign { node, process, ttl: Duration::from_secs(10) };
        let store: &dyn Store = &self.store;
        store.campaign(&campaign).await.unwrap();
    }

    /// Hands an outcome of all claimed tasks back.
    pub(crate) async fn ack(&self, claimed: &Claimed, outcome: &Outcome) {
        let node = NodeName::parse("node").unwrap();
        let deciding = Deciding { now: claimed.now, jitter: Jitter::NONE, node: &node };
        let items = claimed.tasks.iter().map(|task| {
            let lease = task.lease.as_ref().unwrap();
            AckItem {
                claim: lease.claim_id.clone(),
                task: task.id.clone(),
                fence: lease.fence,
                spec: Arc::clone(&task.spec),
                verdict: decide(task, outcome.clone(), &deciding),
            }
        });
        let items: Vec<_> = items.collect();
        let store: &dyn Store = &self.store;
        store.ack(&items).await.unwrap();
    }
}

/// A task that needs nothing else.
pub(crate) fn noop(id: &str) -> Value {
    json!({ "task_id": id, "callback": "noop" })
}

/// What a node says of itself.
pub(crate) fn beat_of(name: &str) -> Beat {
    Beat {
        node: NodeName::parse(name).unwrap(),
        process: ProcessId::parse(name).unwrap(),
        version: "1.2.3".into(),
        queues: vec!["mail".parse().unwrap()],
        callbacks: ["noop".parse().unwrap()].into(),
        concurrency: 8,
        running: 2,
        draining: false,
        skew_us: -1500,
        leaving: false,
    }
}
