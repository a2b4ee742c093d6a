//! A namespace in three partitions, and short ways to use it.

use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;

use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::domain::draft::Task;
use taskshed::domain::state::Outcome;
use taskshed::domain::time::Timestamp;
use taskshed::store::AckItem;
use taskshed::store::Acked;
use taskshed::store::AddOutcome;
use taskshed::store::Claim;
use taskshed::store::Claimed;
use taskshed::store::Error;
use taskshed::store::Fetch;
use taskshed::store::Options;
use taskshed::store::Queue;
use taskshed::store::QueueStats;
use taskshed::store::Result;
use taskshed::store::Store;
use taskshed::store::TaskRecord;
use taskshed::store::Tasks;
use taskshed::store::redis::ClusterStore;

use crate::redis_cluster::RedisCluster;
use crate::requests;
use crate::requests::completed;
use crate::requests::unique;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Partitions of each namespace.
pub(crate) const PARTITIONS: usize = 3;

/// The cluster that most tests share.
pub(crate) static SERVERS: LazyLock<RedisCluster> = LazyLock::new(|| RedisCluster::start(0, &[]));

/// The moment at which drafts are planned and verdicts decided: what is due then is due now.
pub(crate) fn start() -> Timestamp {
    Timestamp::EPOCH
}

pub(crate) struct Shed {
    pub(crate) store: Arc<ClusterStore>,
    pub(crate) options: Options,
    pub(crate) url: String,
}

impl Shed {
    /// In the cluster that most tests share, in a namespace of its own.
    pub(crate) async fn new() -> Self {
        Self::at(&SERVERS.url(PARTITIONS)).await
    }

    pub(crate) async fn at(url: &str) -> Self {
        let namespace = unique("n").parse().unwrap();
        Self::with(url, Options { namespace, ..Options::default() }).await
    }

    /// In a cluster of its own, with a partition on each primary.
    pub(crate) async fn spread(url: &str) -> Self {
        let namespace = "n0".parse().unwrap();
        Self::with(url, Options { namespace, ..Options::default() }).await
    }

    pub(crate) async fn with(url: &str, options: Options) -> Self {
        let store = Arc::new(ClusterStore::open(url, options.clone()).unwrap());
        store.prepare().await.unwrap();
        Self { store, options, url: url.to_owned() }
    }

    /// The same namespace as another process has it.
    pub(crate) fn elsewhere(&self) -> ClusterStore {
        ClusterStore::open(&self.url, self.options.clone()).unwrap()
    }

    pub(crate) fn key(&self, partition: usize, name: &str) -> String {
        format!("{{ts:{}:{partition}}}:{name}", self.options.namespace)
    }

    /// An id of a partition.
    pub(crate) fn id_in(&self, partition: usize) -> String {
        loop {
            let id = unique("t");
            if self.store.part(&id) == partition {
                return id;
            }
        }
    }

    pub(crate) async fn add(&self, tasks: Vec<Task>) -> Vec<AddOutcome> {
        self.try_add(tasks).await.unwrap()
    }

    pub(crate) async fn try_add(&self, tasks: Vec<Task>) -> Result<Vec<AddOutcome>> {
        self.store.add(&requests::add(tasks)).await.map(|added| added.outcomes)
    }

    /// Claims until nothing is left; the tasks of each claim.
    pub(crate) async fn drain(&self) -> Vec<Vec<TaskRecord>> {
        let mut claims = Vec::new();
        loop {
            let claimed = self.store.claim(&claim(1000)).await.unwrap();
            if claimed.tasks.is_empty() {
                assert!(!claimed.more);
                return claims;
            }
            claims.push(claimed.tasks);
        }
    }

    /// Claims until nothing more comes, while a partition is away.
    pub(crate) async fn drain_others(&self) -> Vec<TaskRecord> {
        let (mut taken, mut empty) = (Vec::new(), 0);
        while empty < 5 {
            match self.store.claim(&claim(1000)).await {
                Ok(claimed) if !claimed.tasks.is_empty() => taken.extend(claimed.tasks),
                Ok(_) | Err(Error::Unavailable { .. }) => empty += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
        taken
    }

    /// Waits until the queue `default` is so.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&QueueStats) -> bool) {
        for _ in 0..600 {
            let stats = self.store.stats().await.unwrap();
            if let Some(queue) = stats.queues.first()
                && is_so(queue)
            {
                return;
            }
            SystemClock.sleep(SECOND / 20).await;
        }
        panic!("within half a minute: {what}");
    }

    /// Waits until none of these tasks is there.
    pub(crate) async fn until_gone(&self, fetch: &Fetch) {
        for _ in 0..600 {
            match self.store.fetch(fetch).await {
                Ok(found) if found.iter().all(Option::is_none) => return,
                Ok(_) | Err(Error::Unavailable { .. }) => SystemClock.sleep(SECOND / 20).await,
                Err(error) => panic!("{error:?}"),
            }
        }
        panic!("within half a minute: all have ended");
    }

    pub(crate) async fn complete(&self, tasks: &[TaskRecord]) -> Vec<Acked> {
        let items: Vec<_> = tasks.iter().map(completed).collect();
        self.store.ack(&items).await.unwrap()
    }

    pub(crate) async fn claim(&self, claim: &Claim) -> Claimed {
        self.store.claim(claim).await.unwrap()
    }
}

/// A claim of any callback in the queue `default`.
pub(crate) fn claim(limit: usize) -> Claim {
    Claim { callbacks: None, limit, ..requests::claim() }
}

pub(crate) fn released(task: &TaskRecord) -> AckItem {
    requests::ended(task, Outcome::Released, start())
}
