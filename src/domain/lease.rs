//! Leases, fences, terms, and how long a node may trust them.
//!
//! A lease *is* a claim: one claim call takes several tasks under one lease, and renewing or
//! reclaiming it costs the same however many tasks it holds. The store's clock decides when a lease
//! ends. A node's own clock is only ever used to stop trusting the lease *earlier*.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::domain::id::ClaimId;
use crate::domain::id::NodeName;
use crate::domain::time::Timestamp;

/// Length of a lease unless configured otherwise.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(10);

/// Shortest lease: below it, one slow reply would look like a dead node.
pub const LEASE_MIN: Duration = Duration::from_secs(1);

/// Longest lease.
pub const LEASE_MAX: Duration = Duration::from_secs(600);

/// A number given with each claim of a task; for one task it only grows (T4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(pub u64);

/// The number of a spell of leadership; it only grows (L1).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Term(pub u64);

/// The time-bound right to run one task, as shown to users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Name of the node, or the `worker` of a claim made over HTTP.
    pub node: NodeName,
    /// The claim under which the task runs.
    pub claim_id: ClaimId,
    /// Fence of this run.
    pub fence: Fence,
    /// When the lease ends unless renewed, by the store's clock.
    pub expires_at: Timestamp,
}

/// How often a node renews: a quarter of the lease, at most a second apart.
#[must_use]
pub fn renew_every(lease_ttl: Duration) -> Duration {
    (lease_ttl / 4).min(Duration::from_secs(1))
}

/// How long the leader watches an expired lease before it reclaims it, for claims of nodes.
#[must_use]
pub fn node_grace(lease_ttl: Duration) -> Duration {
    renew_every(lease_ttl) * 2
}

/// The same for claims over HTTP, which are renewed every quarter of their lease.
#[must_use]
pub fn remote_grace(lease_ttl: Duration) -> Duration {
    lease_ttl / 2
}

/// How long a node trusts a lease, counted on its own clock from before the request was *sent*.
///
/// One per cent covers clocks that run at different rates; 250 ms covers the time it takes to abort
/// a run. What is left is always positive, since a lease lasts at least [`LEASE_MIN`].
#[must_use]
pub fn trusted_for(lease_ttl: Duration) -> Duration {
    lease_ttl.saturating_sub(lease_ttl / 100).saturating_sub(Duration::from_millis(250))
}

/// Length of a leader's term without renewal.
pub const TERM_TTL: Duration = Duration::from_secs(10);

/// How often the leader renews its term.
pub const TERM_RENEW_EVERY: Duration = Duration::from_secs(2);

/// How long a leader trusts its term, counted on its own clock from before the request was *sent*.
pub const TERM_TRUSTED_FOR: Duration = Duration::from_secs(9);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_recovery_bound() {
        assert_eq!(renew_every(DEFAULT_LEASE), Duration::from_secs(1));
        assert_eq!(node_grace(DEFAULT_LEASE), Duration::from_secs(2));
        assert_eq!(renew_every(Duration::from_secs(2)), Duration::from_millis(500));
        assert_eq!(trusted_for(DEFAULT_LEASE), Duration::from_millis(9650));
    }

    #[test]
    fn trust_always_ends_before_the_lease_and_outlasts_two_renewals() {
        for ms in 1_000..=600_000 {
            let lease_ttl = Duration::from_millis(ms);
            let trusted = trusted_for(lease_ttl);

            assert!(trusted < lease_ttl);
            assert!(trusted > renew_every(lease_ttl) * 2);
        }
    }
}
