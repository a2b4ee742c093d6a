//! Fresh ids from one generator.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::domain::id::RequestId;
use crate::domain::id::TaskId;
use crate::domain::time::Timestamp;

/// Draws ids; one generator for all clones of a scheduler.
#[derive(Debug)]
pub(super) struct Ids(Mutex<StdRng>);

/// Where the ids of one add come from: a generator, and what orders them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Naming<'a> {
    pub(super) ids: &'a Ids,
    pub(super) wall: Timestamp,
}

impl Ids {
    pub(super) fn new(rng: StdRng) -> Self {
        Self(Mutex::new(rng))
    }

    /// Ids that follow from `seed` alone.
    pub(super) fn of(seed: [u8; 32]) -> Self {
        Self::new(StdRng::from_seed(seed))
    }

    pub(super) fn request(&self) -> RequestId {
        RequestId::generate(self.generator().next_u64())
    }

    pub(super) fn task(&self, wall: Timestamp) -> TaskId {
        TaskId::generate(unix_ms(wall), self.entropy())
    }

    fn entropy(&self) -> [u8; 10] {
        let mut entropy = [0; 10];
        self.generator().fill_bytes(&mut entropy);
        entropy
    }

    fn generator(&self) -> MutexGuard<'_, StdRng> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unix_ms(wall: Timestamp) -> u64 {
    u64::try_from(wall.as_us() / 1000).unwrap_or(0)
}
