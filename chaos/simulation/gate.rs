//! What freezes, blocks and kills the parts of a node.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use taskshed::testing::Gate;
use taskshed::testing::Part;
use taskshed::testing::Work;

/// The process of a node, as far as an operating system is concerned with it.
#[derive(Clone, Debug)]
pub(crate) struct ProcessGate {
    state: Arc<Mutex<State>>,
    /// Takes a safeguard away: the keeper runs on the handlers' runtime.
    is_keeper_with_handlers: bool,
}

#[derive(Debug, Default)]
struct State {
    is_dead: bool,
    is_frozen: bool,
    /// Whether no thread of the handlers' runtime goes on.
    is_blocked: bool,
    waiting: BTreeMap<u64, Waker>,
    count: u64,
}

impl ProcessGate {
    pub(crate) fn new(is_keeper_with_handlers: bool) -> Self {
        Self { state: Arc::default(), is_keeper_with_handlers }
    }

    /// Ends the process as SIGKILL does.
    pub(crate) fn kill(&self) {
        self.change(|state| state.is_dead = true);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.lock().is_dead
    }

    /// Stops it as SIGSTOP does, or lets it go on.
    pub(crate) fn freeze(&self, is_frozen: bool) {
        self.change(|state| state.is_frozen = is_frozen);
    }

    /// Lets all threads of the handlers' runtime hang, or go on.
    pub(crate) fn block(&self, is_blocked: bool) {
        self.change(|state| state.is_blocked = is_blocked);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let waiting: Vec<Waker> = state.waiting.values().cloned().collect();
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate for ProcessGate {
    fn admit(&self, part: Part, work: Work) -> Work {
        let is_handlers =
            part == Part::Handlers || (part == Part::Keeper && self.is_keeper_with_handlers);
        let mut state = self.lock();
        state.count += 1;
        let number = state.count;
        drop(state);
        Box::pin(Admitted { gate: self.clone(), is_handlers, number, work: Some(work) })
    }
}

struct Admitted {
    gate: ProcessGate,
    is_handlers: bool,
    number: u64,
    work: Option<Work>,
}

impl Future for Admitted {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let number = self.number;
        let mut state = self.gate.lock();
        let is_held = state.is_frozen || (state.is_blocked && self.is_handlers);
        if !state.is_dead {
            let waker = state.waiting.entry(number).or_insert_with(|| context.waker().clone());
            waker.clone_from(context.waker());
            if is_held {
                return Poll::Pending;
            }
        }
        let is_dead = state.is_dead;
        drop(state);

        let work = self.work.as_mut().filter(|_| !is_dead);
        let is_pending = work.is_some_and(|work| work.as_mut().poll(context).is_pending());
        // A handler may have killed the process.
        if is_pending && !self.gate.is_dead() {
            return Poll::Pending;
        }
        self.gate.lock().waiting.remove(&number);
        self.work = None;
        Poll::Ready(())
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.gate.lock().waiting.remove(&self.number);
    }
}
