//! A store that fails on demand: between a caller and any other store.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use taskshed::domain::id::NodeName;
use taskshed::domain::id::ProcessId;
use taskshed::domain::id::QueueName;
use taskshed::domain::time::Timestamp;
use taskshed::store::*;

/// What happens to calls of one method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request does not arrive.
    Request,
    /// The call has its effect; the reply does not come back.
    Reply,
    /// The program has a fault.
    Panic,
}

/// A store that can be cut off, frozen, or made to lose single requests and replies.
///
/// [`Store::apart`] gives a second connection with the same faults.
#[derive(Clone, Debug)]
pub(crate) struct Faulty {
    inner: Arc<dyn Store>,
    faults: Arc<Faults>,
}

#[derive(Debug)]
struct Faults {
    planned: Mutex<HashMap<&'static str, (Fault, usize)>>,
    next: Mutex<Option<Fault>>,
    calls: Mutex<HashMap<&'static str, usize>>,
    is_cut: watch::Sender<bool>,
    is_frozen: watch::Sender<bool>,
    hanging: watch::Sender<HashSet<&'static str>>,
    is_mute: AtomicBool,
    is_parted: AtomicBool,
}

impl Faulty {
    /// A store without faults so far.
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        let faults = Faults {
            planned: Mutex::default(),
            next: Mutex::default(),
            calls: Mutex::default(),
            is_cut: watch::Sender::new(false),
            is_frozen: watch::Sender::new(false),
            hanging: watch::Sender::default(),
            is_mute: AtomicBool::new(false),
            is_parted: AtomicBool::new(false),
        };
        Self { inner, faults: Arc::new(faults) }
    }

    /// The next `count` calls of `method` have this fault.
    pub(crate) fn plan(&self, method: &'static str, fault: Fault, count: usize) {
        locked(&self.faults.planned).insert(method, (fault, count));
    }

    /// The next calls of `method` have no fault.
    pub(crate) fn heal(&self, method: &'static str) {
        locked(&self.faults.planned).remove(method);
    }

    /// From now on every call fails at once, or does not any more.
    pub(crate) fn cut(&self, is_cut: bool) {
        self.faults.is_cut.send_replace(is_cut);
    }

    /// From now on every call hangs, or goes on.
    pub(crate) fn freeze(&self, is_frozen: bool) {
        self.faults.is_frozen.send_replace(is_frozen);
    }

    /// From now on every call of `method` hangs, or goes on.
    pub(crate) fn hang(&self, method: &'static str, hangs: bool) {
        self.faults.hanging.send_modify(|hanging| {
            if hangs {
                hanging.insert(method);
            } else {
                hanging.remove(method);
            }
        });
    }

    /// From now on the store gives no hints.
    pub(crate) fn mute(&self) {
        self.faults.is_mute.store(true, Relaxed);
    }

    /// From now on the part of the store that keeps the leases does not answer, or does again.
    pub(crate) fn part(&self, is_parted: bool) {
        self.faults.is_parted.store(is_parted, Relaxed);
    }

    /// The next call of any method has this fault.
    pub(crate) fn plan_next(&self, fault: Fault) {
        *locked(&self.faults.next) = Some(fault);
    }

    /// How often the store was called.
    pub(crate) fn all_calls(&self) -> usize {
        locked(&self.faults.calls).values().sum()
    }

    /// How often `method` was called.
    pub(crate) fn calls(&self, method: &'static str) -> usize {
        locked(&self.faults.calls).get(method).copied().unwrap_or(0)
    }

    async fn through<T>(
        &self,
        method: &'static str,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        *locked(&self.faults.calls).entry(method).or_default() += 1;
        let mut frozen = self.faults.is_frozen.subscribe();
        drop(frozen.wait_for(|is_frozen| !is_frozen).await);
        let mut hanging = self.faults.hanging.subscribe();
        drop(hanging.wait_for(|hanging| !hanging.contains(method)).await);
        if *self.faults.is_cut.borrow() {
            return Err(lost(method, "cut off"));
        }
        match self.next_fault(method) {
            None => call.await,
            Some(Fault::Request) => Err(lost(method, "request lost")),
            Some(Fault::Panic) => panic!("a fault of ours"),
            Some(Fault::Reply) => {
                call.await?;
                Err(lost(method, "reply lost"))
            }
        }
    }

    fn next_fault(&self, method: &'static str) -> Option<Fault> {
        if let Some(fault) = locked(&self.faults.next).take() {
            return Some(fault);
        }
        let mut planned = locked(&self.faults.planned);
        let (fault, left) = planned.get_mut(method)?;
        let fault = *fault;
        *left -= 1;
        if *left == 0 {
            planned.remove(method);
        }
        Some(fault)
    }
}

