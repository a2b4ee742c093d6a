//! One measured value of one run, and what belongs to it.

use std::time::Duration;

use crate::program::Counted;
use crate::speed_report::of;
use crate::speed_report::quantile;

/// What was measured, or why it was not.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) name: &'static str,
    /// What it is of, beside a peer or instead of one.
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    /// None, if it did not come to its end.
    value: Option<f64>,
    pub(crate) error: Option<String>,
    pub(crate) parts: Vec<(&'static str, f64)>,
    tasks: usize,
    /// Runs that there were, and of how many tasks.
    pub(crate) counted: Option<(usize, usize)>,
}

impl Run {
    /// One that is yet to be measured.
    pub(crate) fn new(name: &'static str, unit: &'static str) -> Self {
        let (title, parts) = (String::new(), Vec::new());
        Self { name, title, unit, value: None, error: None, parts, tasks: 0, counted: None }
    }

    pub(crate) fn titled(self, title: &str) -> Self {
        Self { title: title.to_owned(), ..self }
    }

    /// Of so many tasks.
    pub(crate) fn of(self, tasks: usize) -> Self {
        Self { tasks, ..self }
    }

    pub(crate) fn worth(self, value: f64) -> Self {
        Self { value: Some(value), ..self }
    }

    /// It has no value, and the first reason for that is kept.
    pub(crate) fn failed(self, why: String) -> Self {
        Self { value: None, error: self.error.or(Some(why)), ..self }
    }

    /// Tasks a second.
    pub(crate) fn rate(self, took: Result<Duration, String>) -> Self {
        match took {
            Ok(took) => {
                let tasks = of(self.tasks);
                self.worth(tasks / took.as_secs_f64())
            }
            Err(why) => self.failed(why),
        }
    }

    /// Its middle lag, with what is seldom worse; a task may start early.
    pub(crate) fn lagged(self, lags_us: &[i64]) -> Self {
        let mut lags_us = lags_us.to_vec();
        lags_us.sort_unstable();
        if lags_us.is_empty() {
            return self.failed("it told no lags".to_owned());
        }
        #[expect(clippy::cast_precision_loss, reason = "lags are far below 2^52 microseconds")]
        let at = |share| quantile(&lags_us, share) as f64 / 1e3;
        let early = lags_us.iter().filter(|late| **late < 0).count();
        self.worth(at(0.5)).with("p99", at(0.99)).with("early", of(early))
    }

    /// What a worker counted, which a run that failed has too, unless it died.
    pub(crate) fn counted(self, counted: Result<Counted, String>) -> Self {
        match counted {
            Ok(counted) => Self { counted: Some((counted.executed, counted.distinct)), ..self },
            Err(why) => self.failed(format!("its counts are unknown: {why}")),
        }
    }

    pub(crate) fn with(mut self, part: &'static str, value: f64) -> Self {
        self.parts.push((part, value));
        self
    }

    pub(crate) fn tasks(&self) -> usize {
        self.tasks
    }

    /// What was measured, unless it failed.
    pub(crate) fn value(&self) -> Option<f64> {
        self.value.filter(|_| self.error.is_none())
    }

    /// How many tasks did not run, and how many runs there were too many, if that was counted.
    pub(crate) fn faults(&self) -> Option<(usize, usize)> {
        self.counted.map(|(executed, distinct)| {
            (self.tasks.saturating_sub(distinct), executed.saturating_sub(distinct))
        })
    }
}
