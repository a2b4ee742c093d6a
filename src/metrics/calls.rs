//! What is counted of calls to the store.

use std::time::Duration;

use super::count::Buckets;
use super::count::Counter;
use super::count::Histogram;

/// From a call inside this process to one that times out, µs.
const LENGTHS: Buckets = Buckets::of_us(&[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 10_000_000,
]);

/// A method of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Add,
    Fetch,
    List,
    Change,
    Stats,
    Restore,
    SetQueue,
    Claim,
    Keep,
    Drain,
    Ack,
    Hints,
    Campaign,
    Resign,
    Leases,
    Reclaim,
    Maintain,
    Declare,
    Cluster,
    Migrate,
    Prepare,
    Now,
    Check,
}

impl Method {
    /// Its word, in the order of the enum.
    const NAMES: [&str; 23] = [
        "add",
        "fetch",
        "list",
        "change",
        "stats",
        "restore",
        "set_queue",
        "claim",
        "keep",
        "drain",
        "ack",
        "hints",
        "campaign",
        "resign",
        "leases",
        "reclaim",
        "maintain",
        "declare",
        "cluster",
        "migrate",
        "prepare",
        "now",
        "check",
    ];
}

/// Why a call gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Unavailable,
    Full,
    Other,
}

impl Trouble {
    /// Its word, in the order of the enum.
    pub(super) const NAMES: [&str; 3] = ["unavailable", "full", "other"];
}

/// All calls of one method.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) length: Histogram,
    pub(super) errors: [Counter; Trouble::NAMES.len()],
}

/// Calls by their method.
#[derive(Debug)]
pub(super) struct Calls([Call; Method::NAMES.len()]);

impl Default for Calls {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Call {
            length: Histogram::new(LENGTHS),
            errors: Default::default(),
        }))
    }
}

impl Calls {
    pub(super) fn note(&self, method: Method, length: Duration, trouble: Option<Trouble>) {
        let call = &self.0[method as usize];
        call.length.observe_length(length);
        if let Some(trouble) = trouble {
            call.errors[trouble as usize].add(1);
        }
    }

    /// Methods that were called, by name.
    pub(super) fn made(&self) -> impl Iterator<Item = (&'static str, &Call)> {
        let named = Method::NAMES.into_iter().zip(&self.0);
        named.filter(|(_, call)| call.length.count() > 0)
    }
}
