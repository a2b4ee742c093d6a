//! Claims and acks beside few and many other tasks.

use std::sync::Arc;
use std::time::Duration;

use taskshed::domain::task::Priority;
use taskshed::store::Store;

use crate::Course;
use crate::place::Place;
use crate::report::Figure;
use crate::report::quantile;
use crate::work::Kind;
use crate::work::add;
use crate::work::claim_and_ack;
use crate::work::noop;
use crate::work::timed;

const DAY: Duration = Duration::from_secs(86_400);
const FEW: usize = 1_000;

pub(crate) async fn measure(course: Course) -> Vec<Figure> {
    let many = course.tasks * 10;
    let mut figures = Vec::new();
    let beside: [(&str, usize, Kind); 3] = [
        ("future tasks", many, |number| noop(number).run_in(DAY)),
        ("due tasks", many, noop),
        ("critical future tasks", course.tasks, |number| {
            noop(number).run_in(DAY).priority(Priority::Critical)
        }),
    ];
    for (name, most, task) in beside {
        let mut place = Place::new(course.kind);
        let store = place.open().await;
        let (mut there, mut times) = (0, Vec::new());
        for count in [FEW, most] {
            add(&store, count - there, task).await;
            there = count;
            let took = claims(&store).await;
            times.push(Figure::time(format!("beside {count} {name}: p50"), took));
        }
        let ratio = Figure::share(format!("beside {most} {name}, of {FEW}"), &times[0], &times[1]);
        figures.extend(times);
        figures.push(ratio);
    }
    figures
}

/// The median time of the claim and ack of 100 tasks; as many are added each time.
async fn claims(store: &Arc<dyn Store>) -> Duration {
    let mut times = Vec::new();
    for _ in 0..200 {
        add(store, 100, noop).await;
        let (count, took) = timed(claim_and_ack(store, 100)).await;
        assert_eq!(count, 100);
        times.push(took);
    }
    times.sort_unstable();
    quantile(&times, 0.5)
}
