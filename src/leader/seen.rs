//! Who leads, as one node knows it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::domain::id::NodeName;
use crate::domain::id::ProcessId;
use crate::domain::lease::TERM_TTL;
use crate::domain::time::Timestamp;
use crate::events::Event;
use crate::events::Events;
use crate::leader::pace::Pace;
use crate::store::Leader;

/// Who leads, as one node knows it. Cheap to clone; clones are one view, on any thread.
///
/// Every reply that names the leader is noted here: those of the node's beats and of its own bids.
/// A change is told as [`Event::LeaderChanged`].
#[derive(Clone, Debug)]
pub struct Seen {
    clock: Arc<dyn Clock>,
    events: Events,
    view: Arc<Mutex<View>>,
    changed: Arc<Notify>,
}

/// The latest reply.
#[derive(Debug, Default)]
struct View {
    leader: Option<Leader>,
    /// The store's now, `None` before the first reply.
    now: Option<Timestamp>,
    /// When the reply arrived, by the own steady clock.
    arrived: Duration,
    /// When the first reply arrived that showed this very term with this very end.
    since: Duration,
    pace: Pace,
}

impl Seen {
    /// A view in which nothing is known yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, events: Events) -> Self {
        Self { clock, events, view: Arc::default(), changed: Arc::default() }
    }

    /// Notes what a reply says: who leads at the store's `now`.
    ///
    /// `sent` is what [`Clock::steady`] showed before the request was sent. Replies of calls that
    /// were under way at the same time may arrive in either order, so a reply counts only if its
    /// request was sent after the latest one arrived, or if it names a higher term, since terms
    /// only grow (L1).
    pub fn note(&self, sent: Duration, now: Timestamp, leader: Option<&Leader>) {
        self.note_time(sent, now);
        let mut view = self.view();
        let is_later = view.now.is_none() || sent >= view.arrived;
        let is_higher = leader.map(|leader| leader.term) > view.leader.as_ref().map(|old| old.term);
        if !is_later && !is_higher {
            return;
        }

        let old = std::mem::replace(&mut view.leader, leader.cloned());
        view.now = Some(now);
        view.arrived = self.clock.steady();
        if old != view.leader {
            view.since = view.arrived;
        }
        drop(view);

        self.changed.notify_waiters();
        self.tell(old.as_ref(), leader);
    }

    /// Notes what a reply says of the store's clock, and nothing else.
    pub(super) fn note_time(&self, sent: Duration, now: Timestamp) {
        let arrived = self.clock.steady();
        self.view().pace.note(sent, arrived, now);
    }

    /// Since when, by the own clock, the store's is known to run evenly. `None` before the first
    /// reply.
    pub(super) fn even_since(&self) -> Option<Duration> {
        self.view().pace.even_since()
    }

    /// Who leads, as last heard; its term may have ended meanwhile.
    #[must_use]
    pub fn leader(&self) -> Option<Leader> {
        self.view().leader.clone()
    }

    /// The store's now, as far as the latest reply tells: never early, unless the store's clock was
    /// set back since. `None` before the first reply.
    #[must_use]
    pub fn store_now(&self) -> Option<Timestamp> {
        let view = self.view();
        let elapsed = self.clock.steady().saturating_sub(view.arrived);
        view.now.map(|now| now.plus(elapsed))
    }

    /// Who leads by the store's word alone: its term was not renewed for its whole length by the own
    /// clock, so it is not trusted any more. That happens when the store's clock was set back after
    /// the leader had died; its term would go on for as long as that.
    pub(super) fn left_behind(&self, process: &ProcessId) -> Option<ProcessId> {
        let view = self.view();
        let leader = view.leader.as_ref().filter(|leader| leader.process != *process)?;
        view.stands_still().then(|| leader.process.clone())
    }

    /// Returns when `process` may stand: nobody else leads, or the term has ended or stands still.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub(super) async fn until_vacant(&self, process: &ProcessId) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();

            let left = self.taken_for(process);
            if left.is_zero() {
                return;
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = self.clock.sleep(left) => {}
            }
        }
    }

    /// How long the term of another process goes on, if it is not renewed.
    fn taken_for(&self, process: &ProcessId) -> Duration {
        let view = self.view();
        match (&view.leader, view.now) {
            (Some(leader), Some(now)) if leader.process != *process && !view.stands_still() => {
                let ends = view.arrived + leader.until.since(now);
                ends.saturating_sub(self.clock.steady())
            }
            _ => Duration::ZERO,
        }
    }

    fn tell(&self, old: Option<&Leader>, new: Option<&Leader>) {
        let name = |leader: &Leader| (leader.process.clone(), leader.term);
        if old.map(name) == new.map(name) {
            return;
        }
        let term = new.or(old).map(|leader| leader.term).unwrap_or_default();
        let node = new.map(|leader| leader.node.clone());
        tracing::info!(
            node = node.as_ref().map(NodeName::as_str),
            term = term.0,
            "the leader changed"
        );
        self.events.tell(Event::LeaderChanged { node, term });
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    /// Whether the store showed the same end of the same term at two moments that are further apart
    /// than the term is long. Who led has stopped then: it trusts its term for less (L1).
    fn stands_still(&self) -> bool {
        self.arrived.saturating_sub(self.since) >= TERM_TTL
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::domain::id::NodeName;
    use crate::domain::lease::Term;

    fn leader(term: u64) -> Leader {
        Leader {
            node: NodeName::parse("a").unwrap(),
            process: ProcessId::parse("p").unwrap(),
            term: Term(term),
            until: Timestamp::EPOCH.plus(Duration::from_secs(10)),
        }
    }

    fn seen() -> (ManualClock, Seen) {
        let clock = ManualClock::at(Timestamp::EPOCH);
        let seen = Seen::new(Arc::new(clock.clone()), Events::default());
        (clock, seen)
    }

    /// Guards L1: news that overtook each other do not bring an older term back.
    #[test]
    fn a_reply_that_was_overtaken_changes_nothing() {
        let (clock, seen) = seen();
        let early = clock.steady();
        clock.advance(Duration::from_millis(1));
        seen.note(early, Timestamp::EPOCH, Some(&leader(5)));

        seen.note(early, Timestamp::EPOCH, None);
        seen.note(early, Timestamp::EPOCH, Some(&leader(4)));
        assert_eq!(seen.leader(), Some(leader(5)));

        seen.note(early, Timestamp::EPOCH, Some(&leader(6)));
        assert_eq!(seen.leader(), Some(leader(6)));

        seen.note(clock.steady(), Timestamp::EPOCH, None);
        assert_eq!(seen.leader(), None);
    }

    #[test]
    fn only_a_change_of_leader_is_told() {
        let (clock, seen) = seen();
        let mut told = seen.events.listen();

        for reply in [None, Some(leader(5)), Some(leader(5)), None] {
            seen.note(clock.steady(), Timestamp::EPOCH, reply.as_ref());
        }

        let node = Some(leader(5).node);
        assert_eq!(told.try_recv(), Ok(Event::LeaderChanged { node, term: Term(5) }));
        assert_eq!(told.try_recv(), Ok(Event::LeaderChanged { node: None, term: Term(5) }));
        assert!(told.try_recv().is_err());
    }

    #[test]
    fn a_place_is_taken_until_the_term_ends_by_the_stores_clock() {
        let (clock, seen) = seen();
        let now = Timestamp::EPOCH.plus(Duration::from_secs(4));
        seen.note(clock.steady(), now, Some(&leader(5)));
        let other = ProcessId::parse("q").unwrap();

        clock.advance(Duration::from_secs(1));

        assert_eq!(seen.taken_for(&other), Duration::from_secs(5));
        assert_eq!(seen.taken_for(&leader(5).process), Duration::ZERO);
        assert_eq!(seen.store_now(), Some(now.plus(Duration::from_secs(1))));
    }
}
