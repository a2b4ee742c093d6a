//! A cluster for one test: a store that can be made to fail, a scheduler, and nodes.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use taskshed::Node;
use taskshed::Scheduler;
use taskshed::TaskError;
use taskshed::clock::Clock;
use taskshed::clock::ManualClock;
use taskshed::clock::SystemClock;
use taskshed::config::NodeConfig;
use taskshed::domain::draft::Task;
use taskshed::domain::id::ClaimId;
use taskshed::domain::id::NodeName;
use taskshed::domain::id::ProcessId;
use taskshed::domain::id::QueueName;
use taskshed::domain::id::TaskId;
use taskshed::domain::retry::Jitter;
use taskshed::domain::state::Deciding;
use taskshed::domain::state::TaskState;
use taskshed::domain::state::decide_reclaim;
use taskshed::domain::time::Timestamp;
use taskshed::events::Event;
use taskshed::events::Events;
use taskshed::handlers::Context;
use taskshed::node::Builder;
use taskshed::node::Drained;
use taskshed::node::NodeHandle;
use taskshed::store::Campaign;
use taskshed::store::Claim;
use taskshed::store::Fetch;
use taskshed::store::Gate;
use taskshed::store::Holder;
use taskshed::store::HolderKind;
use taskshed::store::Led;
use taskshed::store::Look;
use taskshed::store::Mandate;
use taskshed::store::Options;
use taskshed::store::Reclaim;
use taskshed::store::ReclaimItem;
use taskshed::store::Scope;
use taskshed::store::Store;
use taskshed::store::SuspectRoom;
use taskshed::store::TaskRecord;
use taskshed::store::memory::MemoryStore;
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::faulty::Faulty;

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A lease that is short enough to see its end.
pub(crate) const LEASE: Duration = Duration::from_secs(1);

pub(crate) const MS: Duration = Duration::from_millis(1);

/// What a handler of these tests answers.
pub(crate) type Answer = Result<Value, TaskError>;

pub(crate) struct Shed {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Faulty,
    /// The same store without its faults.
    behind: Arc<dyn Store>,
    pub(crate) scheduler: Scheduler,
    pub(crate) events: Events,
    pub(crate) heard: broadcast::Receiver<Event>,
}

/// A node that runs.
pub(crate) struct Live {
    pub(crate) handle: NodeHandle,
    stop: CancellationToken,
    running: JoinSet<Drained>,
}

impl Shed {
    /// A cluster in real time.
    pub(crate) fn new() -> Self {
        Self::on(Arc::new(SystemClock))
    }

    /// A cluster whose time stands until it is moved.
    pub(crate) fn manual() -> (Self, ManualClock) {
        let clock = ManualClock::at(Timestamp::parse("2026-11-24T05:00:00Z").unwrap());
        (Self::on(Arc::new(clock.clone())), clock)
    }

    fn on(clock: Arc<dyn Clock>) -> Self {
        let memory = MemoryStore::new(Arc::clone(&clock), Options::default());
        let behind: Arc<dyn Store> = Arc::new(memory);
        let store = Faulty::new(Arc::clone(&behind));
        let scheduler = Scheduler::new(Arc::new(store.clone()));
        let events = Events::default();
        let heard = events.listen();
        Self { clock, store, behind, scheduler, events, heard }
    }

    /// A node in the making, with a short lease; it does not lead unless asked to.
    pub(crate) fn node(&self, name: &str) -> Builder {
        let mut config = NodeConfig::new(name.parse().unwrap());
        config.lease = LEASE;
        config.stands_for_leader = false;
        self.node_with(config)
    }

    pub(crate) fn node_with(&self, config: NodeConfig) -> Builder {
        let store: Arc<dyn Store> = Arc::new(self.store.clone());
        Node::builder(store)
            .config(config)
            .clock(Arc::clone(&self.clock))
            .events(self.events.clone())
            .seed(7)
    }

    pub(crate) async fn add(&self, task: Task) -> TaskId {
        self.scheduler.add(task).await.unwrap().task_id
    }

    /// Adds past all faults.
    pub(crate) async fn add_behind(&self, task: Task) -> TaskId {
        Scheduler::new(Arc::clone(&self.behind)).add(task).await.unwrap().task_id
    }

    /// A due task for `callback`.
    pub(crate) async fn add_due(&self, callback: &str) -> TaskId {
        self.add(task(callback)).await
    }

    pub(crate) async fn find(&self, id: &TaskId) -> TaskRecord {
        self.scheduler.find(id).await.unwrap().expect("the task is kept")
    }

    /// Lets nothing more be claimed.
    pub(crate) async fn pause_claims(&self) {
        self.behind.set_queue(&QueueName::default(), Gate::Paused).await.unwrap();
    }

    /// Ends the lease under which a task runs, as a leader does whose looks found it expired. The
    /// keeper may prolong the lease between the look and the step; then it is looked at again.
    pub(crate) async fn take_away(&self, id: &TaskId) {
        let ids = vec![id.clone()];
        for _ in 0..100 {
            let found = self.behind.fetch(&Fetch { ids: ids.clone(), watch: None }).await.unwrap();
            let lease = found[0].as_ref().unwrap().lease.as_ref().unwrap();
            if self.reclaim(lease.claim_id.clone(), false).await == 1 {
                return;
            }
        }
        panic!("the lease of {id} was prolonged at each try");
    }

