//! Nodes that run what is due.

use std::sync::Arc;
use std::time::Duration;

use taskshed::domain::trace::TraceContext;
use taskshed::traces::End;
use taskshed::traces::Span;
use taskshed::traces::Start;
use taskshed::traces::Traces;

use crate::Course;
use crate::add::wide;
use crate::limit;
use crate::place::Place;
use crate::report::Figure;
use crate::work::Kind;
use crate::work::add;
use crate::work::cpu_seconds;
use crate::work::drained;
use crate::work::nodes;
use crate::work::noop;
use crate::work::timed;

/// How many tasks a node runs at once: many, and as many as without a setting.
const AT_ONCE: [usize; 2] = [500, 64];

pub(crate) async fn measure(course: Course) -> Vec<Figure> {
    let [limit, _] = limit::of_drain(course).await;
    let (mut rates, mut repeats) = (Vec::new(), Vec::new());
    for (count, at_once) in [(1, AT_ONCE[0]), (2, AT_ONCE[0]), (1, AT_ONCE[1])] {
        let mut place = Place::new(course.kind);
        add(&place.open().await, course.tasks, wide).await;
        let took = drained(nodes(&mut place, count, at_once).await, course.tasks).await;
        rates.push(Figure::rate(format!("{count} node(s), {at_once} at once"), course.tasks, took));
        if count == 2 {
            repeats = place.repeats();
        }
    }
    let both = Figure::share("two nodes, of one", &rates[0], &rates[1]);
    let mut figures = beside(limit, rates);
    figures.push(both);
    figures.extend(repeats);
    figures
}

/// Adding and running at once: from the first add until all tasks have run and are acked.
pub(crate) async fn whole(course: Course) -> Vec<Figure> {
    let [_, limit] = limit::of_drain(course).await;
    let mut rates = Vec::new();
    for at_once in AT_ONCE {
        let mut place = Place::new(course.kind);
        let store = place.open().await;
        let nodes = nodes(&mut place, 1, at_once).await;
        let work =
            async { tokio::join!(add(&store, course.tasks, wide), drained(nodes, course.tasks)) };
        let took = timed(work).await.1;
        rates.push(Figure::rate(format!("end to end, {at_once} at once"), course.tasks, took));
    }
    beside(limit, rates)
}

/// A limit, rates, and the share that each is of it.
fn beside(limit: Figure, rates: Vec<Figure>) -> Vec<Figure> {
    let share =
        |rate: &Figure| Figure::share(format!("{}, of the limit", rate.name()), &limit, rate);
    let shares: Vec<_> = rates.iter().map(share).collect();
    [limit].into_iter().chain(rates).chain(shares).collect()
}

/// What other kinds of tasks cost.
pub(crate) async fn kinds(course: Course) -> Vec<Figure> {
    let kinds: [(&str, Kind); 7] = [
        ("plain", noop),
        ("arguments of 100 bytes", wide),
        ("in 100 groups", |number| noop(number).group(&format!("group-{}", number % 100))),
        ("each with a unique key", |number| noop(number).unique_key(&format!("key-{number}"))),
        ("kept for an hour", |number| noop(number).retention(Duration::from_secs(3600))),
        ("in a trace that nobody takes", |number| noop(number).metadata("traceparent", TRACE)),
        (TAKEN, |number| noop(number).metadata("traceparent", TRACE)),
    ];
    let (mut rates, mut shares): (Vec<[Figure; 2]>, _) = (Vec::new(), Vec::new());
    for (name, task) in kinds {
        let mut place = Place::new(course.kind);
        let ((), adding) = timed(add(&place.open().await, course.tasks, task)).await;
        let mut nodes = nodes(&mut place, 1, AT_ONCE[0]).await;
        if name == TAKEN {
            nodes = nodes.into_iter().map(|node| node.traces(Arc::new(Sink))).collect();
        }
        let draining = drained(nodes, course.tasks).await;
        let both = [("added", adding), ("drained", draining)]
            .map(|(done, took)| Figure::rate(format!("{name}: {done}"), course.tasks, took));
        for (plain, rate) in rates.first().into_iter().flatten().zip(&both) {
            shares.push(Figure::share(format!("{}, of plain", rate.name()), plain, rate));
        }
        rates.push(both);
    }
    rates.into_iter().flatten().chain(shares).collect()
}

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TAKEN: &str = "in a trace, spans taken and dropped";

/// Takes spans and does nothing with them: what is left is what a node does for them.
#[derive(Debug)]
struct Sink;

#[derive(Debug)]
struct Taken(Option<TraceContext>);

impl Traces for Sink {
    fn begin(&self, start: Start<'_>) -> Box<dyn Span> {
        Box::new(Taken(start.own.or(start.parent).cloned()))
    }
}

impl Span for Taken {
    fn context(&self) -> Option<TraceContext> {
        self.0.clone()
    }

    fn end(self: Box<Self>, _: End<'_>) {}
}

/// The whole price of 50,000 tasks.
pub(crate) async fn cpu(course: Course) -> Vec<Figure> {
    let tasks = course.tasks / 2;
    let mut place = Place::new(course.kind);
    let store = place.open().await;
    let nodes = nodes(&mut place, 1, AT_ONCE[0]).await;
    let (ours, server) = (cpu_seconds("self"), place.server_cpu());
    tokio::join!(add(&store, tasks, wide), drained(nodes, tasks));
    let ours = cpu_seconds("self") - ours;
    let mut figures = vec![Figure::new(format!("CPU for {tasks}: scheduler and node"), ours, "s")];
    if let (Some(before), Some(after)) = (server, place.server_cpu()) {
        figures.push(Figure::new(format!("CPU for {tasks}: server"), after - before, "s"));
        figures.push(Figure::new("CPU of all", ours + after - before, "s"));
    }
    figures
}
