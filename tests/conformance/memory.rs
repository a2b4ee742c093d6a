//! The suite on the memory store.

use std::sync::Arc;

use taskshed::clock::ManualClock;
use taskshed::store::memory::MemoryStore;

use crate::fixture::Shed;
use crate::fixture::options;
use crate::fixture::start;

#[path = "suite/hints.rs"]
mod hints;
#[path = "suite/mod.rs"]
mod suite;

async fn shed() -> Shed {
    let clock = ManualClock::at(start());
    let store = MemoryStore::new(Arc::new(clock.clone()), options());
    Shed::of(Arc::new(store), clock)
}
