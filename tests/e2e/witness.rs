//! What runs of commands wrote to a file outside the system, and the shed that they ran in.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::time::Duration;

use taskshed::Scheduler;
use taskshed::Task;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::domain::state::TaskState;
use taskshed::store;
use taskshed::store::Existing;
use taskshed::store::Options;
use taskshed::store::TaskRecord;

use crate::mariadb_server::MariadbServer;
use crate::program::NodeProcess;
use crate::program::Place;
use crate::program::pause;
use crate::redis_cluster::RedisCluster;
use crate::redis_server::RedisServer;

/// A store of its own, a directory with handlers that are shell scripts, and a scheduler.
pub(crate) struct Shed<S = RedisServer> {
    pub(crate) place: Place,
    pub(crate) scheduler: Scheduler,
    pub(crate) server: S,
}

/// What keeps a store, as long as it lives.
pub(crate) trait Server {
    /// Where the store is; one that is a file lies in `place`.
    fn url(&self, place: &Place) -> String;
}

impl Server for RedisServer {
    fn url(&self, _place: &Place) -> String {
        RedisServer::url(self)
    }
}

impl Server for RedisCluster {
    fn url(&self, _place: &Place) -> String {
        RedisCluster::url(self, 8)
    }
}

impl Server for MariadbServer {
    fn url(&self, _place: &Place) -> String {
        MariadbServer::url(self)
    }
}

/// One run: how it started, and whether it came to its end.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) task: String,
    pub(crate) planned_at: String,
    pub(crate) node: String,
    pub(crate) has_ended: bool,
}

/// A file in the directory of the test.
pub(crate) struct File;

impl Server for File {
    fn url(&self, place: &Place) -> String {
        format!("sqlite:{}", place.path("tasks.db").display())
    }
}

impl Shed {
    /// On a Redis of its own; see [`Shed::on`].
    pub(crate) async fn new(scripts: &[(&str, &str)]) -> Self {
        Self::on(durable_redis(), scripts).await
    }
}

/// A Redis that keeps what it acknowledged when it is killed.
pub(crate) fn durable_redis() -> RedisServer {
    RedisServer::start(&["--appendonly", "yes"])
}

impl<S: Server> Shed<S> {
    /// Each script becomes a handler that notes its start before it and its end after it.
    pub(crate) async fn on(server: S, scripts: &[(&str, &str)]) -> Self {
        let place = Place::new("");
        let url = server.url(&place);
        let mut toml = format!("store = \"{url}\"\n");
        for (name, script) in scripts {
            let facts = "$TASKSHED_FENCE\t$TASKSHED_TASK_ID\t$TASKSHED_RUN_AT\t$TASKSHED_NODE";
            let script = format!(
                "printf 'start\\t%s\\n' \"{facts}\" >> runs\n{script}\n\
                 printf 'end\\t%s\\n' \"{facts}\" >> runs\n"
            );
            let script = serde_json::json!(script);
            writeln!(toml, "[handlers.{name}]\nexec = [\"sh\", \"-ec\", {script}]").unwrap();
        }
        fs::write(place.path("taskshed.toml"), toml).unwrap();
        let store = store::open(&url, Options::default()).unwrap();
        store.migrate().await.unwrap();
        store.prepare().await.unwrap();
        Self { place, scheduler: Scheduler::new(store), server }
    }

    /// Starts a node with a lease of two seconds.
    pub(crate) fn node(&self, name: &str, more: &[&str]) -> NodeProcess {
        self.place.node(&[&["--name", name, "--lease", "2s"], more].concat())
    }

    /// Adds tasks in batches.
    pub(crate) async fn add(&self, tasks: impl IntoIterator<Item = Task>) {
        let mut tasks = tasks.into_iter().peekable();
        while tasks.peek().is_some() {
            let batch: Vec<_> = tasks.by_ref().take(500).collect();
            self.scheduler.add_all(batch, Existing::Keep).await.unwrap();
        }
    }

    /// Waits until a task has completed, and answers it.
    pub(crate) async fn completed(&self, id: &str) -> TaskRecord {
        let patience = SystemClock.steady() + Duration::from_secs(60);
        loop {
            let found = self.scheduler.fetch(&[id.parse().unwrap()]).await.unwrap().remove(0);
            match found {
                Some(task) if task.state == TaskState::Completed => return task,
                found => assert!(SystemClock.steady() < patience, "{found:?}"),
            }
            pause(Duration::from_millis(50));
        }
    }

    /// All runs so far, in the order of their starts.
    pub(crate) fn runs(&self) -> Vec<Run> {
        let text = fs::read_to_string(self.place.path("runs")).unwrap_or_default();
        let mut runs: Vec<Run> = Vec::new();
        let mut by_fence = HashMap::new();
        for line in text.lines() {
            let mut parts = line.split('\t');
            let mut part = || parts.next().unwrap_or_default().to_owned();
            let (what, fence, task, planned_at, node) = (part(), part(), part(), part(), part());
            let key = (task.clone(), fence);
            if what == "start" {
                by_fence.insert(key, runs.len());
                runs.push(Run { task, planned_at, node, has_ended: false });
            } else {
                runs[by_fence[&key]].has_ended = true;
            }
        }
        runs
    }
}
