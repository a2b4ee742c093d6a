//! A cluster of real processes, and a hand on each of them.

mod place;
mod proxy;
mod slot;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use rustix::process::Signal;
use taskshed::Scheduler;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::store;
use taskshed::store::Options;
use taskshed::store::Store;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::task::block_in_place;

use crate::Failure;
use crate::checker::history::Event;
use crate::checker::history::Phase;
use crate::checker::history::Setting;
use crate::dice::Dice;
use crate::witness::Client;
use crate::witness::Ledger;
use crate::witness::Witness;

pub(crate) use place::Kind;
pub(crate) use place::Needs;
pub(crate) use place::Place;
pub(crate) use place::clock;
pub(crate) use proxy::Proxy;
pub(crate) use proxy::Weather;
use slot::Slot;

/// Nodes of a fleet.
pub(crate) const NODES: usize = 3;

/// How often it is seen whether a process has ended.
const REAP_EVERY: Duration = Duration::from_millis(10);

/// What a fleet is made of.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    /// A store of somebody else; else one is started.
    pub(crate) url: Option<String>,
    /// Keeps its tasks apart from those of others.
    pub(crate) namespace: String,
    pub(crate) needs: Needs,
    pub(crate) scenario: String,
    pub(crate) seed: u64,
    pub(crate) lease: Duration,
    pub(crate) history: PathBuf,
}

/// A cluster of real processes on a store of its own.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) plan: Plan,
    pub(crate) place: Place,
    pub(crate) witness: Witness,
    /// A way to the store that no fault is on.
    pub(crate) store: Arc<dyn Store>,
    /// The way of clients.
    way: Option<Proxy>,
    client_url: String,
    slots: Arc<Mutex<Vec<Slot>>>,
    faults: u64,
    dir: TempDir,
    _reaping: JoinSet<()>,
}

impl Fleet {
    /// Starts the store and all nodes.
    pub(crate) async fn start(plan: Plan, dice: &mut Dice) -> Result<Self, Failure> {
        let dir = TempDir::new()?;
        let place = match &plan.url {
            Some(url) => Place::Foreign(url.clone()),
            None => block_in_place(|| Place::start(plan.kind, plan.needs, dir.path()))?,
        };
        let book = Arc::new(Ledger::open(&plan.history)?);
        let witness = Witness::new("chaos", Arc::new(SystemClock), book);
        witness.see(Event::Setting(Setting {
            format: 1,
            store: plan.kind.to_string(),
            scenario: plan.scenario.clone(),
            seed: plan.seed,
            lease_us: u64::try_from(plan.lease.as_micros())?,
            term_us: u64::try_from(taskshed::domain::lease::TERM_TTL.as_micros())?,
        }));
        let store = store::open(&place.url(), options(&plan, &place)?)?;
        store.migrate().await?;
        store.prepare().await?;

        let address = place.address();
        let way = way_to(address.as_deref(), dice).await?;
        let behind = |way: &Option<Proxy>| {
            way.as_ref().map_or_else(|| place.url(), |way| place.url_behind(way.port()))
        };
        let client_url = behind(&way);
        let mut slots = Vec::new();
        for name in ["a", "b", "c"].into_iter().take(NODES) {
            let way = way_to(address.as_deref(), dice).await?;
            let url = behind(&way);
            slots.push(Slot::new(name, way, url, &place, &plan));
        }
        for slot in &mut slots {
            slot.start()?;
        }
        let slots = Arc::new(Mutex::new(slots));
        let mut reaping = JoinSet::new();
        reaping.spawn(reap(Arc::clone(&slots), witness.clone()));
        let faults = 0;
        Ok(Self {
            plan,
            place,
            witness,
            store,
            way,
            client_url,
            slots,
            faults,
            dir,
            _reaping: reaping,
        })
    }

    /// A user with connections of his own.
    pub(crate) fn client(&self, name: &str) -> Result<Client, Failure> {
        let store = store::open(&self.client_url, options(&self.plan, &self.place)?)?;
        let book = Arc::new(Ledger::open(&self.plan.history)?);
        let witness = Witness::new(name, Arc::new(SystemClock), book);
        Ok(Client::new(Scheduler::new(store), witness))
    }

    /// Puts down that a fault begins; answers its number.
    pub(crate) fn begin(&mut self, fault: &str, process: Option<&str>) -> u64 {
        self.faults += 1;
        self.tell(self.faults, fault, process, Phase::Begun);
        self.faults
    }

