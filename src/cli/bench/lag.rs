//! How late tasks start.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use crate::cli::failure::Failure;
use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::domain::time::as_us;

use super::Load;
use super::report::Figure;
use super::report::Run;
use super::report::as_f64;
use super::site::Site;
use super::tally::Tally;
use super::work::Nodes;
use super::work::add_all;
use super::work::task;

/// How long tasks fall due, at most.
const LENGTH_SECONDS: usize = 10;

/// How often a second the bare timer goes off, at most: far less often than it could.
const TIMER_RATE_MAX: usize = 500;

/// How long the bare timer is looked at, at most.
const TIMER_SECONDS: usize = 2;

/// How long before the first task is due it is planned: so long that all are added and the nodes are
/// there. A store for which one is too short is given the next. None is so long that it would be taken
/// for a time in which nothing runs.
const LEADS: [Duration; 3] =
    [Duration::from_secs(2), Duration::from_secs(8), Duration::from_secs(20)];

/// How often the store is asked for its time.
const ASKED: usize = 20;

pub(super) async fn run(site: &Site<'_>, load: Load) -> Result<Run, Failure> {
    let tasks = load.tasks.min(load.rate * LENGTH_SECONDS);
    let load = Load { tasks, ..load };
    let timer_us = timer(load).await;
    let skew = Skew::of(site).await?;
    for lead in LEADS {
        let tally = Arc::new(Tally::of(tasks));
        if let Some(lags_us) = lags(site, load, (lead, skew.us), &tally).await? {
            let mut figures = of_tasks(lags_us);
            figures.extend(of_timer(timer_us));
            figures.push(Figure::ms("clocks_agree_within_ms", "known to within", skew.within_us));
            return Ok(Run { tasks, figures, faults: tally.faults(site.clear().await?) });
        }
        site.clear().await?;
    }
    Err(Failure::Refused(format!(
        "the store takes too long to add {tasks} tasks before they fall due; try fewer --tasks"
    )))
}

/// How late each task started, µs; `None` if the first was due before all was ready. `lead` is how long
/// before that it is planned, `skew_us` how far the wall clock is ahead of the store's.
async fn lags(
    site: &Site<'_>,
    load: Load,
    (lead, skew_us): (Duration, i64),
    tally: &Arc<Tally>,
) -> Result<Option<Vec<i64>>, Failure> {
    let now = || async { site.store.now().await.map_err(|error| site.explain_store(&error)) };
    let first = now().await?.plus(lead);
    add_all(site, load.tasks, |number| {
        let after = u32::try_from(number).unwrap_or(u32::MAX);
        Ok(task(number)?.run_at(first.plus(step(load.rate).saturating_mul(after))))
    })
    .await?;

    let lags = Arc::new(Mutex::new(Vec::with_capacity(load.tasks)));
    let (counts, noted) = (Arc::clone(tally), Arc::clone(&lags));
    let nodes = Nodes::start(site, load.concurrency, move |context, number| {
        let started_us = SystemClock.wall().as_us() - skew_us;
        let lag_us = started_us - context.task().run_at.as_us();
        noted.lock().unwrap_or_else(PoisonError::into_inner).push(lag_us);
        counts.note(number);
    })?;
    let in_time = match nodes.ready(site).await {
        Ok(()) => now().await.map(|now| now < first),
        Err(failure) => Err(failure),
    };
    if !matches!(in_time, Ok(true)) {
        nodes.leave().await?;
        return in_time.map(|_| None);
    }
    nodes.run_all(site, tally).await?;
    let lags_us = std::mem::take(&mut *lags.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Some(lags_us))
}

/// How late a timer of the runtime goes off, alone: what the machine adds.
async fn timer(load: Load) -> Vec<i64> {
    let rate = load.rate.min(TIMER_RATE_MAX);
    let step = step(rate);
    let mut lags_us = Vec::new();
    for _ in 0..load.tasks.min(rate * TIMER_SECONDS) {
        let at = SystemClock.steady() + step;
        SystemClock.sleep(step).await;
        lags_us.push(as_us(SystemClock.steady().saturating_sub(at)));
    }
    lags_us
}

/// The time between two tasks.
fn step(rate: usize) -> Duration {
    Duration::from_secs(1).div_f64(as_f64(rate.max(1)))
}

fn of_tasks(mut lags_us: Vec<i64>) -> Vec<Figure> {
    lags_us.sort_unstable();
    vec![
        Figure::ms("p50_ms", "p50", at(&lags_us, 50)),
        Figure::ms("p90_ms", "p90", at(&lags_us, 90)),
        Figure::ms("p99_ms", "p99", at(&lags_us, 99)),
        Figure::ms("max_ms", "max", at(&lags_us, 100)),
    ]
}

fn of_timer(mut lags_us: Vec<i64>) -> Vec<Figure> {
    lags_us.sort_unstable();
    vec![
        Figure::ms("timer_p50_ms", "a bare timer, p50", at(&lags_us, 50)),
        Figure::ms("timer_p99_ms", "a bare timer, p99", at(&lags_us, 99)),
        Figure::ms("timer_max_ms", "a bare timer, max", at(&lags_us, 100)),
    ]
}

/// The least of the sorted values that so many per cent do not exceed; 0 if there are none.
fn at(sorted: &[i64], per_cent: usize) -> i64 {
    let rank = (sorted.len() * per_cent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// How far the wall clock here is ahead of the store's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Skew {
    us: i64,
    /// How far off that may be.
    within_us: i64,
}

impl Skew {
    async fn of(site: &Site<'_>) -> Result<Self, Failure> {
        let (mut least, mut most) = (i64::MIN, i64::MAX);
        for _ in 0..ASKED {
            let sent_us = SystemClock.wall().as_us();
            let theirs = site.store.now().await.map_err(|error| site.explain_store(&error))?;
            let arrived_us = SystemClock.wall().as_us();
            least = least.max(sent_us - theirs.as_us());
            most = most.min(arrived_us - theirs.as_us());
        }
        Ok(Self::between(least, most))
    }

    /// Clocks that may agree do: those of one machine are one clock, and no answer is fast enough to
    /// show it.
    fn between(least_us: i64, most_us: i64) -> Self {
        if least_us <= 0 && most_us >= 0 {
            return Self { us: 0, within_us: most_us.max(-least_us) };
        }
        let us = least_us.midpoint(most_us);
        Self { us, within_us: most_us.abs_diff(us).try_into().unwrap_or(i64::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_values_does_not_exceed_its_quantile() {
        let hundred: Vec<i64> = (1..=100).collect();

        assert_eq!([50, 90, 99, 100].map(|share| at(&hundred, share)), [50, 90, 99, 100]);
        assert_eq!([50, 99].map(|share| at(&[7], share)), [7, 7]);
        assert_eq!(at(&[3, 9], 50), 3);
        assert_eq!(at(&[], 50), 0);
    }

    #[test]
    fn clocks_that_cannot_be_told_apart_are_one() {
        assert_eq!(Skew::between(-80, 40), Skew { us: 0, within_us: 80 });
        assert_eq!(Skew::between(1_000, 1_200), Skew { us: 1_100, within_us: 100 });
        assert_eq!(Skew::between(-1_200, -1_000), Skew { us: -1_100, within_us: 100 });
    }

    #[test]
    fn tasks_of_a_second_are_evenly_apart() {
        assert_eq!(step(500), Duration::from_millis(2));
        assert_eq!(step(1), Duration::from_secs(1));
    }
}
