//! Nodes in one process, on the memory store: what each of them promises.

#![expect(clippy::panic, clippy::unwrap_used, reason = "tests may")]

#[expect(dead_code, reason = "other tests need more of it")]
#[path = "../support/exposition.rs"]
mod exposition;
#[expect(dead_code, reason = "other tests need more faults")]
#[path = "../support/faulty.rs"]
mod faulty;
mod shed;

mod choice;
mod drain;
mod lease;
mod line;
mod metrics;
mod outcome;
mod recurring;
mod start;
mod stop;
mod trust;
