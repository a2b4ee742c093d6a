//! Puts a node together.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::config::InvalidConfig;
use crate::config::NodeConfig;
use crate::config::QueueWeight;
use crate::config::Wake;
use crate::domain::declared::Declared;
use crate::domain::id::Callback;
use crate::domain::id::NodeName;
use crate::domain::id::QueueName;
use crate::events::Events;
use crate::handlers::Context;
use crate::handlers::Handler;
use crate::handlers::Handlers;
use crate::handlers::TaskError;
use crate::handlers::typed;
use crate::leader::Seen;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::store::measured;
use crate::traces::Traces;

use super::Node;
use super::claims::Claims;
use super::core::Core;
use super::dice::Dice;
use super::line::Line;
use super::place::Gate;
use super::place::Place;
use super::slots::Slots;
use super::store_time::StoreTime;

/// A node in the making. Faults of names and settings show at [`Builder::build`].
#[derive(Debug)]
#[must_use = "a node runs nothing until it is built and run"]
pub struct Builder {
    store: Arc<dyn Store>,
    config: Result<NodeConfig, InvalidConfig>,
    handlers: Handlers,
    clock: Arc<dyn Clock>,
    events: Events,
    metrics: Metrics,
    traces: Option<Arc<dyn Traces>>,
    seed: Option<u64>,
    place: Place,
    declared: Option<Arc<Declared>>,
}

