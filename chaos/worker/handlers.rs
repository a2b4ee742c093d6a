//! What tasks do in a chaos run.

use std::time::Duration;

use rustix::process::Signal;
use rustix::process::getpid;
use rustix::process::kill_process;
use serde::Deserialize;
use serde::Serialize;
use taskshed::Context;
use taskshed::TaskError;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::node::Builder;

use crate::checker::history::End;
use crate::witness::Noted;
use crate::witness::Witness;

/// Between two beats of a run.
const BEAT_EVERY: Duration = Duration::from_millis(50);

/// What a task that eats memory takes in one bite.
const BITE_BYTES: usize = 8 << 20;

/// What a run is to do.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Deed {
    /// How long it takes.
    pub(crate) ms: u64,
    /// How many attempts fail.
    pub(crate) fails: u32,
    /// Whether runs with an even fence ask to come again later.
    pub(crate) snoozes: bool,
    /// How many nodes in a row it kills.
    pub(crate) kills: u32,
}

/// Registers all handlers: `work`, `block` and `eat`.
pub(crate) fn registered(node: Builder, witness: &Witness) -> Builder {
    let (a, b, c) = (witness.clone(), witness.clone(), witness.clone());
    node.handler("work", move |context, deed| work(a.clone(), context, deed))
        .handler("block", move |context, deed| block(b.clone(), context, deed))
        .handler("eat", move |context, deed| eat(c.clone(), context, deed))
}

/// Waits, and ends as it was told to.
async fn work(witness: Witness, context: Context, deed: Deed) -> Result<u64, TaskError> {
    let noted = Noted::start(&witness, &context, true);
    if deed.kills > context.task().crashes {
        SystemClock.sleep(Duration::from_millis(100)).await;
        kill_process(getpid(), Signal::KILL)?;
    }
    let mut left = Duration::from_millis(deed.ms);
    while !left.is_zero() {
        let part = left.min(BEAT_EVERY);
        tokio::select! {
            cause = context.stopped() => {
                noted.end(End::Stopped);
                return Err(TaskError::retry(format!("stopped: {cause:?}")));
            }
            () = SystemClock.sleep(part) => {}
        }
        noted.beat();
        left -= part;
    }
    if deed.snoozes && context.fence().0.is_multiple_of(2) {
        noted.end(End::Snoozed);
        return Err(TaskError::snooze(Duration::from_millis(200)));
    }
    if context.attempt() <= deed.fails {
        noted.end(End::Failed);
        return Err(TaskError::retry("it was told to fail"));
    }
    noted.end(End::Completed);
    Ok(context.fence().0)
}

/// Blocks its thread, and with others like it the runtime of all handlers.
#[expect(clippy::disallowed_methods, reason = "blocking the runtime is what it is for")]
async fn block(witness: Witness, context: Context, deed: Deed) -> Result<(), TaskError> {
    let noted = Noted::start(&witness, &context, false);
    tokio::task::yield_now().await;
    let beats = deed.ms / 50;
    for _ in 0..beats {
        std::thread::sleep(BEAT_EVERY);
        noted.beat();
    }
    noted.end(End::Completed);
    Ok(())
}

/// Takes memory until its node is killed for it.
async fn eat(witness: Witness, context: Context, deed: Deed) -> Result<(), TaskError> {
    let noted = Noted::start(&witness, &context, true);
    let mut eaten = Vec::new();
    while deed.kills > context.task().crashes {
        eaten.push(vec![1_u8; BITE_BYTES]);
        SystemClock.sleep(Duration::from_millis(5)).await;
        noted.beat();
    }
    noted.end(End::Completed);
    Ok(())
}
