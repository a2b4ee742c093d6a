//! What tasks cost in CPU, added and run by this process.

use std::sync::Arc;
use std::time::Duration;

use rustix::time::ClockId;
use rustix::time::clock_gettime;

use crate::cli::failure::Failure;

use super::Load;
use super::report::Figure;
use super::report::Run;
use super::report::as_f64;
use super::site::Site;
use super::tally::Tally;
use super::work::Nodes;
use super::work::add_all;
use super::work::task;
use super::work::timed;

/// Tasks run while others are added, as in daily life.
pub(super) async fn run(site: &Site<'_>, load: Load) -> Result<Run, Failure> {
    let tally = Arc::new(Tally::of(load.tasks));
    let counts = Arc::clone(&tally);
    let nodes = Nodes::start(site, load.concurrency, move |_, task| counts.note(task))?;
    let ready = nodes.ready(site).await;
    let before = used();
    let (added, took) = timed(async {
        let added = match ready {
            Ok(()) => add_all(site, load.tasks, task).await,
            failed => failed,
        };
        if added.is_ok() {
            nodes.run_all(site, &tally).await?;
        } else {
            nodes.leave().await?;
        }
        Ok(added)
    })
    .await?;
    added?;
    let spent = used().saturating_sub(before).as_secs_f64();
    let figures = vec![
        Figure::new("cpu_seconds", "CPU of this process", spent, "s"),
        Figure::new(
            "cpu_us_per_task",
            "CPU of this process, each task",
            spent * 1e6 / as_f64(load.tasks),
            "µs",
        ),
        Figure::rate("tasks_per_second", "added and run meanwhile", load.tasks, took),
    ];
    Ok(Run { tasks: load.tasks, figures, faults: tally.faults(site.clear().await?) })
}

/// User and system time of this process, all threads.
fn used() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(used.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(used.tv_nsec).unwrap_or(0))
}
