//! Candidates and holders of leases on one store in memory, and a clock that the test moves.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use taskshed::clock::Clock;
use taskshed::clock::ManualClock;
use taskshed::domain::declared::Declared;
use taskshed::domain::draft::Task;
use taskshed::domain::id::ClaimId;
use taskshed::domain::id::NodeName;
use taskshed::domain::id::ProcessId;
use taskshed::domain::id::QueueName;
use taskshed::domain::id::RequestId;
use taskshed::domain::id::TaskId;
use taskshed::domain::lease::Term;
use taskshed::domain::lease::node_grace;
use taskshed::domain::lease::remote_grace;
use taskshed::domain::lease::renew_every;
use taskshed::domain::task::TaskRecord;
use taskshed::domain::time::Timestamp;
use taskshed::events::Event;
use taskshed::events::Events;
use taskshed::leader::Candidate;
use taskshed::leader::Declares;
use taskshed::leader::Seen;
use taskshed::metrics::Metrics;
use taskshed::store::Add;
use taskshed::store::Beat;
use taskshed::store::Claim;
use taskshed::store::Existing;
use taskshed::store::Fetch;
use taskshed::store::Holder;
use taskshed::store::HolderKind;
use taskshed::store::Keep;
use taskshed::store::Leader;
use taskshed::store::Leadership;
use taskshed::store::Options;
use taskshed::store::Queue;
use taskshed::store::SuspectRoom;
use taskshed::store::Tasks;
use taskshed::store::memory::MemoryStore;

use super::faulty::Faulty;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Length of the leases of these tests.
pub(crate) const LEASE: Duration = Duration::from_secs(10);

/// How far time moves at once: short against all that is waited for.
const STEP: Duration = Duration::from_millis(50);

/// Turns that the loops get after each step; more than any of them needs to come to rest.
const TURNS: usize = 64;

/// A store, its clock, and the loops that use it. All run on the thread of the test, so that every
/// run of a test is the same.
pub(crate) struct Fleet {
    pub(crate) clock: ManualClock,
    /// The store as everybody reaches it.
    pub(crate) store: Faulty,
    loops: JoinSet<()>,
    count: AtomicU64,
}

/// One node's candidate and its keeper.
pub(crate) struct Node {
    pub(crate) name: NodeName,
    pub(crate) process: ProcessId,
    /// The store as this node reaches it.
    pub(crate) store: Faulty,
    pub(crate) seen: Seen,
    events: Events,
    pub(crate) metrics: Metrics,
    pub(crate) told: broadcast::Receiver<Event>,
    /// Stops the candidate in good order.
    pub(crate) stop: CancellationToken,
    /// Kills candidate and keeper.
    dead: CancellationToken,
    freezer: Arc<Freezer>,
    /// What its file declares.
    pub(crate) declared: Option<Declared>,
}

