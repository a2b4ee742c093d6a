//! What stores can do without a node and a scheduler: the yardstick of all that is built on them.
//!
//! On Redis it is a bare connection that sends the store's own scripts again, see [`replay`](crate::replay).
//! What SQL stores send next depends on what they were answered, so there it is the store itself, called
//! by as many callers as calls are to be under way.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use taskshed::store::Claimed;
use taskshed::store::Store;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::Course;
use crate::add::wide;
use crate::least;
use crate::place::Place;
use crate::replay::Replay;
use crate::report::Figure;
use crate::work::ack;
use crate::work::add_by;
use crate::work::claim;
use crate::work::timed;

/// Calls under way at once where each has much to do; as many claims as acks while draining.
pub(crate) const IN_FLIGHT: usize = 4;

/// Calls under way at once where the way to the server and back takes longer than the call.
const IN_FLIGHT_SMALL: usize = 16;

/// The largest batches that nodes claim and ack.
const DRAINED_BY: usize = 500;

/// The largest batches that schedulers add.
const ADDED_BY: usize = 1000;

pub(crate) async fn measure(course: Course) -> Vec<Figure> {
    let mut figures = Vec::new();
    for batch in [1, 10, 100, DRAINED_BY, ADDED_BY] {
        let tasks = if batch == 1 { course.tasks / 10 } else { course.tasks / 2 };
        let in_flight = if batch < 100 { IN_FLIGHT_SMALL } else { IN_FLIGHT };
        let mut place = Place::new(course.kind);
        let mut client = Client::at(&mut place, batch, in_flight).await;
        let add = client.add(format!("add by {batch}, {in_flight} calls in flight"), tasks).await;
        let parts = client.claim_then_ack(batch, tasks).await;
        client.add(String::new(), tasks).await;
        let drain = client.drain(format!("claim and ack by {batch}, overlapped"), tasks).await;

        let mut place = Place::new(course.kind);
        let least = least::measure(&mut place, tasks, batch, in_flight).await;
        let shares = [
            Figure::share(format!("add by {batch}, of the least"), &least[0], &add),
            Figure::share(format!("claim and ack by {batch}, of the least"), &least[1], &drain),
        ];
        figures.push(add);
        figures.extend(parts);
        figures.push(drain);
        figures.extend(least);
        figures.extend(shares);
    }
    figures
}

/// Adding, with so many calls under way.
pub(crate) async fn of_add(kind: &str, tasks: usize, batch: usize, in_flight: usize) -> Figure {
    let mut place = Place::new(kind);
    let mut client = Client::at(&mut place, batch, in_flight).await;
    let name = format!("limit: batches of {batch}, {in_flight} call(s) in flight");
    client.add(name, tasks / batch * batch).await
}

/// Draining as nodes do, and adding and draining one after the other.
pub(crate) async fn of_drain(course: Course) -> [Figure; 2] {
    let mut place = Place::new(course.kind);
    let mut drains = Client::at(&mut place, DRAINED_BY, IN_FLIGHT).await;
    let mut adds = Client::at(&mut place, ADDED_BY, IN_FLIGHT).await;
    let add = adds.add(String::new(), course.tasks).await;
    let name = format!("limit: claim and ack by {DRAINED_BY}, overlapped");
    let drain = drains.drain(name, course.tasks).await;
    let both = Figure::in_turn(format!("limit: add by {ADDED_BY}, then that"), &add, &drain);
    [drain, both]
}

/// Whoever calls.
enum Client {
    Replay(Box<Replay>),
    Callers { store: Arc<dyn Store>, batch: usize, count: usize },
}

impl Client {
    /// One that is ready, at an empty place.
    async fn at(place: &mut Place, batch: usize, in_flight: usize) -> Self {
        if matches!(place, Place::Redis(_)) {
            return Self::Replay(Box::new(Replay::learn(place, batch, in_flight).await));
        }
        Self::Callers { store: place.open().await, batch, count: in_flight }
    }

