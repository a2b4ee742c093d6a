//! The store's server: it can freeze, restart, and fail over to a replica that lags.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use taskshed::domain::id::ProcessId;
use taskshed::domain::id::TaskId;
use taskshed::store::Change;
use taskshed::store::Filter;
use taskshed::store::Hints;
use taskshed::store::List;
use taskshed::store::PAGE_MAX;
use taskshed::store::Queue;
use taskshed::store::Target;
use taskshed::store::Tasks;
use taskshed::store::memory::MemoryStore;
use tokio::sync::Notify;

use crate::call::Call;
use crate::call::Reply;
use crate::call::now;
use crate::flaw::Flaw;

/// Where a reply goes. `None`: the connection broke before it left.
pub(crate) type Answer = Box<dyn FnOnce(Option<Reply>) + Send>;

/// A server. Requests have their effect in the order in which they arrive.
pub(crate) struct Server {
    state: Mutex<State>,
    /// Counts its restarts; each breaks all connections.
    starts: AtomicU64,
    restarted: Notify,
}

struct State {
    store: MemoryStore,
    flaw: Flaw,
    is_down: bool,
    is_frozen: bool,
    /// Arrived while it was frozen.
    queue: Vec<(Call, Answer)>,
    /// What a replica holds that gets nothing more.
    replica: Option<Replica>,
    lost: Lost,
}

struct Replica {
    store: MemoryStore,
    flaw: Flaw,
    /// Answers that wait for it, if they must.
    withheld: Option<Vec<(Reply, Answer)>>,
    /// What was answered although it does not have it.
    missed: Lost,
}

/// What was acknowledged and then lost, where nobody had asked for more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lost {
    /// Tasks that something had been done to.
    pub(crate) tasks: BTreeSet<String>,
    /// Whether a reclaim was among it.
    pub(crate) has_reclaim: bool,
}

impl Server {
    pub(crate) fn new(store: MemoryStore, flaw: Flaw) -> Self {
        let state = State {
            store,
            flaw,
            is_down: false,
            is_frozen: false,
            queue: Vec::new(),
            replica: None,
            lost: Lost::default(),
        };
        Self { state: Mutex::new(state), starts: AtomicU64::new(0), restarted: Notify::new() }
    }

    /// A request arrives. Answers whether there is anybody to take it.
    pub(crate) fn arrive(&self, call: Call, answer: Answer) -> bool {
        let mut state = self.lock();
        if state.is_down {
            return false;
        }
        if state.is_frozen {
            state.queue.push((call, answer));
            return true;
        }
        let done = state.serve(&call, answer);
        drop(state);
        if let Some((reply, answer)) = done {
            answer(Some(reply));
        }
        true
    }

    /// Its store as it is, past all faults.
    pub(crate) fn store(&self) -> MemoryStore {
        self.lock().store.clone()
    }

    /// What it lost of what it had acknowledged.
    pub(crate) fn lost(&self) -> Lost {
        self.lock().lost.clone()
    }

    /// How often it was started.
    pub(crate) fn starts(&self) -> u64 {
        self.starts.load(Relaxed)
    }

    /// Returns when the connections of its `start`th life are broken.
    pub(crate) async fn broken(&self, start: u64) {
        let restarted = self.restarted.notified();
        if self.starts() == start {
            restarted.await;
        }
    }

    pub(crate) fn hints(&self, process: &ProcessId) -> Option<Box<dyn Hints>> {
        let state = self.lock();
        if state.is_down || state.is_frozen { None } else { now(state.store.hints(process)) }
    }

    /// Lets it answer nothing until it thaws.
    pub(crate) fn freeze(&self) {
        self.lock().is_frozen = true;
    }

    pub(crate) fn thaw(&self) {
        let mut state = self.lock();
        state.is_frozen = false;
        let queue = std::mem::take(&mut state.queue);
        drop(state);
        for (call, answer) in queue {
            let _nobody_waits_if_it_is_down = self.arrive(call, answer);
        }
    }

    /// Ends it; all that it had done is kept. Answers on their way are lost.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.is_down = true;
        state.is_frozen = false;
        let mut lost: Vec<Answer> = state.queue.drain(..).map(|(_, answer)| answer).collect();
        if let Some(withheld) = state.replica.as_mut().and_then(|replica| replica.withheld.take()) {
            lost.extend(withheld.into_iter().map(|(_, answer)| answer));
        }
        drop(state);
        self.starts.fetch_add(1, Relaxed);
        self.restarted.notify_waiters();
        for answer in lost {
            answer(None);
        }
    }

    /// Starts it again, with what the replica holds if there is one.
    pub(crate) fn start(&self) {
        let mut state = self.lock();
        state.is_down = false;
        if let Some(replica) = state.replica.take() {
            (state.store, state.flaw) = (replica.store, replica.flaw);
            state.lost.tasks.extend(replica.missed.tasks);
            state.lost.has_reclaim |= replica.missed.has_reclaim;
        }
    }

    /// Lets the replica catch up, so that nothing is lost.
    pub(crate) fn catch_up(&self) {
        let mut state = self.lock();
        let withheld = state.replica.take().and_then(|replica| replica.withheld);
        drop(state);
        for (reply, answer) in withheld.into_iter().flatten() {
            answer(Some(reply));
        }
    }

    /// From now on its replica gets nothing. If answers must wait for the replica, they do.
    pub(crate) fn lag(&self, answers_wait: bool) {
        let mut state = self.lock();
        let withheld = answers_wait.then(Vec::new);
        let (store, flaw) = (state.store.fork(), state.flaw.clone());
        state.replica = Some(Replica { store, flaw, withheld, missed: Lost::default() });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lost {
    /// Notes the tasks of a group that is about to be changed.
    fn note_group(&mut self, store: &MemoryStore, call: &Call) {
        if let Call::Change(Change { target: Target::Group(group), .. }) = call {
            let filter = Filter { group: Some(group.clone()), ..Filter::default() };
            let list = List { filter, limit: PAGE_MAX, cursor: None };
            self.tasks.extend(now(store.list(&list)).tasks.iter().map(|task| task.id.to_string()));
        }
    }

    fn note(&mut self, call: &Call, reply: &Reply) {
        let mut note = |id: &TaskId| {
            self.tasks.insert(id.to_string());
        };
        match (call, reply) {
            (Call::Add(add), _) => add.tasks.iter().for_each(|task| note(&task.id)),
            (Call::Change(Change { target: Target::Ids(ids), .. }), _) => ids.iter().for_each(note),
            (_, Reply::Claimed(claimed)) => claimed.tasks.iter().for_each(|task| note(&task.id)),
            (Call::Ack(items), _) => items.iter().for_each(|item| note(&item.task)),
            (Call::Reclaim(reclaim), _) => {
                reclaim.items.iter().for_each(|item| note(&item.task));
                self.has_reclaim = true;
            }
            _ => {}
        }
    }
}

impl State {
    /// Serves a call, and answers it unless that has to wait.
    fn serve(&mut self, call: &Call, answer: Answer) -> Option<(Reply, Answer)> {
        if let Some(replica) = &mut self.replica {
            replica.missed.note_group(&self.store, call);
        }
        let Some(reply) = self.flaw.serve(&self.store, call) else {
            // It died half-way.
            return None;
        };
        match self.replica.as_mut().filter(|_| call.writes()) {
            Some(Replica { withheld: Some(withheld), .. }) => {
                withheld.push((reply, answer));
                None
            }
            Some(Replica { missed, .. }) => {
                missed.note(call, &reply);
                Some((reply, answer))
            }
            None => Some((reply, answer)),
        }
    }
}
