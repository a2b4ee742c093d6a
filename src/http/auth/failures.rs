//! How often wrong tokens came, and from where.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

/// Wrong tokens that may come at once from one address.
const FREE: u32 = 10;

/// After how long one more may come.
const ONE_MORE_AFTER: Duration = Duration::from_secs(6);

/// Most addresses that are remembered. Those that failed last are kept.
const ADDRESSES_MAX: usize = 10_000;

/// Failures by address.
///
/// While an address is over its limit, no token is looked at, so that guessing is not worth while,
/// except those that were right from there before: a client that fails must not lock out the others
/// behind the same proxy.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<HashMap<IpAddr, Record>>);

#[derive(Debug, Default)]
struct Record {
    /// When all of its failures are forgiven: a steady count.
    clear_at: Duration,
    /// Tokens that were right.
    right: BTreeSet<usize>,
}

impl Failures {
    /// Notes which known token came from `peer`, if any. Answers how long it has to wait if it is not
    /// listened to.
    pub(super) fn limit(
        &self,
        peer: Option<IpAddr>,
        found: Option<usize>,
        steady: Duration,
    ) -> Option<Duration> {
        let peer = peer?;
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() >= ADDRESSES_MAX && !records.contains_key(&peer) {
            forget(&mut records, steady);
        }
        let record = records.entry(peer).or_default();
        if found.is_some_and(|index| record.right.contains(&index)) {
            return None;
        }
        let allowed = ONE_MORE_AFTER * (FREE - 1);
        let over = record.clear_at.saturating_sub(steady).saturating_sub(allowed);
        if !over.is_zero() {
            return Some(over);
        }
        match found {
            Some(index) => drop(record.right.insert(index)),
            None => record.clear_at = record.clear_at.max(steady) + ONE_MORE_AFTER,
        }
        None
    }
}

/// Forgets who is forgiven; if that is nobody, all.
fn forget(records: &mut HashMap<IpAddr, Record>, steady: Duration) {
    records.retain(|_, record| record.clear_at > steady);
    if records.len() >= ADDRESSES_MAX {
        records.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const FIRST: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
    const SECOND: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)));

    #[test]
    fn ten_failures_are_free_and_then_one_in_six_seconds() {
        let failures = Failures::default();
        let mut now = Duration::from_secs(100);
        for _ in 0..FREE {
            assert_eq!(failures.limit(FIRST, None, now), None);
        }

        assert_eq!(failures.limit(FIRST, None, now), Some(ONE_MORE_AFTER));
        assert_eq!(failures.limit(SECOND, None, now), None, "another address");
        now += ONE_MORE_AFTER;
        assert_eq!(failures.limit(FIRST, None, now), None);
        assert!(failures.limit(FIRST, None, now).is_some());
        now += ONE_MORE_AFTER * FREE;
        for _ in 0..FREE {
            assert_eq!(failures.limit(FIRST, None, now), None, "all is forgiven");
        }
    }

    #[test]
    fn over_the_limit_only_tokens_pass_that_were_right_before() {
        let failures = Failures::default();
        let now = Duration::from_secs(100);
        assert_eq!(failures.limit(FIRST, Some(0), now), None);
        for _ in 0..FREE {
            assert_eq!(failures.limit(FIRST, None, now), None);
        }

        assert_eq!(failures.limit(FIRST, Some(0), now), None);
        assert!(failures.limit(FIRST, Some(1), now).is_some(), "a guess is not worth while");
    }

    #[test]
    fn the_memory_is_bounded() {
        let failures = Failures::default();
        for index in 0..=u16::MAX {
            let [high, low] = index.to_be_bytes();
            let peer = Some(IpAddr::from([10, 0, high, low]));
            failures.limit(peer, None, Duration::from_secs(100));
        }

        assert!(failures.0.lock().unwrap().len() <= ADDRESSES_MAX);
    }
}
