//! Hints that something became claimable.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::Notify;

use crate::store::Hints;
use crate::store::Result;

use super::core::Core;
use super::keeper::LEAVE_TIMEOUT;
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

/// Listens for hints and passes them on until the node drains; ends if the store gives none.
///
/// When hints broke, some may be lost: the claimer then looks for itself. A node that drains is deaf
/// before it hands anything back, or the hint of what it hands back could be given to itself.
pub(super) async fn listen(core: Arc<Core>, hints: Arc<HintBox>) {
    let _deaf_at_the_end = core.deaf.clone().drop_guard();
    let mut outage = Outage::new("hints");
    loop {
        let asked = tokio::select! {
            biased;
            () = core.draining.cancelled() => return,
            asked = core.store.hints(&core.process) => asked,
        };
        let error = match asked {
            Ok(None) => return,
            Err(error) => error,
            Ok(Some(stream)) => {
                outage.over();
                hints.set(true);
                match pass_on(&core, &hints, stream).await {
                    Ok(()) => return,
                    Err(error) => error,
                }
            }
        };
        hints.set(false);
        tokio::select! {
            biased;
            () = core.draining.cancelled() => return,
            () = outage.wait(&core, &error) => {}
        }
    }
}

/// Passes hints on until they break, or the node drains.
async fn pass_on(core: &Core, hints: &HintBox, mut stream: Box<dyn Hints>) -> Result<()> {
    loop {
        tokio::select! {
            biased;
            () = core.draining.cancelled() => break,
            hint = stream.next() => hint?,
        }
        hints.arrived.notify_one();
    }
    tokio::select! {
        biased;
        () = stream.end() => {}
        () = core.clock.sleep(LEAVE_TIMEOUT) => {}
    }
    Ok(())
}
