//! How fast nodes run what is due.

use std::sync::Arc;

use crate::cli::failure::Failure;

use super::Load;
use super::report::Figure;
use super::report::Run;
use super::site::Site;
use super::tally::Tally;
use super::work::Nodes;
use super::work::add_all;
use super::work::task;
use super::work::timed;

/// All tasks are there before the nodes start; the time ends when the store has all outcomes.
pub(super) async fn run(site: &Site<'_>, load: Load) -> Result<Run, Failure> {
    add_all(site, load.tasks, task).await?;
    let tally = Arc::new(Tally::of(load.tasks));
    let counts = Arc::clone(&tally);
    let ((), took) = timed(async {
        let nodes = Nodes::start(site, load.concurrency, move |_, task| counts.note(task))?;
        nodes.run_all(site, &tally).await
    })
    .await?;
    let figures = vec![Figure::rate("tasks_per_second", "run, all were due", load.tasks, took)];
    Ok(Run { tasks: load.tasks, figures, faults: tally.faults(site.clear().await?) })
}
