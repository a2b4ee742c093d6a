//! Leaves the cluster in good order (N1).
//!
//! ```text
//!  drain ordered        drain timeout          + 5.25 s       + 5.5 s, + 6 s gone
//!      |--- runs may end ---|--- told to stop ---|--- acks ------|
//!      no claims; what was claimed ahead is handed back; acks go out all the time
//! ```

use std::sync::Arc;
use std::time::Duration;

use tracing::info;
use tracing::warn;

use crate::handlers::StopCause;

use super::ahead::Ahead;
use super::core::Core;
use super::handle::OpenTask;
use super::run::Phase;
use super::run::Run;
use super::runner::Runner;

/// From the drain timeout to the end: time for runs to stop and for their verdicts to be sent.
const STOP_TIMEOUT: Duration = Duration::from_millis(5_500);

/// The same when the node is to stop at once.
const STOP_NOW_TIMEOUT: Duration = Duration::from_secs(2);

/// How a node left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "what could not be handed back should be told"]
pub struct Drained {
    /// Tasks whose outcome the store did not take, or whose run cannot be stopped. Their leases end
    /// by themselves and they run again.
    pub unsent: Vec<OpenTask>,
}

impl Drained {
    /// Whether nothing runs and nothing is unsent (N1).
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.unsent.is_empty()
    }
}

/// Hands back what waits, lets what runs end or stops it, and waits for the last answers.
///
/// The claimer may still be waiting for a reply; what that brings is handed back, too, so claims
/// count as empty only when the claimer has ended.
pub(super) async fn drain(core: &Core, ahead: &Ahead, runner: &Arc<Runner>) -> Drained {
    info!(node = %core.config.name, held = core.slots.held(), "the node drains");
    tokio::select! {
        biased;
        () = finish(core, ahead, runner) => {}
        () = core.stopping.cancelled() => {}
        () = core.clock.sleep(core.config.drain_timeout) => {}
    }

    let is_hurried = core.stopping.is_cancelled();
    stop_runs(core, is_hurried);
    let wait = if is_hurried { STOP_NOW_TIMEOUT } else { STOP_TIMEOUT };
    tokio::select! {
        biased;
        () = finish(core, ahead, runner) => {}
        () = hurry(core, is_hurried) => {}
        () = core.clock.sleep(wait) => {}
    }

    let unsent: Vec<_> = core.claims.open_runs().iter().map(OpenTask::of).collect();
    for open in &unsent {
        warn!(task.id = %open.task, runs = open.runs, "a task could not be handed back");
    }
    Drained { unsent }
}

/// Returns when nothing is held any more.
async fn finish(core: &Core, ahead: &Ahead, runner: &Arc<Runner>) {
    // Apart, because this may be given up in the middle.
    runner.hand_back(ahead.close());
    runner.hand_back(core.line.close());
    core.claimed_out.cancelled().await;
    core.claims.wait_until_empty().await;
}

/// Never returns if the node was in a hurry from the start; else a while after it is.
async fn hurry(core: &Core, was_hurried: bool) {
    if was_hurried {
        std::future::pending::<()>().await;
    }
    core.stopping.cancelled().await;
    stop_runs(core, true);
    core.clock.sleep(STOP_NOW_TIMEOUT).await;
}

fn stop_runs(core: &Core, is_hurried: bool) {
    let is_open = |run: &&Arc<Run>| run.phase() < Phase::Ended;
    for run in core.claims.open_runs().iter().filter(is_open) {
        if is_hurried {
            run.stopper.abort(StopCause::Draining);
        } else {
            run.stopper.stop(StopCause::Draining);
        }
    }
}
