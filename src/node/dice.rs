//! The one source of chance of a node.

use std::fmt;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::clock::Clock;
use crate::domain::id::ClaimId;
use crate::domain::id::NodeName;
use crate::domain::id::ProcessId;
use crate::domain::retry::Jitter;

/// Rolls dice: jitter, claim ids, the order of queues.
pub(super) struct Dice {
    rng: Mutex<StdRng>,
}

impl Dice {
    /// Dice whose rolls follow from `seed` and the node's name, so that two nodes of one test never
    /// make the same claim id; without a seed they cannot be foreseen.
    pub(super) fn new(seed: Option<u64>, node: &NodeName) -> Self {
        let rng = match seed {
            None => rand::make_rng(),
            Some(seed) => {
                let mixed = node.as_str().bytes().fold(seed, |mixed, byte| {
                    (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
                });
                StdRng::seed_from_u64(mixed)
            }
        };
        Self { rng: Mutex::new(rng) }
    }

    /// A die for a wait.
    pub(super) fn jitter(&self) -> Jitter {
        Jitter::new(self.fraction())
    }

    /// A number in `[0, 1)`.
    pub(super) fn fraction(&self) -> f64 {
        self.rng().random()
    }

    /// An id for a new claim.
    pub(super) fn claim_id(&self, clock: &dyn Clock) -> ClaimId {
        ClaimId::generate(unix_ms(clock), self.rng().random())
    }

    /// An id for a new process.
    pub(super) fn process_id(&self, clock: &dyn Clock) -> ProcessId {
        ProcessId::generate(unix_ms(clock), self.rng().random())
    }

    /// Dice of their own for a part that rolls many.
    pub(super) fn fork(&self) -> StdRng {
        StdRng::from_rng(&mut *self.rng())
    }

    fn rng(&self) -> MutexGuard<'_, StdRng> {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds since the Unix epoch, for ids that sort by the time of their making.
fn unix_ms(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.wall().as_us() / 1000).unwrap_or(0)
}

impl fmt::Debug for Dice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dice").finish_non_exhaustive()
    }
}
