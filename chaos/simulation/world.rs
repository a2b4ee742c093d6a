//! Time that jumps to the next thing that happens, on one thread, in an order that a seed decides.

use std::collections::BTreeMap;
use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use crate::dice::Dice;

/// No run takes more steps; one that does spins.
const STEPS_MAX: u64 = 3_000_000;

/// Where all parts of a simulation live.
///
/// When nothing can go on, time moves to the earliest timer and that one alone goes off. Of several at
/// the same moment a die decides which is first.
pub(crate) struct World {
    state: Mutex<State>,
    idle: Idle,
}

/// Tells who moves time that nothing can go on.
#[derive(Default)]
struct Idle {
    is_noted: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

struct State {
    now_ns: u64,
    dice: Dice,
    count: u64,
    timers: BTreeMap<Key, Act>,
}

/// When it goes off, a die, and the order of making.
type Key = (u64, u64, u64);

enum Act {
    Wake(Waker),
    Do(Box<dyn FnOnce() + Send>),
}

impl World {
    /// Runs a scenario to its end.
    pub(crate) fn run<F: Future>(dice: Dice, scenario: impl FnOnce(Arc<Self>) -> F) -> F::Output {
        let state = State { now_ns: 0, dice, count: 0, timers: BTreeMap::new() };
        let world = Arc::new(Self { state: Mutex::new(state), idle: Idle::default() });
        let parked = Arc::clone(&world);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .on_thread_park(move || parked.idle.note())
            .build()
            .expect("a runtime without drivers can be made");
        let output = runtime.block_on(async {
            let mut scenario = pin!(scenario(Arc::clone(&world)));
            poll_fn(|context| {
                world.idle.watch(context.waker());
                let output = scenario.as_mut().poll(context);
                if output.is_pending() && world.idle.take() {
                    world.step();
                }
                output
            })
            .await
        });
        // What waits holds the world, and the world holds what waits.
        drop(runtime);
        world.idle.forget();
        let timers = std::mem::take(&mut world.lock().timers);
        drop(timers);
        output
    }

    /// The time since the start.
    pub(crate) fn now(&self) -> Duration {
        Duration::from_nanos(self.lock().now_ns)
    }

    pub(crate) fn now_us(&self) -> u64 {
        self.lock().now_ns / 1000
    }

    /// Lets something happen after `delay`.
    pub(crate) fn after(&self, delay: Duration, act: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        let key = state.key(delay);
        state.timers.insert(key, Act::Do(Box::new(act)));
    }

    /// Returns after `length`.
    pub(crate) fn sleep(self: &Arc<Self>, length: Duration) -> Sleep {
        let key = self.lock().key(length);
        Sleep { world: Arc::clone(self), key, is_set: false }
    }

    /// Moves time on to the next timer.
    fn step(&self) {
        let mut state = self.lock();
        let next = state.timers.pop_first();
        let ((at, _, _), act) = next.expect("something happens in a cluster that beats");
        assert!(state.count < STEPS_MAX, "the cluster spins at {} ms", at / 1_000_000);
        state.now_ns = at;
        drop(state);
        match act {
            Act::Wake(waker) => waker.wake(),
            Act::Do(act) => act(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    fn note(&self) {
        self.is_noted.store(true, Relaxed);
        if let Some(waker) = &*self.waker.lock().unwrap_or_else(PoisonError::into_inner) {
            waker.wake_by_ref();
        }
    }

    fn forget(&self) {
        drop(self.waker.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn take(&self) -> bool {
        self.is_noted.swap(false, Relaxed)
    }

    fn watch(&self, waker: &Waker) {
        let mut watching = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if watching.is_none() {
            *watching = Some(waker.clone());
        }
    }
}

impl State {
    fn key(&mut self, delay: Duration) -> Key {
        let delay_ns = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        self.count += 1;
        (self.now_ns.saturating_add(delay_ns), self.dice.roll(), self.count)
    }
}

/// Ends when its moment has come. Dropping it takes the timer back.
pub(crate) struct Sleep {
    world: Arc<World>,
    key: Key,
    is_set: bool,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let world = Arc::clone(&self.world);
        let mut state = world.lock();
        if state.now_ns >= self.key.0 {
            self.is_set = false;
            state.timers.remove(&self.key);
            return Poll::Ready(());
        }
        if !self.is_set {
            self.is_set = true;
            state.timers.insert(self.key, Act::Wake(context.waker().clone()));
        } else if let Some(Act::Wake(waker)) = state.timers.get_mut(&self.key) {
            waker.clone_from(context.waker());
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if self.is_set {
            self.world.lock().timers.remove(&self.key);
        }
    }
}
