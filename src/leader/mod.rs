//! Leadership: one node does the work that need not be done twice.
//!
//! A *term* is a numbered spell of leadership, kept by the store. Whoever holds the latest term
//! reclaims the tasks of dead nodes and keeps house. Nodes do not need a leader to work: without
//! one, tasks still run when due, recurring ones too; only what a dead node held has to wait.
//!
//! # Trust window
//!
//! A leader stops *before* its term ends:
//!
//! ```text
//!  bid sent          reply            stop here     term ends at the store
//!     |----------------|------------------|------------------|
//!     '------ TERM_TRUSTED_FOR, own ------'
//!     '------------- TERM_TTL, the store's clock ------------'
//! ```
//!
//! The window starts when the bid was *sent*, so a slow reply shortens it. The clocks of two
//! machines are never compared (L1). A leader that cannot renew keeps trying until its trust ends
//! and then steps down; one that was frozen beyond its term finds that out before its next step,
//! and the store, which checks the term inside each step, would refuse it anyway.
//!
//! # Two looks
//!
//! A lease that has expired says little: the store itself may have been stopped, failed over, or
//! its clock moved. So a lease is watched first. It is reclaimed only if its end is still the same
//! after its grace, counted on the leader's *own* clock, during which every call was answered well
//! and fast enough for the holder to have renewed it. After a call that was not, all looks start
//! anew (T3).
//!
//! A store's clock that jumped ahead ends leases whose holders still trust them. So the store's word
//! that a lease has expired counts only once its clock was seen to run evenly for as long as the
//! lease is (T9). Each node watches it from its first beat, so that a new leader need not wait.
//!
//! # What is not here
//!
//! No duty decides what becomes of a task: [`domain::state`](crate::domain::state) does. A second
//! leader would waste effort and corrupt nothing, since each step compares what it saw. Followers
//! make no calls while somebody leads: they read [`Seen`], which their node's beats keep fresh.

mod declare;
mod duty;
mod election;
mod looks;
mod pace;
mod reclaim;
mod sample;
mod seen;
mod trouble;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::id::NodeName;
use crate::domain::id::ProcessId;
use crate::events::Events;
use crate::metrics::Metrics;
use crate::store::Leadership;
use crate::store::Tasks;

pub use declare::Declares;
pub use seen::Seen;

use election::Election;

/// How often a follower stands while nobody leads, and a leader retries a renewal that failed.
pub const CAMPAIGN_EVERY: Duration = Duration::from_millis(500);

/// How often the leader looks for leases that have expired, while one may have. If none can have, the
/// look waits until one can.
pub const SWEEP_EVERY: Duration = Duration::from_millis(500);

/// How often the leader looks at all leases.
pub const SURVEY_EVERY: Duration = Duration::from_secs(5);

/// How often the leader keeps house while there is little to do.
pub const MAINTAIN_EVERY: Duration = Duration::from_secs(1);

/// How often the leader looks at the queues for those who collect metrics.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(15);

/// How long it goes on doing so after the metrics were read.
pub const SAMPLED_FOR: Duration = Duration::from_secs(300);

/// Pause between two batches of one duty while there is more to do, so that claims get their turn.
pub const BATCH_PAUSE: Duration = Duration::from_millis(5);

/// How long a leader that stops waits for the store to hear of it.
pub const RESIGN_PATIENCE: Duration = Duration::from_secs(1);

/// A node that stands for leader, and does the duties while it leads.
pub struct Candidate {
    /// Where the term and the leases are kept.
    pub store: Arc<dyn Leadership>,
    /// The same store, for looks at the queues.
    pub tasks: Arc<dyn Tasks>,
    /// Where it counts what it does.
    pub metrics: Metrics,
    /// Times sleeps and trust.
    pub clock: Arc<dyn Clock>,
    /// Name of the node.
    pub node: NodeName,
    /// Its present process.
    pub process: ProcessId,
    /// Who leads, as this node knows it; shared with whoever beats for it.
    pub seen: Seen,
    /// Where reclaims are told.
    pub events: Events,
    /// The schedules of its file, if it has a say in them.
    pub declares: Option<Declares>,
    /// Spreads bids, and the delays of suspects.
    pub rng: StdRng,
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, process, seen, .. } = self;
        f.debug_struct("Candidate")
            .field("node", node)
            .field("process", process)
            .field("seen", seen)
            .finish_non_exhaustive()
    }
}

impl Candidate {
    /// Stands, leads, steps down, and stands again, until `stop`; then it resigns if it leads.
    ///
    /// A store that is out of reach never ends it. While another process leads it makes no calls;
    /// while it leads and there is nothing to do, fewer than three a second.
    pub async fn run(self, stop: CancellationToken) {
        let mut election = Election::new(self);

        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = election.stand() => {}
        }
        election.resign().await;
    }
}
