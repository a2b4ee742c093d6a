//! One suite that every store passes: each sentence of the contract, as a test.
//!
//! The suite is compiled once per store and calls `super::shed()` for a fresh one, so a test is
//! added by writing it. `cargo test --test conformance memory::` needs nothing installed.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::duplicate_mod, reason = "the suite is compiled once per store")]

#[cfg(feature = "redis")]
mod cluster;
mod fixture;
#[cfg(feature = "redis")]
#[path = "../support/gathered.rs"]
mod gathered;
#[cfg(feature = "mysql")]
mod mariadb;
#[cfg(feature = "mysql")]
#[path = "../support/mariadb_server.rs"]
#[expect(dead_code, reason = "other tests kill and restart their server")]
mod mariadb_server;
mod memory;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
#[path = "../support/redis_cluster.rs"]
#[expect(dead_code, reason = "other tests move slots and kill servers")]
mod redis_cluster;
#[cfg(feature = "redis")]
#[path = "../support/redis_server.rs"]
#[expect(dead_code, reason = "other tests kill and restart their server")]
mod redis_server;
mod requests;
#[cfg(feature = "sqlite")]
mod sqlite;