    /// Claims `count` due tasks for a node that dies at once, and reclaims them.
    pub(crate) async fn crash(&self, count: usize) {
        let id = ClaimId::generate(0, rand::random());
        let holder = Holder {
            node: NodeName::parse("victim").unwrap(),
            process: ProcessId::generate(0, [2; 10]),
            kind: HolderKind::Node,
        };
        let claim = Claim {
            id: id.clone(),
            holder,
            queues: vec![QueueName::default()],
            callbacks: None,
            limit: count,
            ttl: LEASE,
            grace: LEASE,
            ahead: Duration::ZERO,
            suspects: SuspectRoom { two: count, three: count, idle: true },
            wait: false,
        };
        assert_eq!(self.behind.claim(&claim).await.unwrap().tasks.len(), count);
        assert_eq!(self.reclaim(id, true).await, u64::try_from(count).unwrap());
    }

    async fn reclaim(&self, claim: ClaimId, crashed: bool) -> u64 {
        let process = ProcessId::generate(0, [1; 10]);
        let node = NodeName::parse("thief").unwrap();
        let campaign = Campaign { node, process: process.clone(), ttl: LEASE };
        let leading = self.behind.campaign(&campaign).await.unwrap();
        let mandate = Mandate { process, term: leading.leader.unwrap().term };

        let look = Look { mandate: mandate.clone(), scope: Scope::Claims(vec![claim.clone()]) };
        let Led::Done(looked) = self.behind.leases(&look).await.unwrap() else { panic!("deposed") };
        let lease = &looked.leases[0];
        let deciding = Deciding { now: self.clock.wall(), jitter: Jitter::NONE, node: &lease.node };
        let item = |task: &TaskRecord| ReclaimItem {
            task: task.id.clone(),
            fence: task.lease.as_ref().unwrap().fence,
            spec: Arc::clone(&task.spec),
            verdict: decide_reclaim(task, crashed, &deciding),
        };
        let items = lease.tasks.iter().map(item).collect();
        let reclaim = Reclaim { mandate, claim, expires_at: lease.expires_at, items };
        let Led::Done(count) = self.behind.reclaim(&reclaim).await.unwrap() else {
            panic!("deposed")
        };
        count
    }

    /// The next event for which `pick` has an answer.
    pub(crate) async fn hear<T>(&mut self, pick: impl Fn(&Event) -> Option<T>) -> T {
        let search = async {
            loop {
                if let Some(picked) = pick(&self.heard.recv().await.unwrap()) {
                    return picked;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("the event comes")
    }

    /// The state and error of the next run of `id` whose outcome is accepted.
    pub(crate) async fn ended(&mut self, id: &TaskId) -> (TaskState, Option<String>) {
        self.hear(|event| match event {
            Event::Ended { run, state, error, .. } if run.task == *id => {
                Some((*state, error.clone()))
            }
            _ => None,
        })
        .await
    }

    /// The name of the node on which the next run of `id` starts.
    pub(crate) async fn started(&mut self, id: &TaskId) -> String {
        self.hear(|event| match event {
            Event::Started { run, .. } if run.task == *id => Some(run.node.to_string()),
            _ => None,
        })
        .await
    }

    /// The events that were heard and not looked at.
    pub(crate) fn rest(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.heard.try_recv().ok()).collect()
    }
}

impl Live {
    pub(crate) fn start(builder: Builder) -> Self {
        let node = builder.build().unwrap();
        let handle = node.handle();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let mut running = JoinSet::new();
        running.spawn(async move { node.run_until(stopped.cancelled_owned()).await.unwrap() });
        Self { handle, stop, running }
    }

    /// Lets it drain, as SIGTERM would.
    pub(crate) fn shut_down(&self) {
        self.stop.cancel();
    }

    /// How it left.
    pub(crate) async fn left(mut self) -> Drained {
        let left = tokio::time::timeout(PATIENCE, self.running.join_next()).await;
        left.expect("the node leaves").expect("it runs once").unwrap()
    }

    pub(crate) async fn drain(self) -> Drained {
        self.shut_down();
        self.left().await
    }

    /// Lets it end as if it had died.
    pub(crate) async fn kill(mut self) {
        self.running.shutdown().await;
    }
}

/// Settings of a node that stands for leader, with a short lease.
pub(crate) fn leading(name: &str) -> NodeConfig {
    let mut config = NodeConfig::new(name.parse().unwrap());
    config.lease = LEASE;
    config
}

/// A due task for `callback`, without arguments.
pub(crate) fn task(callback: &str) -> Task {
    Task::new(callback, &serde_json::json!({})).unwrap()
}

/// Ends well at once.
pub(crate) async fn fine(_: Context, _: Value) -> Answer {
    Ok(Value::Null)
}

/// Runs until it is told to stop, and then fails.
pub(crate) async fn obedient(context: Context, _: Value) -> Answer {
    let cause = context.stopped().await;
    Err(TaskError::retry(format!("told: {cause:?}")))
}

/// Runs for ever, whatever it is told.
pub(crate) async fn deaf(_: Context, _: Value) -> Answer {
    std::future::pending().await
}

/// Waits in real time.
#[expect(clippy::disallowed_methods, reason = "tests in real time wait for it")]
pub(crate) async fn pause(length: Duration) {
    tokio::time::sleep(length).await;
}

/// Returns when `holds` does.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let look = async {
        while !holds().await {
            pause(MS).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("{what}"));
}

/// The real time that has passed since some moment.
pub(crate) fn steady() -> Duration {
    SystemClock.steady()
}

/// Lets a manual clock run, some fifty times as fast as the machine's, until it is dropped.
pub(crate) fn tick(clock: ManualClock) -> JoinSet<()> {
    let mut ticking = JoinSet::new();
    ticking.spawn(async move {
        loop {
            clock.advance(MS * 50);
            pause(MS).await;
        }
    });
    ticking
}
