//! A node in real time on a store in memory, with one handler.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use taskshed::Node;
use taskshed::Scheduler;
use taskshed::Task;
use taskshed::domain::id::TaskId;
use taskshed::domain::state::TaskState;
use taskshed::domain::task::TaskRecord;
use taskshed::domain::time::Timestamp;
use taskshed::events::Event;
use taskshed::events::Events;
use taskshed::handlers::http::Http;
use taskshed::node::Drained;
use tokio::sync::broadcast::Receiver;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Shed {
    pub(crate) scheduler: Scheduler,
    heard: Receiver<Event>,
    ended: HashSet<TaskId>,
    stop: CancellationToken,
    node: JoinSet<Drained>,
}

/// A task for the endpoint, kept when it has ended.
pub(crate) fn task(id: &str) -> Task {
    let kwargs = serde_json::json!({ "id": id });
    Task::new("hook", &kwargs).unwrap().id(id).retention(Duration::from_secs(3600))
}

impl Shed {
    /// A node whose handler of `hook` is this one.
    pub(crate) async fn new(http: Http) -> Self {
        let store = taskshed::connect("memory:").await.unwrap();
        let events = Events::default();
        let heard = events.listen();
        let scheduler = Scheduler::new(Arc::clone(&store));
        let node = Node::builder(store)
            .name("anna")
            .events(events)
            .handler_of("hook", Arc::new(http))
            .drain_timeout(Duration::from_millis(100))
            .build()
            .unwrap();
        let stop = CancellationToken::new();
        let told = stop.clone();
        let mut running = JoinSet::new();
        running.spawn(async move { node.run_until(told.cancelled()).await.unwrap() });
        Self { scheduler, heard, ended: HashSet::new(), stop, node: running }
    }

    /// The store's now.
    pub(crate) async fn now(&self) -> Timestamp {
        self.scheduler.stats().await.unwrap().now
    }

    pub(crate) async fn add(&self, task: Task) -> TaskId {
        self.scheduler.add(task).await.unwrap().task_id
    }

    /// The task after a run of it has ended.
    pub(crate) async fn ended(&mut self, id: &TaskId) -> TaskRecord {
        while !self.ended.remove(id) {
            if let Event::Ended { run, .. } = self.hear().await {
                self.ended.insert(run.task);
            }
        }
        self.find(id).await
    }

    pub(crate) async fn hear(&mut self) -> Event {
        timeout(PATIENCE, self.heard.recv()).await.expect("something happens").unwrap()
    }

    pub(crate) async fn find(&self, id: &TaskId) -> TaskRecord {
        self.scheduler.find(id).await.unwrap().expect("the task is kept")
    }

    /// Adds a task and gives it after its first run.
    pub(crate) async fn run(&mut self, task: Task) -> TaskRecord {
        let id = self.add(task).await;
        self.ended(&id).await
    }

    /// Lets the node leave.
    pub(crate) async fn leave(&mut self) -> Drained {
        self.stop.cancel();
        timeout(PATIENCE, self.node.join_next()).await.expect("it leaves").unwrap().unwrap()
    }
}

/// State, attempts that were charged, and the last error.
pub(crate) fn told(task: &TaskRecord) -> (TaskState, u32, &str) {
    let error = task.errors.last().map_or("", |error| error.message.as_str());
    (task.state, task.attempt, error)
}
