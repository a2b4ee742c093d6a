//! Adds of schedulers.

use std::sync::Arc;

use serde_json::json;
use taskshed::domain::draft::Task;
use tokio::task::JoinSet;

use crate::Course;
use crate::limit;
use crate::limit::IN_FLIGHT;
use crate::place::Place;
use crate::report::Figure;
use crate::work::add_by;
use crate::work::timed;

pub(crate) async fn measure(course: Course) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (batch, producers) in [(1, 1), (1, 16), (1000, 1), (1000, 16)] {
        let tasks = if batch == 1 { course.tasks / 20 } else { course.tasks };
        // One add after the other is compared with one call after the other, batches with the most.
        let in_flight = if batch == 1 { producers } else { producers.max(IN_FLIGHT) };
        let limit = limit::of_add(course.kind, tasks, batch, in_flight).await;

        let mut place = Place::new(course.kind);
        let store = place.open().await;
        let each = tasks / producers;
        let ((), took) = timed(async {
            let mut adding = JoinSet::new();
            for _ in 0..producers {
                let store = Arc::clone(&store);
                adding.spawn(async move { add_by(&store, each, batch, wide).await });
            }
            adding.join_all().await;
        })
        .await;
        let name = format!("batches of {batch}, {producers} producer(s)");
        let share = format!("{name}, of the limit");
        let rate = Figure::rate(name, each * producers, took);
        let share = Figure::share(share, &limit, &rate);
        figures.extend([limit, rate, share]);
    }
    figures
}

/// A task with arguments of about 100 bytes.
pub(crate) fn wide(number: usize) -> Task {
    let text = "x".repeat(80);
    Task::new("noop", &json!({ "number": number, "text": text })).unwrap()
}
