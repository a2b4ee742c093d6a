//! Primaries that die under load, again and again: what is acknowledged must be there afterwards.
//!
//! The short form kills two or three; `TASKSHED_FAILOVERS` kills more. `--nocapture` shows the counts:
//!
//! ```text
//! TASKSHED_FAILOVERS=20 cargo test --test failover -- --nocapture --test-threads 1
//! ```

#![cfg(feature = "redis")]
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod load;
#[expect(dead_code, reason = "other tests watch servers of their own")]
#[path = "../support/redis_sentinel.rs"]
mod redis_sentinel;
#[expect(dead_code, reason = "other tests move its clock and stop it")]
#[path = "../support/redis_server.rs"]
mod redis_server;
mod sentinel;

/// How many primaries die: what the environment asks for, else `usual`.
#[expect(clippy::disallowed_methods, reason = "who wants more says so by the environment")]
fn failovers(usual: usize) -> usize {
    std::env::var("TASKSHED_FAILOVERS").map_or(usual, |text| text.parse().unwrap())
}
