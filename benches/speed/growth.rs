//! Claims, and acks of what they took, beside few and many other tasks.

use std::sync::Arc;
use std::time::Duration;

use taskshed::domain::task::Priority;
use taskshed::store::Store;

use crate::Course;
use crate::place::Place;
use crate::report::Figure;
use crate::report::quantile;
use crate::work::Kind;
use crate::work::ack;
use crate::work::add;
use crate::work::claim;
use crate::work::noop;
use crate::work::timed;

const DAY: Duration = Duration::from_secs(86_400);
const FEW: usize = 1_000;

pub(crate) async fn measure(course: Course) -> Vec<Figure> {
    let mut figures = Vec::new();
    let due = if course.short { course.tasks } else { course.tasks * 10 };
    let beside: [(&str, usize, Kind); 3] = [
        ("future tasks", course.future, |number| noop(number).run_in(DAY)),
        ("due tasks", due, noop),
        ("critical future tasks", course.tasks, |number| {
            noop(number).run_in(DAY).priority(Priority::Critical)
        }),
    ];
    for (name, most, task) in beside {
        let mut place = Place::new(course.kind);
        let store = place.open().await;
        let (mut there, mut times, mut ratios) = (0, Vec::new(), Vec::new());
        for count in decades(most) {
            add(&store, count - there, task).await;
            there = count;
            times.extend(claims(&store, &format!("beside {count} {name}")).await);
            if let [few_claim, few_ack, .., claim, ack] = &times[..] {
                for (few, many) in [(few_claim, claim), (few_ack, ack)] {
                    ratios.push(Figure::share(format!("{}, of {FEW}", many.name()), few, many));
                }
            }
        }
        figures.extend(ratios);
        figures.extend(times);
    }
    figures
}

/// A thousand, ten times as many and so on, and the most at last.
fn decades(most: usize) -> Vec<usize> {
    let below = std::iter::successors(Some(FEW), |count| Some(count * 10));
    below.take_while(|count| *count < most).chain([most]).collect()
}

/// The median times of a claim and of an ack of 100 tasks; as many are added each time.
async fn claims(store: &Arc<dyn Store>, beside: &str) -> [Figure; 2] {
    let (mut claims, mut acks) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        add(store, 100, noop).await;
        let (claimed, took) = timed(store.claim(&claim(100))).await;
        let claimed = claimed.unwrap();
        assert_eq!(claimed.tasks.len(), 100);
        claims.push(took);
        acks.push(timed(ack(store, &claimed)).await.1);
    }
    [("claim", claims), ("ack", acks)].map(|(name, mut times)| {
        times.sort_unstable();
        Figure::time(format!("{name} {beside}"), quantile(&times, 0.5))
    })
}
