//! What stores can do without a node: the same scripts and statements, sent by a few callers.

use std::sync::Arc;

use taskshed::store::Store;
use tokio::task::JoinSet;

use crate::Course;
use crate::least;
use crate::place::Place;
use crate::report::Figure;
use crate::work::add;
use crate::work::add_by;
use crate::work::claim_and_ack;
use crate::work::noop;
use crate::work::timed;

/// How many calls are under way at once.
const CALLERS: usize = 4;

pub(crate) async fn measure(course: Course) -> Vec<Figure> {
    let mut figures = Vec::new();
    for batch in [1, 10, 100, 500] {
        let tasks = (course.tasks / 5).min(batch * course.tasks / 50);
        let mut place = Place::new(course.kind);
        let store = place.open().await;
        let ((), took) = timed(add_by(&store, tasks, batch, noop)).await;
        figures.push(Figure::rate(format!("add, batches of {batch}, one caller"), tasks, took));
        let name = format!("claim and ack, batches of {batch}, {CALLERS} callers");
        figures.push(rate(name, &store, tasks, batch).await);
        let mut place = Place::new(course.kind);
        let name = format!("the least: in, batches of {batch}");
        let out = format!("the least: out, batches of {batch}, {CALLERS} callers");
        figures.extend(least::measure(&mut place, tasks, batch, CALLERS, [name, out]).await);
    }
    figures
}

/// Draining at the largest batch that nodes use, without a node.
pub(crate) async fn of_drain(course: Course) -> Figure {
    let mut place = Place::new(course.kind);
    let store = place.open().await;
    add(&store, course.tasks, noop).await;
    let name = format!("limit: claim and ack by 500, {CALLERS} callers");
    rate(name, &store, course.tasks, 500).await
}

async fn rate(name: String, store: &Arc<dyn Store>, tasks: usize, batch: usize) -> Figure {
    let (taken, took) = timed(async {
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let store = Arc::clone(store);
            callers.spawn(async move {
                let mut taken = 0;
                loop {
                    match claim_and_ack(&store, batch).await {
                        0 => return taken,
                        count => taken += count,
                    }
                }
            });
        }
        callers.join_all().await.into_iter().sum::<usize>()
    })
    .await;
    // Callers that meet find nothing at the very end, and leave it to the others.
    assert!(taken + CALLERS * batch > tasks, "{taken} of {tasks} were taken");
    Figure::rate(name, taken, took)
}