impl Fleet {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::at(Timestamp::from_us(1_800_000_000_000_000));
        let memory = MemoryStore::new(Arc::new(clock.clone()), Options::default());
        let store = Faulty::new(Arc::new(memory));
        Self { clock, store, loops: JoinSet::new(), count: AtomicU64::new(0) }
    }

    /// A node that beats, and whose candidate stands.
    pub(crate) fn node(&mut self, name: &str) -> Node {
        let node = self.bare(name);
        let node = self.stand(node);
        self.beat(&node, Vec::new());
        node
    }

    /// The same node, whose candidate stands from now on.
    pub(crate) fn stand(&mut self, node: Node) -> Node {
        let candidate = Candidate {
            store: Arc::new(node.store.clone()),
            tasks: Arc::new(node.store.clone()),
            metrics: node.metrics.clone(),
            clock: Arc::new(self.clock.clone()),
            node: node.name.clone(),
            process: node.process.clone(),
            seen: node.seen.clone(),
            events: node.events.clone(),
            declares: node.declared.clone().map(|declared| Declares {
                declared: Arc::new(declared),
                store: Arc::new(node.store.clone()),
            }),
            rng: StdRng::seed_from_u64(self.unique()),
        };
        self.spawn(&node, candidate.run(node.stop.clone()));
        node
    }

    /// A node that beats and renews the leases of `claims`, without a candidate.
    pub(crate) fn holder(&mut self, name: &str, claims: Vec<ClaimId>) -> Node {
        let node = self.bare(name);
        self.beat(&node, claims);
        node
    }

    /// A node that does nothing by itself.
    pub(crate) fn bare(&self, name: &str) -> Node {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let events = Events::default();
        let told = events.listen();
        Node {
            name: NodeName::parse(name).unwrap(),
            process: ProcessId::parse(&format!("{name}-{}", self.unique())).unwrap(),
            store: Faulty::new(Arc::new(self.store.clone())),
            seen: Seen::new(clock, events.clone()),
            events,
            metrics: Metrics::default(),
            told,
            stop: CancellationToken::new(),
            dead: CancellationToken::new(),
            freezer: Arc::default(),
            declared: None,
        }
    }

    /// Beats for `node` and renews `claims`, as a keeper does: calls overlap when they hang.
    pub(crate) fn beat(&mut self, node: &Node, claims: Vec<ClaimId>) {
        let (store, clock, seen) = (node.store.clone(), self.clock.clone(), node.seen.clone());
        let keep = Keep { beat: Some(beat_of(node)), claims, ttl: LEASE };
        self.spawn(node, async move {
            let mut calls = JoinSet::new();
            loop {
                let (store, seen, keep) = (store.clone(), seen.clone(), keep.clone());
                let sent = clock.steady();
                calls.spawn(async move {
                    if let Ok(kept) = store.keep(&keep).await {
                        seen.note(sent, kept.now, kept.leader.as_ref());
                    }
                });
                clock.sleep(renew_every(LEASE)).await;
            }
        });
    }

    fn spawn(&mut self, node: &Node, part: impl Future<Output = ()> + Send + 'static) {
        let (dead, freezer) = (node.dead.clone(), Arc::clone(&node.freezer));
        self.loops.spawn(async move {
            tokio::select! {
                () = dead.cancelled() => {}
                () = freezer.poll(part) => {}
            }
        });
    }

    /// Lets time pass in small steps, with turns for everybody after each.
    pub(crate) async fn pass(&self, length: Duration) {
        self.settle().await;
        let until = self.clock.steady() + length;
        while self.clock.steady() < until {
            self.clock.advance(STEP.min(until - self.clock.steady()));
            self.settle().await;
        }
    }

    /// Lets time pass until `is_so`, at most `length`; answers how long it took.
    pub(crate) async fn pass_until(
        &self,
        length: Duration,
        mut is_so: impl AsyncFnMut() -> bool,
    ) -> Duration {
        let started = self.clock.steady();
        self.settle().await;
        while !is_so().await {
            let passed = self.clock.steady() - started;
            assert!(passed < length, "it did not come to pass within {length:?}");
            self.clock.advance(STEP);
            self.settle().await;
        }
        self.clock.steady() - started
    }

    async fn settle(&self) {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
    }

    /// Adds a task and answers its id.
    pub(crate) async fn add(&self, id: &str, change: impl FnOnce(Task) -> Task) -> TaskId {
        let fresh = TaskId::parse(id).unwrap();
        let task = change(Task::new("resize", &serde_json::json!({})).unwrap().id(id));
        let draft = task.check(1 << 20).unwrap();
        let request = RequestId::parse(&format!("r{}", self.unique())).unwrap();
        let tasks = vec![draft.plan(fresh.clone(), self.clock.wall()).unwrap()];
        let add = Add { request, tasks, existing: Existing::Replace };
        self.store.add(&add).await.unwrap();
        fresh
    }

    /// Claims up to `limit` due tasks for `node`; answers the claim and how many it got.
    pub(crate) async fn claim(&self, node: &Node, limit: usize) -> (ClaimId, usize) {
        self.claim_as(node, HolderKind::Node, limit).await
    }

    pub(crate) async fn claim_as(
        &self,
        node: &Node,
        kind: HolderKind,
        limit: usize,
    ) -> (ClaimId, usize) {
        let id = ClaimId::parse(&format!("c{}", self.unique())).unwrap();
        let grace = match kind {
            HolderKind::Node => node_grace(LEASE),
            HolderKind::Remote => remote_grace(LEASE),
        };
        let claim = Claim {
            id: id.clone(),
            holder: Holder { node: node.name.clone(), process: node.process.clone(), kind },
            queues: vec![QueueName::default()],
            callbacks: None,
            limit,
            ttl: LEASE,
            grace,
            ahead: Duration::ZERO,
            suspects: SuspectRoom { two: 8, three: 1, idle: true },
            wait: false,
        };
        let claimed = self.store.claim(&claim).await.unwrap();
        (id, claimed.tasks.len())
    }

    pub(crate) async fn fetch(&self, id: &TaskId) -> Option<TaskRecord> {
        let fetch = Fetch { ids: vec![id.clone()], watch: None };
        self.store.fetch(&fetch).await.unwrap().remove(0)
    }

    /// Who leads by the store's word.
    pub(crate) async fn leader(&self) -> Option<Leader> {
        self.store.cluster().await.unwrap().leader
    }

    /// Waits until somebody leads; answers who, and the term.
    pub(crate) async fn elected(&self) -> (NodeName, Term) {
        self.pass_until(SECOND * 15, async || self.leader().await.is_some()).await;
        let leader = self.leader().await.unwrap();
        (leader.node, leader.term)
    }

    pub(crate) fn unique(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }
}

