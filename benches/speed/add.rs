//! Adds of schedulers.

use std::sync::Arc;

use serde_json::json;
use taskshed::domain::draft::Task;
use tokio::task::JoinSet;

use crate::Course;
use crate::place::Place;
use crate::report::Figure;
use crate::work::add_by;
use crate::work::timed;

pub(crate) async fn measure(course: Course) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (batch, producers) in [(1, 1), (1, 16), (1000, 1), (1000, 16)] {
        let tasks = if batch == 1 { course.tasks / 20 } else { course.tasks };
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
        figures.push(Figure::rate(name, each * producers, took));
    }
    figures
}

/// A task with arguments of about 100 bytes.
pub(crate) fn wide(number: usize) -> Task {
    let text = "x".repeat(80);
    Task::new("noop", &json!({ "number": number, "text": text })).unwrap()
}
