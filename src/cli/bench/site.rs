//! Where it is measured: a namespace that nobody else uses, and that is left without tasks.
//!
//! The bench is there as a node of its own, which runs nothing and stands for leader. So two benches
//! see each other, and the nodes that are measured do what nodes of a large cluster do: they follow.

use std::process;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cli::failure::Failure;
use crate::cli::failure::chain;
use crate::cli::output;
use crate::cli::store;
use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::config::NodeConfig;
use crate::config::Settings;
use crate::domain::id::Callback;
use crate::domain::id::Namespace;
use crate::domain::id::NodeName;
use crate::node::Drained;
use crate::node::Node;
use crate::node::NodeHandle;
use crate::node::StartError;
use crate::scheduler;
use crate::scheduler::Scheduler;
use crate::store::Error;
use crate::store::Filter;
use crate::store::List;
use crate::store::Options;
use crate::store::PAGE_MAX;
use crate::store::Store;

/// Callback of all tasks of a bench, by which they are known.
pub(super) const CALLBACK: &str = "taskshed.bench";

/// How often a node that starts is asked whether it is ready.
const READY_AGAIN_AFTER: Duration = Duration::from_millis(5);

/// How long a node may take to hear from its store.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// The place that is measured.
pub(super) struct Site<'a> {
    settings: &'a Settings,
    namespace: Namespace,
    /// What tasks are added through.
    pub(super) store: Arc<dyn Store>,
    /// One for each node that is measured, as other processes would open them.
    pub(super) nodes: Vec<Arc<dyn Store>>,
    pub(super) scheduler: Scheduler,
    /// Cancelled when the bench is told to stop.
    pub(super) stop: CancellationToken,
}

/// The bench itself, as the cluster sees it.
struct Presence {
    handle: NodeHandle,
    leaves: CancellationToken,
    running: JoinSet<Result<Drained, StartError>>,
}

impl<'a> Site<'a> {
    /// Opens the store of the settings, once and for each of `nodes`. It is neither looked at nor
    /// changed, beside what makes it ready.
    pub(super) async fn open(
        settings: &'a Settings,
        namespace: &Namespace,
        nodes: usize,
        stop: CancellationToken,
    ) -> Result<Self, Failure> {
        let options = Options { namespace: namespace.clone(), ..store::options(settings) };
        let store = ready(settings, &options).await?;
        let mut stores = Vec::new();
        for _ in 0..nodes {
            // Each store in memory is another one, so its nodes share it.
            let is_shared = settings.store.reveal().starts_with("memory:");
            stores.push(if is_shared {
                Arc::clone(&store)
            } else {
                ready(settings, &options).await?
            });
        }
        let scheduler = Scheduler::new(Arc::clone(&store));
        let namespace = namespace.clone();
        Ok(Self { settings, namespace, store, nodes: stores, scheduler, stop })
    }

