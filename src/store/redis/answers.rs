//! How large claims may be before their answers are cut into pieces.
//!
//! A server writes 64 KiB of an answer (`NET_MAX_WRITES_PER_EVENT` in its source) and then does what
//! else it was asked before it goes on with the rest. So the tasks of a larger answer come only when
//! the next claim and acks are done as well: server and node then work in turn instead of at once.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use crate::store::BATCH_MAX;

use super::record::Lossy;

/// What an answer should have at most, with some room for larger tasks among others.
const ANSWER_BYTES: usize = 56 * 1024;

/// What a task of an answer has beside its id and record.
const OVERHEAD_BYTES: usize = 8;

/// So many tasks are worth a call, however large they are.
const CLAIM_MIN: usize = 64;

/// Learns how large tasks are in answers.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Of a task, on average; 0 before the first one.
    task_bytes: AtomicUsize,
}

impl Answers {
    /// Learns from the ids and records of an answer. Large ones count as much as small ones.
    pub(super) fn learn(&self, ids: &str, records: &[Lossy]) {
        let records_bytes: usize = records.iter().map(|record| record.0.len()).sum();
        if let Some(bytes) = (ids.len() + records_bytes).checked_div(records.len()) {
            let bytes = bytes + OVERHEAD_BYTES;
            let before = self.task_bytes.load(Relaxed);
            let mean = if before == 0 { bytes } else { (3 * before + bytes) / 4 };
            self.task_bytes.store(mean, Relaxed);
        }
    }

    /// How many tasks an answer should have at most.
    pub(super) fn claim_max(&self) -> usize {
        let bytes = self.task_bytes.load(Relaxed);
        ANSWER_BYTES.checked_div(bytes).map_or(BATCH_MAX, |tasks| tasks.clamp(CLAIM_MIN, BATCH_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_tasks_are_the_fewer_are_claimed() {
        let answers = Answers::default();
        let records = |bytes: usize| (0..10).map(|_| Lossy("x".repeat(bytes))).collect::<Vec<_>>();
        assert_eq!(answers.claim_max(), BATCH_MAX);

        answers.learn("", &[]);
        assert_eq!(answers.claim_max(), BATCH_MAX);

        answers.learn(&"i".repeat(360), &records(180));
        assert_eq!(answers.claim_max(), 256);

        for _ in 0..20 {
            answers.learn(&"i".repeat(360), &records(10_000));
        }
        assert_eq!(answers.claim_max(), CLAIM_MIN);
    }
}
