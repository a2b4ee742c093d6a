//! Which callbacks this node has.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::domain::id::Callback;

use super::Handler;

/// Handlers by the callback under which they are registered. Cheap to clone.
#[derive(Clone, Default)]
pub struct Handlers {
    by_callback: Arc<BTreeMap<Callback, Arc<dyn Handler>>>,
}

impl Handlers {
    /// Adds a handler; the last one of a callback stays.
    pub fn insert(&mut self, callback: Callback, handler: Arc<dyn Handler>) {
        Arc::make_mut(&mut self.by_callback).insert(callback, handler);
    }

    /// The handler of `callback`.
    #[must_use]
    pub fn find(&self, callback: &Callback) -> Option<&Arc<dyn Handler>> {
        self.by_callback.get(callback)
    }

    /// All callbacks, sorted.
    #[must_use]
    pub fn callbacks(&self) -> Arc<[Callback]> {
        self.by_callback.keys().cloned().collect()
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_callback.keys()).finish()
    }
}
