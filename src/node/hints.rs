//! Hints that something became claimable.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::Notify;

use super::core::Core;
use super::outage::Outage;

/// Where hints arrive.
#[derive(Debug, Default)]
pub(super) struct HintBox {
    arrived: Notify,
    come: AtomicBool,
}

impl HintBox {
    /// Whether hints come at present.
    pub(super) fn come(&self) -> bool {
        self.come.load(Relaxed)
    }

    /// Returns when there was a hint since the last call.
    pub(super) async fn hinted(&self) {
        self.arrived.notified().await;
    }

    fn set(&self, come: bool) {
        self.come.store(come, Relaxed);
        self.arrived.notify_one();
    }
}

/// Listens for hints and passes them on, until it is dropped; ends if the store gives none.
///
/// When hints broke, some may be lost: the claimer then looks for itself.
pub(super) async fn listen(core: Arc<Core>, hints: Arc<HintBox>) {
    let mut outage = Outage::new("hints");
    loop {
        let error = match core.store.hints(&core.process).await {
            Ok(None) => return,
            Err(error) => error,
            Ok(Some(mut stream)) => {
                outage.over();
                hints.set(true);
                loop {
                    match stream.next().await {
                        Ok(()) => hints.arrived.notify_one(),
                        Err(error) => break error,
                    }
                }
            }
        };
        hints.set(false);
        outage.wait(&core, &error).await;
    }
}
