//! Which leases are being watched, since when, and for which end.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::id::ClaimId;
use crate::domain::lease::renew_every;
use crate::domain::time::Timestamp;
use crate::store::LeaseView;

/// A lease whose end stood still for long enough to reclaim it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ripe {
    /// The lease.
    pub(super) claim: ClaimId,
    /// The end that it had in both looks.
    pub(super) expires_at: Timestamp,
}

/// Leases that are being watched. All moments are of the leader's own steady clock.
#[derive(Debug, Default)]
pub(super) struct Looks {
    watched: HashMap<ClaimId, Watch>,
    pass: u64,
}

#[derive(Debug)]
struct Watch {
    expires_at: Timestamp,
    /// When the reply of the first look arrived.
    since: Duration,
    ripe_at: Duration,
    /// A renewal would have come within this.
    renewed_every: Duration,
    pass: u64,
}

impl Looks {
    /// Takes what a look showed, and answers what has become ripe.
    ///
    /// A lease is ripe if its end is the one of an earlier look, and this look was `sent` no earlier
    /// than `ripe_at` says of a lease and the moment when the reply of that earlier look arrived. So
    /// the store showed the same end at two moments that are as far apart, however long the replies
    /// took.
    pub(super) fn take(
        &mut self,
        sent: Duration,
        arrived: Duration,
        views: &[LeaseView],
        ripe_at: impl Fn(&LeaseView, Duration) -> Duration,
    ) -> Vec<Ripe> {
        let mut ripe = Vec::new();
        for view in views {
            let first = || Watch {
                expires_at: view.expires_at,
                since: arrived,
                ripe_at: Duration::MAX,
                renewed_every: renew_every(view.ttl),
                pass: self.pass,
            };
            let watch = self.watched.entry(view.claim.clone()).or_insert_with(first);
            if watch.expires_at != view.expires_at {
                *watch = first();
            }
            watch.pass = self.pass;
            watch.ripe_at = ripe_at(view, watch.since);
            if watch.ripe_at <= sent {
                ripe.push(Ripe { claim: view.claim.clone(), expires_at: view.expires_at });
            }
        }
        for Ripe { claim, .. } in &ripe {
            self.watched.remove(claim);
        }
        ripe
    }

    /// Ends a pass over all leases that are to be watched: forgets those it did not show.
    pub(super) fn end_pass(&mut self) {
        let pass = self.pass;
        self.watched.retain(|_, watch| watch.pass == pass);
        self.pass += 1;
    }

    /// Notes that a call took `took`. A lease that should have been renewed within that time is
    /// looked at anew: its holder may have waited for the same answer. A call that failed took
    /// for ever.
    pub(super) fn note_delay(&mut self, took: Duration) {
        self.watched.retain(|_, watch| took <= watch.renewed_every);
    }

    /// When the next lease can become ripe.
    pub(super) fn next_ripe_at(&self) -> Option<Duration> {
        self.watched.values().map(|watch| watch.ripe_at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::NodeName;
    use crate::domain::id::ProcessId;
    use crate::store::HolderKind;

    const SECOND: Duration = Duration::from_secs(1);

    fn view(claim: &str, expires_at_us: i64) -> LeaseView {
        LeaseView {
            claim: ClaimId::parse(claim).unwrap(),
            node: NodeName::parse("a").unwrap(),
            process: ProcessId::parse("p").unwrap(),
            kind: HolderKind::Node,
            ttl: SECOND * 2,
            grace: SECOND,
            expires_at: Timestamp::from_us(expires_at_us),
            crashed: true,
            tasks: Vec::new(),
        }
    }

    fn after_grace(view: &LeaseView, since: Duration) -> Duration {
        since + view.grace
    }

    fn take(looks: &mut Looks, at_ms: u64, views: &[LeaseView]) -> usize {
        let at = Duration::from_millis(at_ms);
        looks.take(at, at, views, after_grace).len()
    }

    /// Guards T3: one look is never enough, and its grace is counted from the reply.
    #[test]
    fn a_lease_is_ripe_at_its_second_look_a_grace_after_the_first() {
        let mut looks = Looks::default();
        let (sent, arrived) = (Duration::ZERO, Duration::from_millis(400));

        assert!(looks.take(sent, arrived, &[view("c", 5)], after_grace).is_empty());
        assert_eq!(take(&mut looks, 1399, &[view("c", 5)]), 0);
        assert_eq!(looks.next_ripe_at(), Some(Duration::from_millis(1400)));
        assert_eq!(take(&mut looks, 1400, &[view("c", 5)]), 1);
        assert_eq!(looks.next_ripe_at(), None);
    }

    /// Guards T3: who renewed in between is alive.
    #[test]
    fn another_end_starts_the_look_anew() {
        let mut looks = Looks::default();

        assert_eq!(take(&mut looks, 0, &[view("c", 5)]), 0);
        assert_eq!(take(&mut looks, 1000, &[view("c", 6)]), 0);
        assert_eq!(take(&mut looks, 1999, &[view("c", 6)]), 0);
        assert_eq!(take(&mut looks, 2000, &[view("c", 6)]), 1);
    }

    /// Guards T3: a lease that went away and came back was renewed.
    #[test]
    fn a_lease_that_a_pass_does_not_show_is_forgotten() {
        let mut looks = Looks::default();

        assert_eq!(take(&mut looks, 0, &[view("c", 5)]), 0);
        looks.end_pass();
        assert_eq!(take(&mut looks, 500, &[]), 0);
        looks.end_pass();

        assert_eq!(take(&mut looks, 1000, &[view("c", 5)]), 0);
    }

    /// Guards T3: while the store was slow, renewals may have waited, too.
    #[test]
    fn an_answer_slower_than_a_renewal_starts_the_looks_anew() {
        let mut looks = Looks::default();

        assert_eq!(take(&mut looks, 0, &[view("c", 5)]), 0);
        looks.note_delay(Duration::from_millis(500));
        assert!(looks.next_ripe_at().is_some());

        looks.note_delay(Duration::from_millis(501));
        assert_eq!(take(&mut looks, 1000, &[view("c", 5)]), 0);
    }
}
