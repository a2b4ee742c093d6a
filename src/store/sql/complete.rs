//! A run completes in a transaction of its handler's.

use crate::store::AckItem;
use crate::store::Acked;

use super::Answer;
use super::Step;
use super::Tx;
use super::ack::Returns;
use super::entries;
use super::entries::HandedBack;
use super::entries::TASK_RUN;

/// Hands one outcome back, and touches nothing but its task.
///
/// Until the transaction is over it holds the task's row, so that whoever wants to take the task
/// away waits or passes by, and the order of the commits decides (T5, T6). It leaves the lease alone:
/// a slow transaction must not keep its node from renewing. The ack that the node sends afterwards
/// ends it.
#[derive(Clone, Debug)]
pub(in crate::store) struct Complete(pub(in crate::store) AckItem);

impl Step for Complete {
    type Reply = Acked;

    const METHOD: &'static str = "ack";

    async fn take<T: Tx>(&self, tx: &mut T) -> Answer<Acked> {
        let Self(AckItem { claim, task, fence, spec, verdict }) = self;
        let handed = HandedBack { claim, task, fence: *fence, spec, verdict };
        let mut returns = Returns::new(entries::by_run(tx, &TASK_RUN, &[handed]).await?);
        if !returns.take(&handed, tx) {
            return Ok(Acked::Stale);
        }
        returns.write(tx).await?;
        Ok(Acked::Done)
    }
}
