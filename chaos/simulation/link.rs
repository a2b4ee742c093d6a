//! The store as one process reaches it: over a network that delays and loses.

#![cfg_attr(
    not(test),
    expect(clippy::wildcard_imports, reason = "a store names all of its contract")
)]

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use taskshed::domain::id::NodeName;
use taskshed::domain::id::ProcessId;
use taskshed::domain::id::QueueName;
use taskshed::domain::id::RequestId;
use taskshed::domain::time::Timestamp;
use taskshed::store::*;
use tokio::sync::oneshot;

use crate::call::Call;
use crate::call::Reply;
use crate::checker::history;
use crate::dice::Dice;
use crate::log::Log;
use crate::server::Server;
use crate::told;
use crate::witness::Witness;
use crate::world::World;

/// How a network treats what goes over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weather {
    /// Nothing goes through: calls fail at once, or (half-open) only after their timeout.
    pub(crate) cut: Option<Cut>,
    /// Requests that are lost, in a hundred.
    pub(crate) requests_lost: usize,
    /// Replies that are lost, in a hundred.
    pub(crate) replies_lost: usize,
    /// Longest time on the way, one way.
    pub(crate) slow: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    Refused,
    HalfOpen,
}

impl Weather {
    pub(crate) const FAIR: Self =
        Self { cut: None, requests_lost: 0, replies_lost: 0, slow: Duration::from_micros(900) };
}

/// What all that one machine sends goes through.
pub(crate) struct Link {
    world: Arc<World>,
    server: Arc<Server>,
    state: Mutex<State>,
    /// After this long a call is given up.
    patience: Duration,
}

struct State {
    weather: Weather,
    dice: Dice,
}

