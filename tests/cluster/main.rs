//! Nodes in one process, on the memory store: what each of them promises.

#![expect(clippy::panic, clippy::unwrap_used, reason = "tests may")]

#[path = "../support/faulty.rs"]
mod faulty;
mod shed;

mod choice;
mod drain;
mod lease;
mod outcome;
mod recurring;
mod stop;
mod trust;
