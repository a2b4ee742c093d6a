//! A node whose handler does what the test tells it, and a leader that the test plays itself.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use taskshed::Context;
use taskshed::Node;
use taskshed::Scheduler;
use taskshed::Task;
use taskshed::TaskError;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::config::NodeConfig;
use taskshed::domain::id::NodeName;
use taskshed::domain::id::ProcessId;
use taskshed::domain::id::TaskId;
use taskshed::domain::retry::Backoff;
use taskshed::domain::retry::Jitter;
use taskshed::domain::state::Deciding;
use taskshed::domain::state::TaskState;
use taskshed::domain::state::decide_reclaim;
use taskshed::domain::task::TaskRecord;
use taskshed::events::Event;
use taskshed::events::Events;
use taskshed::store::Campaign;
use taskshed::store::LeaseView;
use taskshed::store::Led;
use taskshed::store::Look;
use taskshed::store::Mandate;
use taskshed::store::Reclaim;
use taskshed::store::ReclaimItem;
use taskshed::store::Scope;
use taskshed::store::Store;
use tokio::sync::broadcast;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

const HOUR: Duration = Duration::from_secs(3600);

/// A store, a scheduler on it, and perhaps a node.
pub(crate) struct Shop {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) scheduler: Scheduler,
    runs: mpsc::UnboundedReceiver<Run>,
    ask: mpsc::UnboundedSender<Run>,
    events: Events,
    heard: broadcast::Receiver<Event>,
    node: JoinSet<()>,
}

/// A handler that waits for the test's word.
pub(crate) struct Run {
    pub(crate) ctx: Context,
    end: oneshot::Sender<Result<(), TaskError>>,
}

impl Run {
    /// The handler returns this.
    pub(crate) fn end(self, result: Result<(), TaskError>) {
        self.end.send(result).unwrap();
    }
}

/// A task of the callback `mail` that is kept when it has ended.
pub(crate) fn task(id: &str) -> Task {
    let backoff = Backoff { base: Duration::from_millis(10), ..Backoff::default() };
    Task::new("mail", &json!({ "to": id })).unwrap().id(id).retention(HOUR).backoff(backoff)
}

impl Shop {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        let (ask, runs) = mpsc::unbounded_channel();
        let events = Events::default();
        let scheduler = Scheduler::new(Arc::clone(&store));
        let heard = events.listen();
        Self { store, scheduler, runs, ask, events, heard, node: JoinSet::new() }
    }

    /// Starts a node that stands for nothing.
    pub(crate) fn open(&mut self) {
        let ask = self.ask.clone();
        let handler = move |ctx: Context, _args: Value| {
            let ask = ask.clone();
            async move {
                let (end, ended) = oneshot::channel();
                ask.send(Run { ctx, end }).map_err(|_| TaskError::retry("the test is over"))?;
                ended.await.unwrap_or_else(|_| Err(TaskError::retry("the test let go")))
            }
        };
        let config = NodeConfig {
            stands_for_leader: false,
            ..NodeConfig::new(NodeName::parse("node").unwrap())
        };
        let node = Node::builder(Arc::clone(&self.store)).config(config);
        let node = node.handler("mail", handler).events(self.events.clone()).build().unwrap();
        self.node.spawn(async move {
            let _never_ends = node.run_until(std::future::pending()).await;
        });
    }

    /// The next run that starts.
    pub(crate) async fn run(&mut self) -> Run {
        within("a run starts", self.runs.recv()).await.unwrap()
    }

    /// Adds a task, and waits until it runs.
    pub(crate) async fn running(&mut self, task: Task) -> Run {
        self.open();
        self.scheduler.add(task).await.unwrap();
        self.run().await
    }

    /// The next word of how a run ended.
    pub(crate) async fn ended(&mut self) -> Event {
        loop {
            let event = within("a run ends", self.heard.recv()).await.unwrap();
            if matches!(event, Event::Ended { .. } | Event::Stale { .. }) {
                return event;
            }
        }
    }

    pub(crate) async fn find(&self, id: &str) -> Option<TaskRecord> {
        self.scheduler.find(&TaskId::parse(id).unwrap()).await.unwrap()
    }

    pub(crate) async fn state(&self, id: &str) -> Option<TaskState> {
        self.find(id).await.map(|task| task.state)
    }

    /// How many leases there are.
    pub(crate) async fn lease_count(&self) -> usize {
        self.look(Scope::All { skip: 0 }).await.len()
    }

    /// Plays a leader that takes the lease of a run away, and answers how many tasks it took.
    pub(crate) async fn reclaim(&self, run: &Run) -> u64 {
        let claim = run.ctx.task().lease.as_ref().unwrap().claim_id.clone();
        loop {
            let view = self.look(Scope::Claims(vec![claim.clone()])).await.remove(0);
            let expires_at = view.expires_at;
            let taken = self.reclaim_of(view).await;
            // The node may have renewed it in between.
            let again = self.look(Scope::Claims(vec![claim.clone()])).await;
            if taken > 0 || again.first().is_none_or(|view| view.expires_at == expires_at) {
                return taken;
            }
        }
    }

    async fn reclaim_of(&self, view: LeaseView) -> u64 {
        let now = self.store.now().await.unwrap();
        let deciding = Deciding { now, jitter: Jitter::NONE, node: &view.node };
        let items = view.tasks.iter().map(|task| ReclaimItem {
            task: task.id.clone(),
            fence: task.lease.as_ref().unwrap().fence,
            spec: task.spec.clone(),
            verdict: decide_reclaim(task, false, &deciding),
        });
        let (items, mandate) = (items.collect(), self.lead().await);
        let LeaseView { claim, expires_at, .. } = view;
        let reclaim = Reclaim { mandate, claim, expires_at, items };
        match self.store.reclaim(&reclaim).await.unwrap() {
            Led::Done(taken) => taken,
            Led::Deposed => panic!("nobody else leads"),
        }
    }

    async fn look(&self, scope: Scope) -> Vec<LeaseView> {
        let look = Look { mandate: self.lead().await, scope };
        match self.store.leases(&look).await.unwrap() {
            Led::Done(looked) => looked.leases,
            Led::Deposed => panic!("nobody else leads"),
        }
    }

    async fn lead(&self) -> Mandate {
        let process = ProcessId::parse("leader").unwrap();
        let node = NodeName::parse("leader").unwrap();
        let campaign = Campaign { node, process: process.clone(), ttl: HOUR };
        let leading = self.store.campaign(&campaign).await.unwrap();
        Mandate { process, term: leading.leader.unwrap().term }
    }
}

/// Waits for what must come.
pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::select! {
        done = work => done,
        () = SystemClock.sleep(PATIENCE) => panic!("it never came that {what}"),
    }
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let soon = async {
        while !is_so().await {
            SystemClock.sleep(Duration::from_millis(5)).await;
        }
    };
    within(what, soon).await;
}
