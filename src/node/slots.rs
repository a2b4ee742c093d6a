//! How many more tasks a node may take.
//!
//! A task counts from its claim until its run has ended and its verdict was passed on; one whose
//! handler cannot be stopped, until that ends by itself. While runs are short a node stretches: it
//! takes some more tasks than it has slots, which wait in its [`line`](super::line).
//!
//! Suspects, whose nodes died while they ran, are counted apart (N4): a node runs at most
//! max(1, slots / 8) tasks with two crashes and one with three; beside one with four nothing else
//! runs.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use tokio::sync::Notify;

use crate::domain::retry::CRASHES_MAX;
use crate::domain::task::SUSPECT_CRASHES;
use crate::store::SuspectRoom;

/// The slots of a node.
#[derive(Debug)]
pub(super) struct Slots {
    total: usize,
    /// How many more may be taken than there are slots.
    stretch: AtomicUsize,
    /// For claims that are under way.
    reserved: AtomicUsize,
    held: AtomicUsize,
    two: AtomicUsize,
    three: AtomicUsize,
    alone: AtomicUsize,
    is_awaited: AtomicBool,
    freed: Notify,
}

impl Slots {
    pub(super) fn new(total: usize) -> Self {
        let count = AtomicUsize::default;
        Self {
            total,
            stretch: count(),
            reserved: count(),
            held: count(),
            two: count(),
            three: count(),
            alone: count(),
            is_awaited: AtomicBool::new(false),
            freed: Notify::new(),
        }
    }

    /// How many tasks may be taken now: none beside a task that must run alone.
    pub(super) fn free(&self) -> usize {
        if self.alone.load(SeqCst) > 0 {
            return 0;
        }
        self.room().saturating_sub(self.taken())
    }

    /// Whether at least half of what may be taken is free.
    pub(super) fn are_mostly_free(&self) -> bool {
        self.free() * 2 >= self.room()
    }

    /// Whether it is worth it to take some: a slot is free, or most of what may be taken.
    pub(super) fn want_some(&self) -> bool {
        self.free() > 0 && (self.taken() < self.total || self.are_mostly_free())
    }

    /// Whether with `count` more tasks there would be more than slots.
    pub(super) fn would_exceed(&self, count: usize) -> bool {
        self.taken() + count > self.total
    }

    /// Lets so many more tasks be taken than there are slots.
    pub(super) fn stretch(&self, by: usize) {
        self.stretch.store(by, SeqCst);
    }

    /// How many tasks may be taken in all.
    pub(super) fn room(&self) -> usize {
        self.total + self.stretch.load(SeqCst)
    }

    /// Whether more tasks are held than there are slots.
    pub(super) fn are_exceeded(&self) -> bool {
        self.held() > self.total
    }

    /// How many slots are in use.
    pub(super) fn used(&self) -> usize {
        self.held().min(self.total)
    }

    fn taken(&self) -> usize {
        self.held() + self.reserved.load(SeqCst)
    }

    /// How many tasks are held.
    pub(super) fn held(&self) -> usize {
        self.held.load(SeqCst)
    }

    /// How many of them are suspects.
    pub(super) fn suspects(&self) -> usize {
        [&self.two, &self.three, &self.alone].into_iter().map(|count| count.load(SeqCst)).sum()
    }

    /// What may be taken of suspects.
    pub(super) fn suspect_room(&self) -> SuspectRoom {
        let two_max = (self.total / 8).max(1);
        SuspectRoom {
            two: two_max.saturating_sub(self.two.load(SeqCst)),
            three: 1_usize.saturating_sub(self.three.load(SeqCst)),
            idle: self.held() == 0 && self.reserved.load(SeqCst) == 0,
        }
    }

    /// Reserves `count` slots for a claim. Only the claimer does, so no more than are free.
    pub(super) fn reserve(&self, count: usize) {
        self.reserved.fetch_add(count, SeqCst);
    }

    /// Takes `count` of the `reserved` slots of a claim that was answered; the others are free.
    pub(super) fn take(&self, count: usize, reserved: usize) {
        self.held.fetch_add(count, SeqCst);
        self.reserved.fetch_sub(reserved, SeqCst);
    }

    /// Notes that a slot just taken is for a task with `crashes`.
    pub(super) fn note_suspect(&self, crashes: u32) {
        if let Some(counter) = self.counter(crashes) {
            counter.fetch_add(1, SeqCst);
        }
    }

    /// Gives the slot of a task with `crashes` back.
    pub(super) fn give_back(&self, crashes: u32) {
        if let Some(counter) = self.counter(crashes) {
            counter.fetch_sub(1, SeqCst);
        }
        self.held.fetch_sub(1, SeqCst);
        if self.is_awaited.load(SeqCst) {
            self.freed.notify_one();
        }
    }

    fn counter(&self, crashes: u32) -> Option<&AtomicUsize> {
        match crashes {
            ..SUSPECT_CRASHES => None,
            SUSPECT_CRASHES => Some(&self.two),
            crashes if crashes + 1 < CRASHES_MAX => Some(&self.three),
            _ => Some(&self.alone),
        }
    }

    /// Returns when `is_enough` holds of these slots. One waiter at a time.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and asked again.
    pub(super) async fn wait_until(&self, is_enough: impl Fn(&Self) -> bool) {
        while !is_enough(self) {
            self.is_awaited.store(true, SeqCst);
            if !is_enough(self) {
                self.freed.notified().await;
            }
        }
        self.is_awaited.store(false, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards N4.
    #[test]
    fn suspects_have_little_room_and_the_last_chance_is_taken_alone() {
        let slots = Slots::new(32);
        assert_eq!(slots.suspect_room(), SuspectRoom { two: 4, three: 1, idle: true });

        slots.reserve(9);
        assert_eq!((slots.free(), slots.suspect_room().idle), (23, false));
        slots.take(3, 9);
        slots.note_suspect(1);
        slots.note_suspect(2);
        slots.note_suspect(3);
        assert_eq!(slots.suspect_room(), SuspectRoom { two: 3, three: 0, idle: false });
        assert_eq!(slots.free(), 29);

        for crashes in [1, 2, 3] {
            slots.give_back(crashes);
        }
        slots.take(1, 0);
        slots.note_suspect(4);
        assert_eq!(slots.free(), 0);
        slots.give_back(4);
        assert_eq!(slots.free(), 32);
    }

    #[test]
    fn a_node_that_stretches_takes_some_when_a_slot_or_half_of_all_is_free() {
        let slots = Slots::new(10);
        slots.take(10, 0);
        assert_eq!((slots.free(), slots.want_some(), slots.are_exceeded()), (0, false, false));

        slots.stretch(30);
        assert_eq!((slots.free(), slots.want_some(), slots.would_exceed(1)), (30, true, true));
        slots.take(15, 0);
        assert_eq!((slots.free(), slots.want_some(), slots.are_exceeded()), (15, false, true));
        assert_eq!((slots.held(), slots.used()), (25, 10));

        slots.stretch(0);
        assert_eq!(slots.free(), 0);
        (0..16).for_each(|_| slots.give_back(0));
        assert_eq!((slots.free(), slots.want_some(), slots.would_exceed(1)), (1, true, false));
        assert!(slots.would_exceed(2));
    }

    #[test]
    fn a_small_node_still_has_room_for_one_suspect() {
        assert_eq!(Slots::new(1).suspect_room(), SuspectRoom { two: 1, three: 1, idle: true });
    }
}