    async fn add(&mut self, name: String, tasks: usize) -> Figure {
        let (added, took) = match self {
            Self::Replay(replay) => (tasks, replay.add(tasks).await),
            Self::Callers { store, batch, count } => {
                let (batch, each) = (*batch, tasks / *count);
                let callers = (0..*count).map(|_| {
                    let store = Arc::clone(store);
                    async move { add_by(&store, each, batch, wide).await }
                });
                let added = each * *count;
                (added, timed(callers.collect::<JoinSet<_>>().join_all()).await.1)
            }
        };
        Figure::rate(name, added, took)
    }

    /// Claims all that is due, and then acks all that was claimed.
    async fn claim_then_ack(&mut self, batch: usize, tasks: usize) -> [Figure; 2] {
        let (taken, [claiming, acking]) = match self {
            Self::Replay(replay) => (tasks, replay.claim_then_ack(tasks).await),
            Self::Callers { store, batch, count } => {
                let (batch, count) = (*batch, *count);
                claimed_then_acked(store, batch, count).await
            }
        };
        assert_eq!(taken, tasks, "all that was added is taken");
        [("claim", claiming), ("ack", acking)]
            .map(|(name, took)| Figure::rate(format!("{name} by {batch}"), taken, took))
    }

    /// Claims all that is due and acks it meanwhile.
    async fn drain(&mut self, name: String, tasks: usize) -> Figure {
        let (taken, took) = match self {
            Self::Replay(replay) => (tasks, replay.drain(tasks).await),
            Self::Callers { store, batch, count } => {
                let callers = (0..count.div_ceil(2)).map(|_| drained(Arc::clone(store), *batch));
                let (taken, took) = timed(callers.collect::<JoinSet<_>>().join_all()).await;
                (taken.into_iter().sum(), took)
            }
        };
        assert_eq!(taken, tasks, "all that was added is taken");
        Figure::rate(name, taken, took)
    }
}

async fn claimed_then_acked(
    store: &Arc<dyn Store>,
    batch: usize,
    count: usize,
) -> (usize, [Duration; 2]) {
    let all = Arc::new(Mutex::new(Vec::new()));
    let claimers = (0..count).map(|_| {
        let (store, all) = (Arc::clone(store), Arc::clone(&all));
        async move {
            while let Some(claimed) = claimed(&store, batch).await {
                all.lock().unwrap().push(claimed);
            }
        }
    });
    let claiming = timed(claimers.collect::<JoinSet<_>>().join_all()).await.1;
    let taken = all.lock().unwrap().iter().map(|claimed| claimed.tasks.len()).sum();
    let ackers = (0..count).map(|_| {
        let (store, all) = (Arc::clone(store), Arc::clone(&all));
        let next = move || all.lock().unwrap().pop();
        async move {
            while let Some(claimed) = next() {
                ack(&store, &claimed).await;
            }
        }
    });
    let acking = timed(ackers.collect::<JoinSet<_>>().join_all()).await.1;
    (taken, [claiming, acking])
}

/// Claims, and acks what was claimed while the next claim is under way; answers how many tasks.
async fn drained(store: Arc<dyn Store>, batch: usize) -> usize {
    let (claims, mut to_ack) = mpsc::channel(1);
    let claiming = async {
        let (claims, mut taken) = (claims, 0);
        while let Some(claimed) = claimed(&store, batch).await {
            taken += claimed.tasks.len();
            claims.send(claimed).await.unwrap();
        }
        taken
    };
    let acking = async {
        while let Some(claimed) = to_ack.recv().await {
            ack(&store, &claimed).await;
        }
    };
    tokio::join!(claiming, acking).0
}

/// The next tasks; `None` if nothing is due any more, also in claims that have not ended yet.
async fn claimed(store: &Arc<dyn Store>, batch: usize) -> Option<Claimed> {
    loop {
        let claimed = store.claim(&claim(batch)).await.unwrap();
        if !claimed.tasks.is_empty() {
            return Some(claimed);
        }
        if !claimed.more {
            return None;
        }
    }
}