fn lost(method: &'static str, what: &'static str) -> Error {
    Error::Unavailable { method, source: what.into() }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Tasks for Faulty {
    async fn add(&self, add: &Add) -> Result<Added> {
        self.through("add", self.inner.add(add)).await
    }

    async fn fetch(&self, fetch: &Fetch) -> Result<Vec<Option<TaskRecord>>> {
        self.through("fetch", self.inner.fetch(fetch)).await
    }

    async fn list(&self, list: &List) -> Result<Page> {
        self.through("list", self.inner.list(list)).await
    }

    async fn change(&self, change: &Change) -> Result<Changed> {
        self.through("change", self.inner.change(change)).await
    }

    async fn stats(&self) -> Result<Stats> {
        self.through("stats", self.inner.stats()).await
    }

    async fn restore(&self, restore: &Restore) -> Result<Restored> {
        self.through("restore", self.inner.restore(restore)).await
    }

    async fn set_queue(&self, queue: &QueueName, gate: Gate) -> Result<()> {
        self.through("set_queue", self.inner.set_queue(queue, gate)).await
    }
}

#[async_trait]
impl Queue for Faulty {
    async fn claim(&self, claim: &Claim) -> Result<Claimed> {
        self.through("claim", self.inner.claim(claim)).await
    }

    async fn keep(&self, keep: &Keep) -> Result<Kept> {
        if !self.faults.is_parted.load(Relaxed) {
            return self.through("keep", self.inner.keep(keep)).await;
        }
        let beat = Keep { claims: Vec::new(), ..keep.clone() };
        let kept = self.through("keep", self.inner.keep(&beat)).await?;
        Ok(Kept { unanswered: keep.claims.clone(), ..kept })
    }

    async fn drain(&self, node: &NodeName) -> Result<bool> {
        self.through("drain", self.inner.drain(node)).await
    }

    async fn ack(&self, items: &[AckItem]) -> Result<Vec<Acked>> {
        self.through("ack", self.inner.ack(items)).await
    }

    async fn hints(&self, process: &ProcessId) -> Result<Option<Box<dyn Hints>>> {
        if self.faults.is_mute.load(Relaxed) {
            return Ok(None);
        }
        self.through("hints", self.inner.hints(process)).await
    }
}

#[async_trait]
impl Leadership for Faulty {
    async fn campaign(&self, campaign: &Campaign) -> Result<Leading> {
        self.through("campaign", self.inner.campaign(campaign)).await
    }

    async fn resign(&self, resign: &Resign) -> Result<Option<Leader>> {
        self.through("resign", self.inner.resign(resign)).await
    }

    async fn leases(&self, look: &Look) -> Result<Led<Looked>> {
        self.through("leases", self.inner.leases(look)).await
    }

    async fn reclaim(&self, reclaim: &Reclaim) -> Result<Led<u64>> {
        self.through("reclaim", self.inner.reclaim(reclaim)).await
    }

    async fn maintain(&self, maintain: &Maintain) -> Result<Led<Maintained>> {
        self.through("maintain", self.inner.maintain(maintain)).await
    }

    async fn declare(&self, declare: &Declare) -> Result<Led<()>> {
        self.through("declare", self.inner.declare(declare)).await
    }

    async fn cluster(&self) -> Result<Cluster> {
        self.through("cluster", self.inner.cluster()).await
    }
}

#[async_trait]
impl Store for Faulty {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn part(&self, name: &str) -> usize {
        self.inner.part(name)
    }

    fn apart(&self) -> Arc<dyn Store> {
        Arc::new(Self { inner: self.inner.apart(), faults: Arc::clone(&self.faults) })
    }

    async fn migrate(&self) -> Result<Migrated> {
        self.through("migrate", self.inner.migrate()).await
    }

    async fn prepare(&self) -> Result<()> {
        self.through("prepare", self.inner.prepare()).await
    }

    async fn now(&self) -> Result<Timestamp> {
        self.through("now", self.inner.now()).await
    }

    async fn check(&self, lease: Duration) -> Result<Vec<Finding>> {
        self.through("check", self.inner.check(lease)).await
    }
}

#[tokio::test]
async fn a_store_has_the_faults_that_were_asked_for() {
    let clock = Arc::new(taskshed::clock::SystemClock);
    let store = Faulty::new(Arc::new(memory::MemoryStore::new(clock, Options::default())));

    store.plan("now", Fault::Request, 1);
    store.plan("stats", Fault::Reply, 2);
    assert!(store.now().await.is_err() && store.now().await.is_ok());
    assert!(store.stats().await.is_err());
    store.heal("stats");
    assert!(store.stats().await.is_ok());
    store.cut(true);
    assert!(store.now().await.is_err());
    store.cut(false);

    store.hang("now", true);
    assert!(futures_util::FutureExt::now_or_never(store.now()).is_none());
    assert!(store.stats().await.is_ok());
    store.hang("now", false);
    store.freeze(true);
    assert!(futures_util::FutureExt::now_or_never(store.now()).is_none());
    store.freeze(false);
    assert!(store.now().await.is_ok());
    assert_eq!(store.calls("stats"), 3);
}
