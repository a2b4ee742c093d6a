//! Nodes: one process after another under the same name.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use taskshed::Node;
use taskshed::config::NodeConfig;
use taskshed::config::QueueWeight;
use taskshed::config::Wake;
use taskshed::domain::id::NodeName;
use taskshed::domain::id::ProcessId;
use taskshed::domain::id::QueueName;
use taskshed::handlers::Handler;
use taskshed::node::NodeHandle;
use taskshed::testing::Gate;
use taskshed::testing::Part;
use tokio::sync::Notify;
use tokio::sync::oneshot;

use crate::actor::Actor;
use crate::actor::Outside;
use crate::checker::history::Event;
use crate::clocks::MachineClock;
use crate::gate::ProcessGate;
use crate::link::Link;
use crate::log::Log;
use crate::plan::Plan;
use crate::room::Room;
use crate::witness::Observed;
use crate::witness::Witness;
use crate::world::World;

/// Callbacks; nodes have the first ones, and not all have the last.
pub(crate) const CALLBACKS: [&str; 3] = ["x", "y", "rare"];

/// Queues that all nodes serve.
pub(crate) const QUEUES: [&str; 2] = ["default", "mail"];

/// A machine on which a node runs, dies and is started again.
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) link: Arc<Link>,
    pub(crate) clock: Arc<MachineClock>,
    room: Room,
    outside: Outside,
    world: Arc<World>,
    log: Log,
    seed: u64,
    config: NodeConfig,
    callbacks: &'static [&'static str],
    is_keeper_with_handlers: bool,
    present: Mutex<Option<Arc<Process>>>,
    orders: Mutex<Orders>,
    closed: Notify,
}

/// What a machine has of its own.
pub(crate) struct Place {
    pub(crate) link: Arc<Link>,
    pub(crate) clock: MachineClock,
    pub(crate) room: Room,
    pub(crate) outside: Outside,
}

/// What its owner wants of it.
#[derive(Debug, Default)]
struct Orders {
    /// How long it stays down after its next end.
    down_for: Duration,
    /// Not to be started again.
    is_over: bool,
    starts: u64,
}

/// One process of a node.
pub(crate) struct Process {
    /// The node's name and how often it was started.
    pub(crate) name: String,
    pub(crate) gate: ProcessGate,
    pub(crate) clock: Arc<MachineClock>,
    pub(crate) witness: Witness,
    pub(crate) outside: Outside,
    log: Log,
    handle: Mutex<Option<NodeHandle>>,
    frozen_at: Mutex<Option<u64>>,
}

impl Machine {
    pub(crate) fn new(
        plan: &Plan,
        number: usize,
        place: Place,
        log: &Log,
        world: &Arc<World>,
    ) -> Arc<Self> {
        let name = format!("n{number}");
        let has_all = number == 0 || plan.is_alike;
        Arc::new(Self {
            config: plan.config(&name),
            link: place.link,
            clock: Arc::new(place.clock),
            room: place.room,
            outside: place.outside,
            world: Arc::clone(world),
            log: log.clone(),
            seed: plan.seed,
            callbacks: if has_all { &CALLBACKS } else { &CALLBACKS[..2] },
            is_keeper_with_handlers: plan.is_keeper_with_handlers(),
            present: Mutex::default(),
            orders: Mutex::default(),
            closed: Notify::new(),
            name,
        })
    }

    /// The process that runs now.
    pub(crate) fn present(&self) -> Option<Arc<Process>> {
        locked(&self.present).clone()
    }

    /// How long it stays down when it ends next.
    pub(crate) fn stay_down(&self, length: Duration) {
        locked(&self.orders).down_for = length;
    }

    /// Lets its process leave in good order and not come back.
    pub(crate) fn close(&self) {
        locked(&self.orders).is_over = true;
        self.closed.notify_one();
        self.drain();
    }

    /// Asks its process to leave in good order.
    pub(crate) fn drain(&self) {
        if let Some(process) = self.present() {
            self.room.leave(&process.name);
            process.drain();
        }
    }