impl Node {
    /// Ends it as SIGKILL does.
    pub(crate) fn kill(&self) {
        self.dead.cancel();
    }

    /// Stops it as SIGSTOP does; time goes on.
    pub(crate) fn freeze(&self) {
        self.freezer.is_frozen.store(true, Ordering::Relaxed);
    }

    /// Lets it go on as SIGCONT does.
    pub(crate) fn thaw(&self) {
        self.freezer.thaw();
    }

    /// Calls of duties that it has made.
    pub(crate) fn duties(&self) -> usize {
        ["leases", "reclaim", "maintain"].iter().map(|method| self.store.calls(method)).sum()
    }

    /// Whether a line stands in its metrics.
    pub(crate) fn shows(&self, line: &str) -> bool {
        self.metrics.text().lines().any(|shown| shown == line)
    }

    /// How many tasks it has told to have reclaimed, by whether their node had crashed.
    pub(crate) fn reclaimed(&mut self) -> Vec<(u64, bool)> {
        let mut reclaimed = Vec::new();
        while let Ok(event) = self.told.try_recv() {
            if let Event::Reclaimed { count, crashed, .. } = event {
                reclaimed.push((count, crashed));
            }
        }
        reclaimed
    }
}

fn beat_of(node: &Node) -> Beat {
    Beat {
        node: node.name.clone(),
        process: node.process.clone(),
        version: "0".into(),
        queues: vec![QueueName::default()],
        callbacks: Arc::from([]),
        concurrency: 8,
        running: 0,
        draining: false,
        skew_us: 0,
        leaving: false,
    }
}

/// Holds the loops of a process still.
#[derive(Default)]
struct Freezer {
    is_frozen: AtomicBool,
    held: Mutex<Vec<Waker>>,
}

impl Freezer {
    /// Runs `part`, except while frozen.
    async fn poll(&self, part: impl Future<Output = ()>) {
        let mut part = pin!(part);
        std::future::poll_fn(|context| {
            if !self.is_frozen.load(Ordering::Relaxed) {
                return part.as_mut().poll(context);
            }
            self.held.lock().unwrap().push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn thaw(&self) {
        self.is_frozen.store(false, Ordering::Relaxed);
        for waker in self.held.lock().unwrap().drain(..) {
            waker.wake();
        }
    }
}