impl Builder {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        let config = parsed("name", NodeName::parse("node")).map(NodeConfig::new);
        let clock = Arc::new(SystemClock);
        let (events, metrics) = (Events::default(), Metrics::default());
        let place = Place::Apart;
        let (handlers, traces, seed, declared) = (Handlers::default(), None, None, None);
        Self { store, config, handlers, clock, events, metrics, traces, seed, place, declared }
    }

    /// Takes all settings at once, in place of those set before.
    pub fn config(mut self, config: NodeConfig) -> Self {
        self.config = Ok(config);
        self
    }

    /// The name by which people know the node; `node` unless set.
    pub fn name(self, name: &str) -> Self {
        let name = parsed("name", NodeName::parse(name));
        self.set(|config| {
            config.name = name?;
            Ok(())
        })
    }

    /// Registers an async function of a [`Context`] and the task's arguments under `callback`.
    ///
    /// See [`typed`] for how arguments and results become JSON.
    pub fn handler<F, Fut, Args, Output>(self, callback: &str, function: F) -> Self
    where
        F: Fn(Context, Args) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Output, TaskError>> + Send + 'static,
        Args: DeserializeOwned + Send + 'static,
        Output: Serialize + Send + 'static,
    {
        self.handler_of(callback, Arc::new(typed(function)))
    }

    /// Registers any handler under `callback`.
    pub fn handler_of(mut self, callback: &str, handler: Arc<dyn Handler>) -> Self {
        match parsed("handlers", Callback::parse(callback)) {
            Ok(callback) => self.handlers.insert(callback, handler),
            Err(fault) => self.config = self.config.and(Err(fault)),
        }
        self
    }

    /// Takes all handlers at once, in place of those registered before.
    pub fn handlers(mut self, handlers: Handlers) -> Self {
        self.handlers = handlers;
        self
    }

    /// Most tasks that run at once: 1 to 100,000; 64 unless set.
    pub fn concurrency(self, count: usize) -> Self {
        self.set(|config| {
            config.concurrency = count;
            Ok(())
        })
    }

    /// Queues to serve, with the weight of each against the others: 1 to 1000.
    pub fn queues<'a>(self, queues: impl IntoIterator<Item = (&'a str, u32)>) -> Self {
        let queues: Result<Vec<_>, _> = queues
            .into_iter()
            .map(|(name, weight)| {
                let queue = parsed("queues", QueueName::parse(name))?;
                Ok(QueueWeight { queue, weight })
            })
            .collect();
        self.set(|config| {
            config.queues = queues?;
            Ok(())
        })
    }

    /// Serves an earlier queue always before a later one, weights aside.
    pub fn strict_queues(self) -> Self {
        self.set(|config| {
            config.strict_queues = true;
            Ok(())
        })
    }

    /// Length of a lease: 1 s to 10 min; 10 s unless set.
    pub fn lease(self, lease: Duration) -> Self {
        self.set(|config| {
            config.lease = lease;
            Ok(())
        })
    }

    /// How long running tasks may take to end when the node is to stop; 25 s unless set.
    pub fn drain_timeout(self, timeout: Duration) -> Self {
        self.set(|config| {
            config.drain_timeout = timeout;
            Ok(())
        })
    }

    /// How the node learns that there is work.
    pub fn wake(self, wake: Wake) -> Self {
        self.set(|config| {
            config.wake = wake;
            Ok(())
        })
    }

    /// Lets these schedules hold whenever this node leads, unless newer ones do.
    ///
    /// Without it the node leaves the schedules of others as they are.
    pub fn schedules(mut self, declared: Declared) -> Self {
        self.declared = Some(Arc::new(declared));
        self
    }

    /// Keeps time by `clock` instead of the machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Tells what happens to `events` instead of a bus of its own.
    pub fn events(mut self, events: Events) -> Self {
        self.events = events;
        self
    }

    /// Counts with `metrics` instead of a handle of its own. Two nodes that share one show nothing
    /// sensible where numbers do not add up, such as who leads.
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Tells `traces` of each run, its claim and its ack.
    pub fn traces(mut self, traces: Arc<dyn Traces>) -> Self {
        self.traces = Some(traces);
        self
    }

    /// Makes all chance follow from `seed` and the node's name, for tests.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Runs all parts of the node as tasks of the caller's runtime, behind `gate`, for simulations.
    ///
    /// Nothing then keeps a handler that blocks from harming the node; time must be a clock's whose
    /// [`Clock::sleep`] the caller moves on.
    pub fn together(mut self, gate: Arc<dyn Gate>) -> Self {
        self.place = Place::Together(gate);
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    ///
    /// The first setting or name that cannot be used.
    pub fn build(self) -> Result<Node, InvalidConfig> {
        let config = self.config?;
        config.check()?;
        let clock = self.clock;
        let dice = Dice::new(self.seed, &config.name);
        let metrics = self.metrics;
        metrics.sized(config.concurrency);
        let callbacks = self.handlers.callbacks();
        let core = Core {
            store: measured(self.store, metrics.clone(), Arc::clone(&clock)),
            process: dice.process_id(&*clock),
            runs: callbacks.iter().map(|callback| metrics.register(callback)).collect(),
            other_runs: metrics.others(),
            callbacks,
            metrics,
            traces: self.traces,
            handlers: self.handlers,
            declared: self.declared,
            seen: Seen::new(Arc::clone(&clock), self.events.clone()),
            events: self.events,
            store_time: StoreTime::new(Arc::clone(&clock)),
            bell: self.place.bell(&*clock),
            place: self.place,
            dice,
            slots: Slots::new(config.concurrency),
            line: Line::new(config.concurrency),
            claims: Claims::default(),
            beat: Notify::new(),
            heard_us: AtomicU64::new(0),
            skew_us: AtomicI64::new(0),
            prepared: CancellationToken::new(),
            draining: CancellationToken::new(),
            is_draining: AtomicBool::new(false),
            deaf: CancellationToken::new(),
            claimed_out: CancellationToken::new(),
            stopping: CancellationToken::new(),
            gone: CancellationToken::new(),
            config,
            clock,
        };
        Ok(Node { core: Arc::new(core) })
    }

    fn set(mut self, change: impl FnOnce(&mut NodeConfig) -> Result<(), InvalidConfig>) -> Self {
        self.config = self.config.and_then(|mut config| change(&mut config).map(|()| config));
        self
    }
}

fn parsed<T>(
    setting: &'static str,
    name: Result<T, crate::domain::id::InvalidName>,
) -> Result<T, InvalidConfig> {
    name.map_err(|error| InvalidConfig { setting, message: error.to_string() })
}
