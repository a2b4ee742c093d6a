//! Nodes that run what is due.

use std::sync::Arc;
use std::time::Duration;

use taskshed::store::Store;

use crate::Course;
use crate::add::wide;
use crate::limit;
use crate::place::Place;
use crate::report::Figure;
use crate::work::Kind;
use crate::work::add;
use crate::work::cpu_seconds;
use crate::work::drained;
use crate::work::noop;
use crate::work::timed;

pub(crate) async fn measure(course: Course) -> Vec<Figure> {
    let limit = limit::of_drain(course).await;
    let (mut rates, mut repeats) = (Vec::new(), Vec::new());
    for nodes in [1, 2] {
        let mut place = Place::new(course.kind);
        let store = place.open().await;
        add(&store, course.tasks, noop).await;
        let took = drained(stores(&mut place, nodes).await, course.tasks).await;
        rates.push(Figure::rate(format!("{nodes} node(s), 500 at once"), course.tasks, took));
        repeats = place.repeats();
    }
    let share = Figure::share("one node, of the limit", &limit, &rates[0]);
    let both = Figure::share("two nodes, of one", &rates[0], &rates[1]);
    let mut figures = vec![limit];
    figures.extend(rates);
    figures.extend([share, both]);
    figures.extend(repeats);
    figures
}

/// What other kinds of tasks cost.
pub(crate) async fn kinds(course: Course) -> Vec<Figure> {
    let kinds: [(&str, Kind); 5] = [
        ("plain", noop),
        ("arguments of 100 bytes", wide),
        ("in 100 groups", |number| noop(number).group(&format!("group-{}", number % 100))),
        ("each with a unique key", |number| noop(number).unique_key(&format!("key-{number}"))),
        ("kept for an hour", |number| noop(number).retention(Duration::from_secs(3600))),
    ];
    let mut figures = Vec::new();
    for (name, task) in kinds {
        let mut place = Place::new(course.kind);
        let store = place.open().await;
        let ((), took) = timed(add(&store, course.tasks, task)).await;
        figures.push(Figure::rate(format!("{name}: added"), course.tasks, took));
        let took = drained(stores(&mut place, 1).await, course.tasks).await;
        figures.push(Figure::rate(format!("{name}: drained"), course.tasks, took));
    }
    figures
}

/// The whole price of 50,000 tasks (short: a tenth).
pub(crate) async fn cpu(course: Course) -> Vec<Figure> {
    let tasks = course.tasks / 2;
    let mut place = Place::new(course.kind);
    let store = place.open().await;
    let stores = stores(&mut place, 1).await;
    let (ours, server) = (cpu_seconds("self"), place.server_cpu());
    let (_, took) =
        timed(async { tokio::join!(add(&store, tasks, wide), drained(stores, tasks)) }).await;
    let ours = cpu_seconds("self") - ours;
    let mut figures = vec![
        Figure::rate("added and run at once", tasks, took),
        Figure::new(format!("CPU for {tasks}: scheduler and node"), ours, "s"),
    ];
    if let (Some(before), Some(after)) = (server, place.server_cpu()) {
        figures.push(Figure::new(format!("CPU for {tasks}: server"), after - before, "s"));
        figures.push(Figure::new("CPU of all", ours + after - before, "s"));
    }
    figures
}

async fn stores(place: &mut Place, nodes: usize) -> Vec<Arc<dyn Store>> {
    let mut stores = Vec::new();
    for _ in 0..nodes {
        stores.push(place.open().await);
    }
    stores
}