    /// Measures alone: refuses a namespace that is not free, and removes all tasks of the bench when
    /// the work has ended, however it has.
    pub(super) async fn alone<T>(
        &self,
        work: impl AsyncFnOnce(&Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.nobody_works(None).await?;
        self.no_foreign_tasks().await?;
        let presence = Presence::enter(self)?;
        let ended = self.work_beside(&presence, work).await;
        let told = presence.leave().await;
        let result = ended?;
        told.map(|()| result)
    }

    async fn work_beside<T>(
        &self,
        presence: &Presence,
        work: impl AsyncFnOnce(&Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        ready_all(std::slice::from_ref(&presence.handle), &self.stop).await?;
        // Whoever came at the same time sees this node, too, and refuses likewise.
        self.nobody_works(Some(&presence.handle)).await?;
        let left = self.no_foreign_tasks().await?;
        if left > 0 {
            output::note(&format!("removes {left} tasks of a bench that did not end"));
            self.clear().await?;
        }
        let ended = work(self).await;
        let Err(failure) = self.clear().await else { return ended };
        output::note(&format!(
            "tasks may be left in namespace {}; the next bench there removes them",
            self.namespace
        ));
        match ended {
            Err(earlier) if !self.stop.is_cancelled() => Err(earlier),
            _ => Err(failure),
        }
    }

    /// Removes all tasks of benches, and answers how many there were.
    pub(super) async fn clear(&self) -> Result<usize, Failure> {
        let callback = Callback::parse(CALLBACK).map_err(|error| unexpected(&error))?;
        let filter = Filter { callback: Some(callback), ..Filter::default() };
        let changed = self.scheduler.remove(filter).await.map_err(|error| self.explain(&error))?;
        Ok(usize::try_from(changed.affected).unwrap_or(usize::MAX))
    }

    /// Fails if the bench was told to stop. Asked between calls, not in the middle of one, so that
    /// nothing is written behind the removal.
    pub(super) fn go_on(&self) -> Result<(), Failure> {
        if self.stop.is_cancelled() {
            return Err(Failure::Refused("stopped; its tasks are removed".into()));
        }
        Ok(())
    }

    /// The name of the bench, or of the node with this number in it.
    pub(super) fn name(&self, node: Option<usize>) -> Result<NodeName, Failure> {
        let (host, process) = (&self.settings.node.name, process::id());
        let name = match node {
            None => format!("{host}-bench-{process}"),
            Some(number) => format!("{host}-bench-{process}-{number}"),
        };
        NodeName::parse(&name).map_err(|error| Failure::Usage(format!("node.name: {error}")))
    }

    /// What store it is, by its own word.
    pub(super) async fn product(&self) -> Result<String, Failure> {
        let lease = self.settings.node.lease;
        let found = self.store.check(lease).await.map_err(|error| self.explain_store(&error))?;
        let version = found.into_iter().find(|finding| finding.topic == "version");
        Ok(version.map_or_else(|| self.store.name().to_owned(), |finding| finding.found))
    }

    /// What to tell about an error of the scheduler.
    pub(super) fn explain(&self, error: &scheduler::Error) -> Failure {
        match error {
            scheduler::Error::Store(error) => self.explain_store(error),
            _ => Failure::Refused(chain(error)),
        }
    }

    /// What to tell about an error of the store.
    pub(super) fn explain_store(&self, error: &Error) -> Failure {
        store::explain(self.settings, error)
    }

    /// Refuses a namespace in which others are at work.
    async fn nobody_works(&self, own: Option<&NodeHandle>) -> Result<(), Failure> {
        let cluster = self.store.cluster().await.map_err(|error| self.explain_store(&error))?;
        let own = own.map(NodeHandle::process);
        let others = store::at_work(&cluster, |node| Some(&node.process) != own);
        if others.is_empty() {
            return Ok(());
        }
        Err(Failure::Refused(format!(
            "nodes are at work in namespace {}, and would run what is to be measured. Name another \
             one with --namespace, or stop them first; one that was killed counts for 10s{others}",
            self.namespace
        )))
    }

    /// Refuses a namespace in which there are tasks of others, or a queue that was paused. Answers how
    /// many tasks of benches are there.
    async fn no_foreign_tasks(&self) -> Result<usize, Failure> {
        let stats = self.scheduler.stats().await.map_err(|error| self.explain(&error))?;
        if let Some(paused) = stats.queues.iter().find(|queue| queue.paused) {
            let (queue, namespace) = (&paused.queue, &self.namespace);
            let what = format!("queue {queue} is paused in namespace {namespace}");
            return Err(Failure::Refused(format!("{what}. Name another one with --namespace")));
        }
        let mut list = List { filter: Filter::default(), limit: PAGE_MAX, cursor: None };
        let mut own = 0;
        loop {
            let page = self.scheduler.list(&list).await.map_err(|error| self.explain(&error))?;
            let is_foreign = |callback: &Callback| callback.as_str() != CALLBACK;
            let foreign = page.tasks.iter().find(|task| is_foreign(&task.spec.callback));
            if let Some(id) = foreign.map(|task| &task.id).or(page.corrupt.first()) {
                return Err(Failure::Refused(format!(
                    "there are tasks in namespace {} that no bench has added, such as {}. Name an empty \
                     one with --namespace",
                    self.namespace,
                    output::plain(id.as_str())
                )));
            }
            own += page.tasks.len();
            match page.next {
                Some(cursor) => list.cursor = Some(cursor),
                None => return Ok(own),
            }
        }
    }
}

/// The store of the settings, checked and ready.
async fn ready(settings: &Settings, options: &Options) -> Result<Arc<dyn Store>, Failure> {
    let explain = |error| store::explain(settings, &error);
    let store = crate::store::open(settings.store.reveal(), options.clone()).map_err(explain)?;
    store.prepare().await.map_err(explain)?;
    Ok(store)
}

/// Returns when all these nodes have heard from their store.
pub(super) async fn ready_all(
    nodes: &[NodeHandle],
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let patience = SystemClock.steady() + READY_WITHIN;
    while !nodes.iter().all(NodeHandle::is_ready) && !stop.is_cancelled() {
        if SystemClock.steady() > patience {
            return Err(Failure::Unreachable("a node hears nothing from the store".into()));
        }
        SystemClock.sleep(READY_AGAIN_AFTER).await;
    }
    Ok(())
}

/// What cannot be, told all the same.
pub(super) fn unexpected(error: &dyn std::error::Error) -> Failure {
    Failure::Refused(chain(error))
}

impl Presence {
    fn enter(site: &Site<'_>) -> Result<Self, Failure> {
        let config = NodeConfig { runs_tasks: false, ..NodeConfig::new(site.name(None)?) };
        let node = Node::builder(site.store.apart()).config(config);
        let node = node.build().map_err(|error| Failure::Usage(error.to_string()))?;
        let (handle, leaves) = (node.handle(), CancellationToken::new());
        let mut running = JoinSet::new();
        running.spawn(node.run_until(leaves.clone().cancelled_owned()));
        Ok(Self { handle, leaves, running })
    }

    async fn leave(mut self) -> Result<(), Failure> {
        self.leaves.cancel();
        while let Some(left) = self.running.join_next().await {
            let left = left.map_err(|error| unexpected(&error))?;
            let _it_ran_no_tasks: Drained = left.map_err(|error| unexpected(&error))?;
        }
        Ok(())
    }
}