    /// Runs one process after another. Returns after [`Machine::close`].
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            self.live().await;
            let (down_for, _) = self.ordered();
            tokio::select! {
                biased;
                () = self.closed.notified() => {}
                () = self.world.sleep(down_for) => {}
            }
            if self.ordered().1 {
                return;
            }
        }
    }

    /// One process from its start to its end.
    async fn live(self: &Arc<Self>) {
        let starts = self.count_start();
        let name = format!("{}.{starts}", self.name);
        let gate = ProcessGate::new(self.is_keeper_with_handlers);
        let process = Arc::new(Process {
            witness: self.log.witness(&name, Some(&gate)),
            name,
            gate,
            clock: Arc::clone(&self.clock),
            outside: self.outside.clone(),
            log: self.log.clone(),
            handle: Mutex::default(),
            frozen_at: Mutex::default(),
        });
        let node = self.node(&process, starts);
        *locked(&process.handle) = Some(node.handle());
        *locked(&self.present) = Some(Arc::clone(&process));
        process.witness.see(Event::Joined { node: self.name.clone(), version: "sim".into() });

        let (sender, receiver) = oneshot::channel();
        let life = async move {
            let left = node.run_until(std::future::pending()).await;
            let _nobody_asks_after_a_kill = sender.send(left);
        };
        let mut running = tokio::task::JoinSet::new();
        running.spawn(process.gate.admit(Part::Caller, Box::pin(life)));
        self.room.enter(&process.name);
        let left = receiver.await;
        self.room.leave(&process.name);
        if let Ok(left) = left {
            let code = if left.is_ok_and(|drained| drained.is_clean()) { 0 } else { 3 };
            let process = process.name.clone();
            self.log.write(Event::Exited { process, code: Some(code), signal: None });
        }
        // What a process leaves behind ends with it. Its node has handlers that know the process.
        process.gate.kill();
        *locked(&process.handle) = None;
        *locked(&self.present) = None;
    }

    fn ordered(&self) -> (Duration, bool) {
        let orders = locked(&self.orders);
        (orders.down_for, orders.is_over)
    }

    fn count_start(&self) -> u64 {
        let mut orders = locked(&self.orders);
        orders.down_for = Duration::from_millis(500);
        orders.starts += 1;
        orders.starts
    }

    fn node(&self, process: &Arc<Process>, starts: u64) -> Node {
        let store = self.link.store(&self.log, &process.name);
        let store = Observed::new(store, process.witness.clone(), None);
        let mut builder = Node::builder(Arc::new(store))
            .config(self.config.clone())
            .clock(Arc::clone(&self.clock) as Arc<dyn taskshed::clock::Clock>)
            .seed(self.seed.wrapping_mul(1009).wrapping_add(starts))
            .together(Arc::new(process.gate.clone()));
        let actor: Arc<dyn Handler> = Arc::new(Actor { process: Arc::clone(process) });
        for callback in self.callbacks {
            builder = builder.handler_of(callback, Arc::clone(&actor));
        }
        builder.build().expect("the settings of a plan are sound")
    }
}

impl Process {
    /// Ends it as SIGKILL does.
    pub(crate) fn kill(&self) {
        if self.gate.is_dead() {
            return;
        }
        self.thaw();
        let process = self.name.clone();
        self.log.write(Event::Exited { process, code: None, signal: Some(9) });
        self.gate.kill();
    }

    pub(crate) fn freeze(&self) {
        if self.gate.is_dead() {
            return;
        }
        *locked(&self.frozen_at) = Some(self.log.now_us());
        self.gate.freeze(true);
    }

    pub(crate) fn thaw(&self) {
        if let Some(from) = locked(&self.frozen_at).take() {
            let (process, to) = (self.name.clone(), self.log.now_us());
            self.log.write(Event::Paused { process, from, to });
            self.gate.freeze(false);
        }
    }

    /// Asks it to leave in good order.
    fn drain(&self) {
        if let Some(handle) = &*locked(&self.handle) {
            self.log.write(Event::Asked { process: self.name.clone() });
            handle.drain();
        }
    }

    /// Its identity.
    pub(crate) fn id(&self) -> Option<ProcessId> {
        locked(&self.handle).as_ref().map(|handle| handle.process().clone())
    }
}

impl Plan {
    fn config(&self, name: &str) -> NodeConfig {
        let mut config = NodeConfig::new(NodeName::parse(name).expect("a word is a name"));
        let queue = |name: &&str| QueueWeight {
            queue: QueueName::parse(name).expect("a word is a name"),
            weight: 1,
        };
        config.queues = QUEUES.iter().map(queue).collect();
        config.lease = self.lease;
        config.concurrency = self.concurrency;
        config.drain_timeout = self.drain_timeout;
        config.default_timeout = Duration::from_secs(20);
        config.wake = match self.polls_every {
            Some(every) => Wake::Polling(every),
            None => Wake::EventDriven,
        };
        config
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