    /// Puts down that a fault is healed.
    pub(crate) fn over(&mut self, number: u64, fault: &str, process: Option<&str>) {
        self.tell(number, fault, process, Phase::Over);
    }

    fn tell(&self, number: u64, fault: &str, process: Option<&str>, phase: Phase) {
        let (fault, process) = (fault.to_owned(), process.map(str::to_owned));
        self.witness.see(Event::Fault { number, fault, process, phase });
    }

    /// A node that runs, by chance.
    pub(crate) fn any(&self, dice: &mut Dice) -> usize {
        let running: Vec<_> = self
            .slots()
            .iter()
            .enumerate()
            .filter(|(_, s)| s.is_running())
            .map(|(at, _)| at)
            .collect();
        if running.is_empty() { 0 } else { dice.pick(&running) }
    }

    /// The node that leads, if the store can tell.
    pub(crate) async fn leader(&self) -> Option<usize> {
        let found = tokio::time::timeout(Duration::from_secs(2), self.store.cluster()).await;
        let leader = found.ok()?.ok()?.leader?;
        self.slots().iter().position(|slot| slot.name == leader.node.as_str() && slot.is_running())
    }

    /// The present process of a node.
    pub(crate) fn process(&self, at: usize) -> String {
        self.slots()[at].process()
    }

    /// Its number for the system, while it runs.
    pub(crate) fn pid(&self, at: usize) -> Option<rustix::process::Pid> {
        self.slots()[at].pid()
    }

    /// Kills a node; it is started again after a while.
    pub(crate) fn kill(&self, at: usize, again_after: Duration) -> Result<(), Failure> {
        self.slots()[at].kill(&self.witness, again_after)
    }

    /// Asks a node to leave; it is started again after that.
    pub(crate) fn ask_to_leave(&self, at: usize, again_after: Duration) -> Result<(), Failure> {
        self.slots()[at].ask_to_leave(&self.witness, again_after)
    }

    /// The next process of a node says that it is another version.
    pub(crate) fn upgrade(&self, at: usize) {
        self.slots()[at].upgrade();
    }

    /// Stops a node, or lets it go on.
    pub(crate) fn signal(&self, at: usize, signal: Signal) {
        self.slots()[at].signal(signal);
    }

    /// Stops a node for a while.
    pub(crate) async fn freeze(&self, at: usize, length: Duration) {
        let (process, from) = (self.process(at), self.witness.now());
        self.signal(at, Signal::STOP);
        SystemClock.sleep(length).await;
        self.signal(at, Signal::CONT);
        let to = self.witness.now();
        self.witness.see(Event::Paused { process, from, to });
    }

    /// Sets the weather on the way of one node, or of all and the clients.
    pub(crate) fn weather(&self, at: Option<usize>, weather: Weather) {
        for (number, slot) in self.slots().iter().enumerate() {
            if at.is_none_or(|at| at == number) {
                slot.weather(weather);
            }
        }
        if let Some(way) = self.way.as_ref().filter(|_| at.is_none()) {
            way.set(weather);
        }
    }

    /// A file of the fleet.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Asks all nodes to leave and waits until they have.
    pub(crate) async fn leave(&self) -> Result<(), Failure> {
        for slot in self.slots().iter_mut() {
            slot.retire(&self.witness)?;
        }
        for _ in 0..2000 {
            if !self.slots().iter().any(Slot::is_running) {
                return Ok(());
            }
            SystemClock.sleep(REAP_EVERY).await;
        }
        Err("nodes do not leave within 20 s".into())
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn options(plan: &Plan, place: &Place) -> Result<Options, Failure> {
    let (durability, namespace) = (place.durability().parse()?, plan.namespace.parse()?);
    Ok(Options { durability, namespace, ..Options::default() })
}

/// A way to a server, if there is one at an address.
async fn way_to(address: Option<&str>, dice: &mut Dice) -> Result<Option<Proxy>, Failure> {
    match address {
        Some(address) => Ok(Some(Proxy::to(address, Dice::of(dice.roll())).await?)),
        None => Ok(None),
    }
}

/// Notices processes that have ended, and starts those that are to run.
async fn reap(slots: Arc<Mutex<Vec<Slot>>>, witness: Witness) {
    loop {
        SystemClock.sleep(REAP_EVERY).await;
        let mut slots = slots.lock().unwrap_or_else(PoisonError::into_inner);
        for slot in slots.iter_mut() {
            if let Err(fault) = slot.look(&witness) {
                eprintln!("{}: {fault}", slot.name);
            }
        }
    }
}
