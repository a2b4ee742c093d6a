//! A task is the same on every store, and in every copy: to the byte, as the API shows it.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests ask for more")]
#[path = "../api/asked.rs"]
mod asked;
#[cfg(feature = "mysql")]
#[expect(dead_code, reason = "other tests kill and restart their server")]
#[path = "../support/mariadb_server.rs"]
mod mariadb_server;
#[cfg(feature = "redis")]
#[expect(dead_code, reason = "other tests move slots and kill servers")]
#[path = "../support/redis_cluster.rs"]
mod redis_cluster;
#[cfg(feature = "redis")]
#[expect(dead_code, reason = "other tests kill and restart their server")]
#[path = "../support/redis_server.rs"]
mod redis_server;

mod alike;
mod life;
mod moved;
mod shed;
mod stores;
