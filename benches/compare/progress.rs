//! How much is done, and how long the rest will take.

use std::time::Duration;

use taskshed::clock::Clock;
use taskshed::clock::SystemClock;

use crate::speed_report::of;

/// What one peer takes for one round of a measure, in seconds, on two cores.
const SECONDS: [(&str, f64); 8] = [
    ("control", 5.0),
    ("drain", 8.0),
    ("one", 5.0),
    ("lag", 18.0),
    ("half-load", 8.0),
    ("cpu", 7.0),
    ("alone", 10.0),
    ("mysql", 9.0),
];

/// A round of one peer and measure counts as one step.
pub(crate) struct Progress {
    began: Duration,
    done: f64,
    all: f64,
}

impl Progress {
    /// Of measures, each with so many steps.
    pub(crate) fn new(steps: impl Iterator<Item = (&'static str, usize)>) -> Self {
        let all = steps.map(|(measure, count)| seconds(measure) * of(count)).sum();
        Self { began: SystemClock.steady(), done: 0.0, all }
    }

    /// Ends a step, and tells how long those that are left will take.
    pub(crate) fn step(&mut self, measure: &str) {
        self.done += seconds(measure);
        let took = SystemClock.steady().saturating_sub(self.began).as_secs_f64();
        let left = took / self.done * (self.all - self.done);
        println!("  {:.0} min, about {:.0} min left", took / 60.0, (left / 60.0).ceil());
    }

    /// Takes what will not be done out of the account.
    pub(crate) fn skip(&mut self, measure: &str) {
        self.all -= seconds(measure);
    }
}

fn seconds(measure: &str) -> f64 {
    SECONDS.iter().find(|(name, _)| *name == measure).map_or(10.0, |(_, seconds)| *seconds)
}
