//! Numbers that only grow, cheap enough for every run: some atomic additions, no lock.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Counts what happened.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        if count > 0 {
            self.0.fetch_add(count, Relaxed);
        }
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What the buckets of a histogram are counted in, and how they are shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buckets {
    /// Upper bounds, each inside its bucket. A last bucket without a bound follows.
    bounds: &'static [u64],
    /// What is shown is a count divided by this.
    divisor: f64,
}

impl Buckets {
    /// Lengths in µs, shown in seconds.
    pub(super) const fn of_us(bounds: &'static [u64]) -> Self {
        Self { bounds, divisor: 1e6 }
    }

    /// Whole numbers, shown as they are.
    pub(super) const fn of_counts(bounds: &'static [u64]) -> Self {
        Self { bounds, divisor: 1.0 }
    }
}

/// Counts values by their size.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: Buckets,
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// A histogram at one moment, as it is shown.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) sum: f64,
    pub(super) count: u64,
    /// Upper bound and count of each bucket, not of those below it.
    pub(super) buckets: Vec<(f64, u64)>,
}

impl Histogram {
    pub(super) fn new(buckets: Buckets) -> Self {
        let counts = (0..=buckets.bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { buckets, counts, sum: AtomicU64::new(0) }
    }

    pub(crate) fn observe(&self, value: u64) {
        let at = self.buckets.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(at) {
            count.fetch_add(1, Relaxed);
        }
        self.sum.fetch_add(value, Relaxed);
    }

    pub(crate) fn observe_length(&self, length: Duration) {
        self.observe(u64::try_from(length.as_micros()).unwrap_or(u64::MAX));
    }

    /// How many values were counted.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Relaxed)).sum()
    }

    #[expect(clippy::cast_precision_loss, reason = "shown numbers need not be exact beyond 2^53")]
    pub(super) fn seen(&self) -> Seen {
        let shown = |value: u64| value as f64 / self.buckets.divisor;
        let bounds = self.buckets.bounds.iter().map(|bound| shown(*bound));
        let counts = self.counts.iter().map(|count| count.load(Relaxed));
        let buckets: Vec<_> = bounds.chain([f64::INFINITY]).zip(counts).collect();
        Seen {
            sum: shown(self.sum.load(Relaxed)),
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_in_the_first_bucket_that_it_fits() {
        let histogram = Histogram::new(Buckets::of_us(&[1_000, 500_000]));

        for us in [0, 1_000, 1_001, 500_000, 500_001] {
            histogram.observe_length(Duration::from_micros(us));
        }

        let seen = histogram.seen();
        assert_eq!(seen.buckets, [(0.001, 2), (0.5, 2), (f64::INFINITY, 1)]);
        assert_eq!((seen.count, histogram.count()), (5, 5));
        assert!((seen.sum - 1.002_002).abs() < 1e-9, "{}", seen.sum);
    }
}
