//! Whether there is a node that could run anything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::log::Log;

/// Knows the processes that take work. While there is none, nothing can run again in time, and the history
/// says so.
#[derive(Clone)]
pub(crate) struct Room {
    log: Log,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    up: BTreeSet<String>,
    fault: Option<u64>,
}

const NAME: &str = "no_node";

impl Room {
    pub(crate) fn new(log: &Log) -> Self {
        Self { log: log.clone(), state: Arc::default() }
    }

    pub(crate) fn enter(&self, process: &str) {
        let mut state = self.lock();
        state.up.insert(process.to_owned());
        if let Some(fault) = state.fault.take() {
            self.log.end(fault, NAME, None);
        }
    }

    /// A process ends, or is to end.
    pub(crate) fn leave(&self, process: &str) {
        let mut state = self.lock();
        if state.up.remove(process) && state.up.is_empty() {
            state.fault = Some(self.log.begin(NAME, None));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
