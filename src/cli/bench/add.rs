//! How fast tasks are added.

use crate::cli::failure::Failure;
use crate::store::BATCH_MAX;

use super::Load;
use super::report::Figure;
use super::report::Run;
use super::site::Site;
use super::tally::Faults;
use super::work::add_all;
use super::work::add_single;
use super::work::task;
use super::work::timed;

/// How many add at once where several do.
const CALLERS: usize = 16;

/// One at a time is slow, so a part of the tasks tells as much.
const SINGLE_SHARE: usize = 20;

pub(super) async fn run(site: &Site<'_>, load: Load) -> Result<Run, Failure> {
    let single = load.tasks.div_ceil(SINGLE_SHARE);
    let ((), alone) = timed(add_single(site, single, 1)).await?;
    let ((), together) = timed(add_single(site, single, CALLERS)).await?;
    let ((), batches) = timed(add_all(site, load.tasks, task)).await?;

    let tasks = single * 2 + load.tasks;
    let batch = load.tasks.min(BATCH_MAX);
    let figures = vec![
        Figure::rate("single_per_second", "one at a time", single, alone),
        Figure::rate(
            "single_by_16_per_second",
            "one at a time, by 16 callers at once",
            single,
            together,
        ),
        Figure::rate("batched_per_second", format!("in batches of {batch}"), load.tasks, batches),
    ];
    Ok(Run { tasks, figures, faults: Faults::of_adds(tasks, site.clear().await?) })
}