impl Link {
    pub(crate) fn new(
        world: &Arc<World>,
        server: &Arc<Server>,
        patience: Duration,
        dice: Dice,
    ) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(world),
            server: Arc::clone(server),
            state: Mutex::new(State { weather: Weather::FAIR, dice }),
            patience,
        })
    }

    pub(crate) fn set(&self, weather: Weather) {
        self.lock().weather = weather;
    }

    /// The store as a process reaches it over this link. What clients call is written down.
    pub(crate) fn store(self: &Arc<Self>, log: &Log, by: &str) -> Arc<dyn Store> {
        Arc::new(Remote {
            link: Arc::clone(self),
            by: by.into(),
            witness: log.witness(by, None),
            log: log.clone(),
            last: Arc::default(),
        })
    }

    /// Sends a call and waits for its reply.
    async fn ask(self: &Arc<Self>, call: Call) -> Result<Reply> {
        let method = call.method();
        let (sender, receiver) = oneshot::channel();
        self.send(call, sender);
        tokio::select! {
            biased;
            reply = receiver => {
                reply.unwrap_or(None).ok_or_else(|| lost(method, "connection lost"))
            }
            () = self.world.sleep(self.patience) => Err(lost(method, "timed out")),
        }
    }

    fn send(self: &Arc<Self>, call: Call, reply: oneshot::Sender<Option<Reply>>) {
        let mut state = self.lock();
        let weather = state.weather;
        let there = state.on_the_way();
        let is_lost = weather.cut.is_some() || state.dice.chance(weather.requests_lost);
        let fails_at_once =
            weather.cut == Some(Cut::Refused) || (weather.cut.is_none() && state.dice.chance(50));
        drop(state);
        if is_lost {
            self.lose(reply, fails_at_once);
            return;
        }

        let link = Arc::clone(self);
        let starts = self.server.starts();
        self.world.after(there, move || {
            let back = Arc::clone(&link);
            let is_connected = link.server.starts() == starts;
            let _else_whoever_waits_sees_a_broken_connection = is_connected
                && link.server.arrive(call, Box::new(move |done| back.bring(reply, done)));
        });
    }

    /// Brings a reply back.
    fn bring(self: &Arc<Self>, to: oneshot::Sender<Option<Reply>>, reply: Option<Reply>) {
        let mut state = self.lock();
        let weather = state.weather;
        let back = state.on_the_way();
        let is_lost = weather.cut.is_some() || state.dice.chance(weather.replies_lost);
        let fails_at_once = state.dice.chance(50);
        drop(state);
        if is_lost {
            self.lose(to, fails_at_once);
            return;
        }

        let (link, starts) = (Arc::clone(self), self.server.starts());
        self.world.after(back, move || {
            let is_connected = link.server.starts() == starts;
            let _nobody_waits_any_more = to.send(reply.filter(|_| is_connected));
        });
    }

    /// Lets a call fail soon, or leaves it without an answer.
    fn lose(self: &Arc<Self>, to: oneshot::Sender<Option<Reply>>, fails_at_once: bool) {
        let link = Arc::clone(self);
        let after = if fails_at_once { Duration::from_micros(300) } else { self.patience * 2 };
        self.world.after(after, move || {
            let _keeps_the_link = link;
            let _nobody_waits_any_more = to.send(None);
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How long something is on its way: mostly short, now and then as long as the weather allows.
    fn on_the_way(&mut self) -> Duration {
        let most_us = self.weather.slow.as_micros();
        let most_us = usize::try_from(most_us).unwrap_or(usize::MAX);
        let bound = if self.dice.chance(80) { most_us.min(900) } else { most_us };
        Duration::from_micros(100 + self.dice.below(bound.max(1)) as u64)
    }
}

fn lost(method: &'static str, what: &'static str) -> Error {
    Error::Unavailable { method, source: what.into() }
}

/// A store behind a link.
#[derive(Clone)]
struct Remote {
    link: Arc<Link>,
    by: Arc<str>,
    witness: Witness,
    log: Log,
    /// The latest add, and the number of its call.
    last: Arc<Mutex<Option<(RequestId, u64)>>>,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Remote").field(&self.by).finish()
    }
}

impl Remote {
    /// The number of a call: of an add that is repeated the one that it had.
    fn number(&self, call: &Call, what: &history::Call) -> u64 {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match (request(call), &*last) {
            (Some(request), Some((known, number))) if request == *known => *number,
            (request, _) => {
                let number = self.witness.ask(what.clone());
                *last = request.map(|request| (request, number));
                number
            }
        }
    }

    async fn ask(&self, call: Call) -> Result<Reply> {
        let Some(what) = told::call(&call) else { return self.link.ask(call).await };
        let sent = self.log.now_us();
        let (number, request) = (self.number(&call, &what), request(&call));
        let reply = self.link.ask(call).await;
        let told = match &reply {
            Ok(reply) => told::reply(reply),
            // It is sent again: one call for who asked. But this one may have its effect at any time.
            Err(_) if request.is_some() => {
                self.log.stray(&self.by, sent, what);
                return reply;
            }
            Err(error) => history::Reply::Unknown { error: error.to_string() },
        };
        self.witness.answer(number, told);
        reply
    }
}

/// What marks a call that is repeated, if it may be.
fn request(call: &Call) -> Option<RequestId> {
    match call {
        Call::Add(add) => Some(add.request.clone()),
        _ => None,
    }
}

/// Takes the reply that belongs to a call.
macro_rules! reply {
    ($reply:expr, $kind:ident) => {
        match $reply? {
            Reply::$kind(value) => Ok(value),
            other => unreachable!("{other:?}"),
        }
    };
}

#[async_trait]
impl Tasks for Remote {
    async fn add(&self, add: &Add) -> Result<Added> {
        reply!(self.ask(Call::Add(add.clone())).await, Added)
    }

    async fn fetch(&self, fetch: &Fetch) -> Result<Vec<Option<TaskRecord>>> {
        reply!(self.ask(Call::Fetch(fetch.clone())).await, Found)
    }

    async fn list(&self, list: &List) -> Result<Page> {
        self.link.server.store().list(list).await
    }

    async fn change(&self, change: &Change) -> Result<Changed> {
        reply!(self.ask(Call::Change(change.clone())).await, Changed)
    }

    async fn stats(&self) -> Result<Stats> {
        self.link.server.store().stats().await
    }

    async fn restore(&self, restore: &Restore) -> Result<Restored> {
        self.link.server.store().restore(restore).await
    }

    async fn set_queue(&self, queue: &QueueName, gate: Gate) -> Result<()> {
        self.ask(Call::Gate(queue.clone(), gate)).await.map(drop)
    }
}

#[async_trait]
impl Queue for Remote {
    async fn claim(&self, claim: &Claim) -> Result<Claimed> {
        reply!(self.ask(Call::Claim(claim.clone())).await, Claimed)
    }

    async fn keep(&self, keep: &Keep) -> Result<Kept> {
        reply!(self.ask(Call::Keep(keep.clone())).await, Kept)
    }

    async fn drain(&self, node: &NodeName) -> Result<bool> {
        self.link.server.store().drain(node).await
    }

    async fn ack(&self, items: &[AckItem]) -> Result<Vec<Acked>> {
        reply!(self.ask(Call::Ack(items.to_vec())).await, Acked)
    }

    async fn hints(&self, process: &ProcessId) -> Result<Option<Box<dyn Hints>>> {
        let link = Arc::clone(&self.link);
        let start = link.server.starts();
        let is_cut = link.lock().weather.cut.is_some();
        match link.server.hints(process).filter(|_| !is_cut) {
            Some(inner) => Ok(Some(Box::new(RemoteHints { link, start, inner }))),
            None => Err(lost("hints", "no connection")),
        }
    }
}

struct RemoteHints {
    link: Arc<Link>,
    start: u64,
    inner: Box<dyn Hints>,
}

#[async_trait]
impl Hints for RemoteHints {
    async fn next(&mut self) -> Result<()> {
        loop {
            tokio::select! {
                biased;
                () = self.link.server.broken(self.start) => return Err(lost("hints", "connection lost")),
                hint = self.inner.next() => hint?,
            }
            let mut state = self.link.lock();
            let lost_in_a_hundred = state.weather.replies_lost;
            let is_lost = state.weather.cut.is_some() || state.dice.chance(lost_in_a_hundred);
            drop(state);
            if !is_lost {
                return Ok(());
            }
        }
    }

    async fn end(self: Box<Self>) {
        self.inner.end().await;
    }
}

#[async_trait]
impl Leadership for Remote {
    async fn campaign(&self, campaign: &Campaign) -> Result<Leading> {
        reply!(self.ask(Call::Campaign(campaign.clone())).await, Leading)
    }

    async fn resign(&self, resign: &Resign) -> Result<Option<Leader>> {
        reply!(self.ask(Call::Resign(resign.clone())).await, Resigned)
    }

    async fn leases(&self, look: &Look) -> Result<Led<Looked>> {
        reply!(self.ask(Call::Look(look.clone())).await, Seen)
    }

    async fn reclaim(&self, reclaim: &Reclaim) -> Result<Led<u64>> {
        reply!(self.ask(Call::Reclaim(reclaim.clone())).await, Reclaimed)
    }

    async fn maintain(&self, maintain: &Maintain) -> Result<Led<Maintained>> {
        reply!(self.ask(Call::Maintain(maintain.clone())).await, Maintained)
    }

    async fn declare(&self, declare: &Declare) -> Result<Led<()>> {
        reply!(self.ask(Call::Declare(declare.clone())).await, Declared)
    }

    async fn cluster(&self) -> Result<Cluster> {
        self.link.server.store().cluster().await
    }
}

#[async_trait]
impl Store for Remote {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn apart(&self) -> Arc<dyn Store> {
        Arc::new(self.clone())
    }

    async fn migrate(&self) -> Result<Migrated> {
        Ok(Migrated::default())
    }

    async fn prepare(&self) -> Result<()> {
        Ok(())
    }

    async fn now(&self) -> Result<Timestamp> {
        self.link.server.store().now().await
    }

    async fn check(&self, _lease: Duration) -> Result<Vec<Finding>> {
        Ok(Vec::new())
    }
}
