//! Who waits for work, and who is told of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Weak;

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::domain::id::Callback;
use crate::domain::id::ProcessId;
use crate::domain::id::QueueName;
use crate::domain::time::Timestamp;
use crate::store::Claim;
use crate::store::Hints;
use crate::store::Result;

/// Processes that wait, those that listen, and what is to be told at the end of the step.
#[derive(Debug, Default)]
pub(super) struct Hinting {
    waiters: BTreeMap<ProcessId, Waiter>,
    listeners: BTreeMap<ProcessId, Weak<Notify>>,
    wishes: Vec<Wish>,
}

#[derive(Debug)]
struct Waiter {
    queues: Vec<QueueName>,
    callbacks: Option<Arc<[Callback]>>,
    /// When it looks by itself; `None`: not before it is told.
    wakes_at: Option<Timestamp>,
}

/// Tasks that can be claimed from a moment on.
#[derive(Debug)]
pub(super) struct Wish {
    queue: QueueName,
    callback: Option<Callback>,
    at: Timestamp,
    count: usize,
}

impl Wish {
    /// `count` tasks of `queue`; `callback` is `None` if they may be of any.
    pub(super) fn of(
        queue: &QueueName,
        callback: Option<Callback>,
        at: Timestamp,
        count: usize,
    ) -> Self {
        Self { queue: queue.clone(), callback, at, count }
    }
}

impl Clone for Hinting {
    /// Nobody waits or listens at a copy.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Hinting {
    /// Listens for a process.
    pub(super) fn listen(&mut self, process: &ProcessId) -> MemoryHints {
        let known = self.listeners.get(process).and_then(Weak::upgrade);
        let told = known.unwrap_or_default();
        self.listeners.insert(process.clone(), Arc::downgrade(&told));
        MemoryHints { told }
    }

    /// Enters the claimer, who looks again at `wakes_at` by itself.
    pub(super) fn wait(&mut self, claim: &Claim, wakes_at: Option<Timestamp>) {
        let waiter =
            Waiter { queues: claim.queues.clone(), callbacks: claim.callbacks.clone(), wakes_at };
        self.waiters.insert(claim.holder.process.clone(), waiter);
    }

    /// Takes out a process that does not wait any more.
    pub(super) fn unwait(&mut self, process: &ProcessId) {
        self.waiters.remove(process);
    }

    /// How many processes wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// Notes that there is something to take; without anybody who waits it is not kept.
    pub(super) fn wish(&mut self, wish: Wish) {
        self.wishes.push(wish);
    }

    /// Tells as many waiting processes as there are tasks to take: first those that would sleep
    /// longest, and none that looks by itself before the tasks are due.
    pub(super) fn give(&mut self) {
        for wish in std::mem::take(&mut self.wishes) {
            let mut sleepers: Vec<_> =
                self.waiters.iter().filter(|(_, waiter)| waiter.would_miss(&wish)).collect();
            sleepers.sort_by_key(|(_, waiter)| waiter.wakes_at.unwrap_or(Timestamp::MAX));
            let sleepers: Vec<_> =
                sleepers.into_iter().rev().map(|(process, _)| process.clone()).collect();

            let mut left = wish.count;
            for process in sleepers {
                if left == 0 {
                    break;
                }
                self.waiters.remove(&process);
                if self.tell(&process) {
                    left -= 1;
                }
            }
        }
    }

    /// Answers whether anybody listens for the process.
    fn tell(&mut self, process: &ProcessId) -> bool {
        let listener = self.listeners.get(process).and_then(Weak::upgrade);
        if let Some(told) = &listener {
            told.notify_one();
        } else {
            self.listeners.remove(process);
        }
        listener.is_some()
    }
}

impl Waiter {
    fn would_miss(&self, wish: &Wish) -> bool {
        let takes = match (&self.callbacks, &wish.callback) {
            (Some(callbacks), Some(callback)) => callbacks.contains(callback),
            _ => true,
        };
        takes
            && self.queues.contains(&wish.queue)
            && self.wakes_at.is_none_or(|wakes_at| wakes_at > wish.at)
    }
}

/// Hints for one process.
#[derive(Debug)]
pub(super) struct MemoryHints {
    told: Arc<Notify>,
}

#[async_trait]
impl Hints for MemoryHints {
    async fn next(&mut self) -> Result<()> {
        self.told.notified().await;
        Ok(())
    }
}
