//! Where the parts of a node run.
//!
//! In production apart from each other: handlers on a runtime of their own, keeper and alarm on
//! threads of their own, so that nothing that blocks harms anything else. In a simulation together,
//! as tasks of one runtime on one thread, where a [`Gate`] decides which of them may go on.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Alarm;
use crate::clock::Clock;

/// Work of a node on its way to a runtime.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A part of a node, by what it shares a thread with in production.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The caller's runtime: what claims, acks, leads and drains.
    Caller,
    /// The thread that starts tasks at their `run_at`.
    Alarm,
    /// The handlers' runtime.
    Handlers,
    /// The thread that renews leases.
    Keeper,
}

/// Decides when the parts of a node that run together go on: it can freeze and kill them.
pub trait Gate: Send + Sync + Debug + 'static {
    /// Puts work of `part` behind the gate. What is answered is spawned in its place.
    fn admit(&self, part: Part, work: Work) -> Work;
}

/// Where the parts of one node run.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// On runtimes and threads of their own.
    Apart,
    /// On the caller's runtime, behind a gate.
    Together(Arc<dyn Gate>),
}

/// The end of a part that may have a thread of its own.
pub(super) enum Ending {
    Thread(thread::JoinHandle<()>),
    Task(JoinSet<()>),
}

impl Place {
    /// A runtime for handlers, if they have one of their own, and the way to it.
    pub(super) fn handlers(&self) -> io::Result<(Option<Runtime>, Handle)> {
        if let Self::Together(_) = self {
            return Ok((None, Handle::current()));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("taskshed-run")
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        Ok((Some(runtime), handle))
    }

    /// Runs a loop of the caller's runtime until it ends or `loops` is dropped.
    pub(super) fn spawn(
        &self,
        loops: &mut JoinSet<()>,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        match self {
            Self::Apart => loops.spawn(work),
            Self::Together(gate) => loops.spawn(gate.admit(Part::Caller, Box::pin(work))),
        };
    }

    /// The bell for this place.
    pub(super) fn bell(&self, clock: &dyn Clock) -> Bell {
        match self {
            Self::Apart => Bell::Thread(clock.alarm()),
            Self::Together(_) => Bell::Task(Notify::new()),
        }
    }
}

impl Ending {
    /// Runs a part as a task behind a gate, until it ends or the node has `gone`.
    pub(super) fn task(
        gate: &dyn Gate,
        part: Part,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let mut task = JoinSet::new();
        task.spawn(gate.admit(part, Box::pin(work)));
        Self::Task(task)
    }

    /// Returns when the part has ended, also if it panicked.
    pub(super) async fn wait(self) {
        match self {
            Self::Thread(thread) => {
                let _a_part_that_panicked_has_ended_too =
                    tokio::task::spawn_blocking(move || thread.join()).await;
            }
            Self::Task(mut task) => drop(task.join_next().await),
        }
    }
}

/// Work that ends when the node has gone, as that of a runtime does which is shut down.
pub(super) fn until_gone(
    gone: &CancellationToken,
    work: impl Future<Output = ()> + Send + 'static,
) -> Work {
    let gone = gone.clone();
    Box::pin(async move {
        let _none_if_it_has_gone = gone.run_until_cancelled(work).await;
    })
}

/// Wakes who waits for a `run_at`: a thread, or a task.
#[derive(Debug)]
pub(super) enum Bell {
    Thread(Arc<dyn Alarm>),
    Task(Notify),
}

impl Bell {
    /// Ends the present wait, or the next one if nobody waits.
    pub(super) fn ring(&self) {
        match self {
            Self::Thread(alarm) => alarm.ring(),
            Self::Task(rung) => rung.notify_one(),
        }
    }

    /// Returns when it is rung, or when `clock` shows the steady count `until`.
    pub(super) async fn wait(&self, clock: &dyn Clock, until: Option<Duration>) {
        let Self::Task(rung) = self else { return };
        let left = until.map_or(Duration::MAX, |until| until.saturating_sub(clock.steady()));
        tokio::select! {
            biased;
            () = rung.notified() => {}
            () = clock.sleep(left) => {}
        }
    }
}
