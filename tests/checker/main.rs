//! The checker of histories, fed with good and bad ones that were written by hand.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::needless_pass_by_value, reason = "JSON is written where it is handed over")]

#[path = "../../chaos/checker/mod.rs"]
mod checker;
mod hand;

mod lines;
mod nodes;
mod tasks;
