//! A node: claims tasks, runs them, hands their outcomes back.
//!
//! ```text
//!            due            at run_at          verdicts
//!  claimer ───────> runner <───────── ahead       │
//!     │  claim         │ handlers' runtime        v
//!     v                └────────────────────> acker ── ack ──> store
//!   claims <── keep ── keeper (own thread, own connection)
//! ```
//!
//! | part | what it does | where |
//! |---|---|---|
//! | `claimer` | takes due tasks for free slots; `pace` and `hints` say when | caller's runtime |
//! | `ahead` | holds tasks until their `run_at`, precisely | a thread |
//! | `line` | lets so many tasks run at once, in the order in which they came | – |
//! | `runner` | calls handlers, stops them, decides their outcome | handlers' runtime |
//! | `acker` | sends verdicts in batches, until they are answered | caller's runtime |
//! | `keeper` | beats, renews leases, ends trust | a thread with a connection of its own |
//! | [`Candidate`] | stands for leader, and does the cluster's duties | caller's runtime, a connection of its own |
//! | `drain` | leaves in good order | caller's runtime |
//!
//! They share a `core`: settings, the `claims` that are held, the `slots` that are free, the `line`,
//! and the `store_time`.
//!
//! # What is not here
//!
//! No part decides what becomes of a task; [`domain::state`](crate::domain::state) does. No part
//! ends the node because the store is away: each call is repeated until it is answered, from the one
//! that prepares the store before any part starts.

mod acker;
mod ahead;
mod builder;
mod claimer;
mod claims;
mod core;
mod dice;
mod drain;
mod handle;
mod hints;
mod keeper;
mod line;
mod order;
mod outage;
mod outcome;
mod pace;
mod place;
mod run;
mod runner;
mod slots;
mod store_time;
mod traced;

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;
use tracing::info;

use crate::leader::Candidate;
use crate::leader::Declares;
use crate::store;
use crate::store::Store;

use self::acker::Acker;
use self::acker::VERDICTS_WAITING_MAX;
use self::ahead::Ahead;
use self::claimer::Claimer;
use self::core::Core;
use self::hints::HintBox;
use self::keeper::Keeper;
use self::keeper::LEAVE_TIMEOUT;
use self::outage::Outage;
use self::place::Ending;
use self::runner::Runner;

pub use builder::Builder;
pub use drain::Drained;
pub use handle::NodeHandle;
pub use handle::NodeStatus;
pub use handle::OpenTask;
pub use place::Gate;
pub use place::Part;
pub use place::Work;
pub(crate) use runner::run_alone;

