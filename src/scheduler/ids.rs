//! Fresh ids from one generator.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use rand::Rng;
use rand::rngs::StdRng;

use crate::domain::id::RequestId;
use crate::domain::id::TaskId;
use crate::domain::time::Timestamp;

/// Draws ids; one generator for all clones of a scheduler.
#[derive(Debug)]
pub(super) struct Ids(Mutex<StdRng>);

impl Ids {
    pub(super) fn new(rng: StdRng) -> Self {
        Self(Mutex::new(rng))
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
