//! Primaries that die under load, and slots that move, again and again: what is acknowledged must be
//! there afterwards.
//!
//! The short form kills two or three; `TASKSHED_FAILOVERS` kills more. `--nocapture` shows the counts:
//!
//! ```text
//! TASKSHED_FAILOVERS=20 cargo test --test failover -- --nocapture --test-threads 1
//! ```

#![cfg(feature = "redis")]
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod load;
#[expect(dead_code, reason = "other tests look at single servers")]
#[path = "../support/redis_cluster.rs"]
mod redis_cluster;
#[expect(dead_code, reason = "other tests watch servers of their own")]
#[path = "../support/redis_sentinel.rs"]
mod redis_sentinel;
#[expect(dead_code, reason = "other tests move its clock and stop it")]
#[path = "../support/redis_server.rs"]
mod redis_server;
mod sentinel;

/// Waits.
#[expect(clippy::disallowed_methods, reason = "waits for processes, which have no clock of ours")]
fn pause(length: std::time::Duration) {
    std::thread::sleep(length);
}

/// How many primaries die: what the environment asks for, else `usual`.
#[expect(clippy::disallowed_methods, reason = "who wants more says so by the environment")]
fn failovers(usual: usize) -> usize {
    std::env::var("TASKSHED_FAILOVERS").map_or(usual, |text| text.parse().unwrap())
}