/// One process of the cluster, ready to run.
#[derive(Debug)]
pub struct Node {
    core: Arc<Core>,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The system has no thread for it. Raise the limit of its processes.
    #[error("the node has no thread to run on")]
    Thread(#[from] io::Error),

    /// Its store cannot be used as it is, and repeating does not help. Tell the operator.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Node {
    /// A node on `store` with default settings and no handlers.
    pub fn builder(store: Arc<dyn Store>) -> Builder {
        Builder::new(store)
    }

    /// Looks at the node and gives it orders while it runs.
    #[must_use]
    pub fn handle(&self) -> NodeHandle {
        NodeHandle::new(Arc::clone(&self.core))
    }

    /// Runs until `shutdown` ends, [`NodeHandle::drain`] is called, or the store passes the order of an
    /// operator on ([`Scheduler::drain_node`](crate::Scheduler::drain_node)), then drains.
    ///
    /// It never ends because the store is away, also when it starts: it prepares the store first
    /// ([`Store::prepare`]), as often as that takes. From the drain timeout it takes at most 6 s.
    ///
    /// # Errors
    ///
    /// If the store cannot be used, or the system has no threads; later it does not fail any more.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the node as if it had died: nothing is handed back, its leases end
    /// by themselves. A handler that blocks its thread goes on until it returns.
    pub async fn run_until(
        self,
        shutdown: impl Future<Output = ()>,
    ) -> Result<Drained, StartError> {
        let core = self.core;
        let mut ordered = pin!(async {
            tokio::select! {
                biased;
                () = shutdown => core.drain(),
                () = core.draining.cancelled() => {}
            }
        });
        tokio::select! {
            biased;
            () = &mut ordered => {
                info!(node = %core.config.name, "the node leaves before it reached its store");
                core.gone.cancel();
                return Ok(Drained::default());
            }
            prepared = prepare(&core) => prepared?,
        }
        let wired = Wired::start(&core)?;
        ordered.await;
        Ok(wired.drain(&core).await)
    }
}

/// Makes the store ready, and repeats that while it is away.
async fn prepare(core: &Core) -> store::Result<()> {
    let mut outage = Outage::new("prepare");
    loop {
        match core.store.prepare().await {
            Ok(()) => break,
            Err(error) if error.is_transient() => outage.wait(core, &error).await,
            Err(error) => return Err(error),
        }
    }
    outage.over();
    core.prepared.cancel();
    Ok(())
}

/// The moving parts of a node. Dropping it stops them all at once.
struct Wired {
    loops: JoinSet<()>,
    /// Empty if the node does not stand for leader.
    leader: JoinSet<()>,
    runner: Arc<Runner>,
    ahead: Ahead,
    keeper: Ending,
    keeper_stop: CancellationToken,
    _parts_stop: PartsStop,
}

/// Stops what has a thread of its own, also when the node is dropped in the middle.
struct PartsStop {
    _keeper: DropGuard,
    _gone: DropGuard,
    ahead: Ahead,
    alarm: Option<Ending>,
    handlers: Option<Runtime>,
}

impl Drop for PartsStop {
    fn drop(&mut self) {
        drop(self.ahead.close());
        drop(self.alarm.take());
        if let Some(handlers) = self.handlers.take() {
            // A handler that blocks its thread must not hang the end of the node.
            handlers.shutdown_background();
        }
    }
}

impl Wired {
    fn start(core: &Arc<Core>) -> Result<Self, StartError> {
        let (handlers, runtime) = core.place.handlers()?;
        let (verdicts, decided) = mpsc::channel(VERDICTS_WAITING_MAX);
        let runner = Arc::new(Runner::new(Arc::clone(core), runtime, verdicts));
        let ahead = Ahead::new(Arc::clone(core));
        let keeper_stop = CancellationToken::new();
        let mut parts_stop = PartsStop {
            _keeper: keeper_stop.clone().drop_guard(),
            _gone: core.gone.clone().drop_guard(),
            ahead: ahead.clone(),
            alarm: None,
            handlers,
        };
        parts_stop.alarm = Some(ahead.watch(Arc::clone(&runner))?);
        let keeper = Keeper::start(Arc::clone(core), keeper_stop.clone())?;

        let mut loops = JoinSet::new();
        let place = &core.place;
        place.spawn(&mut loops, Acker::new(Arc::clone(core), decided).run());
        if core.runs_tasks() {
            let hints = Arc::new(HintBox::default());
            if core.config.wake == crate::config::Wake::EventDriven {
                place.spawn(&mut loops, hints::listen(Arc::clone(core), Arc::clone(&hints)));
            } else {
                core.deaf.cancel();
            }
            let claimer = Claimer::new(Arc::clone(core), Arc::clone(&runner), ahead.clone());
            let stop = core.draining.clone();
            let claimed_out = core.claimed_out.clone().drop_guard();
            place.spawn(&mut loops, async move {
                claimer.run(hints, stop).await;
                drop(claimed_out);
            });
        } else {
            core.deaf.cancel();
            core.claimed_out.cancel();
        }
        let mut leader = JoinSet::new();
        if core.config.stands_for_leader {
            place.spawn(&mut leader, candidate(core).run(core.draining.clone()));
        }
        Ok(Self { loops, leader, runner, ahead, keeper, keeper_stop, _parts_stop: parts_stop })
    }

    /// Drains, stops the loops, and says goodbye to the cluster.
    async fn drain(mut self, core: &Arc<Core>) -> Drained {
        let drained = drain::drain(core, &self.ahead, &self.runner).await;
        // A node that leaves resigns as soon as it drains, and the others hear of it.
        if !self.leader.is_empty() {
            tokio::select! {
                biased;
                _ = self.leader.join_next() => {}
                () = core.clock.sleep(LEAVE_TIMEOUT) => {}
            }
        }
        self.loops.shutdown().await;
        self.keeper_stop.cancel();
        self.keeper.wait().await;
        drained
    }
}

/// Stands for leader over a connection of its own, where large batches of others do not delay looks.
fn candidate(core: &Core) -> Candidate {
    let store = core.store.apart();
    let tasks = Arc::clone(&store);
    let declares = core
        .declared
        .as_ref()
        .map(|declared| Declares { declared: Arc::clone(declared), store: Arc::clone(&store) });
    Candidate {
        store,
        tasks,
        metrics: core.metrics.clone(),
        declares,
        clock: Arc::clone(&core.clock),
        node: core.config.name.clone(),
        process: core.process.clone(),
        seen: core.seen.clone(),
        events: core.events.clone(),
        rng: core.dice.fork(),
    }
}
