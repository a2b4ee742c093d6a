//! What only the Redis store has to prove: its server's faults, its settings, its keys.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests fail over")]
#[path = "../support/redis_sentinel.rs"]
mod redis_sentinel;
#[expect(dead_code, reason = "other tests move its clock and stop it")]
#[path = "../support/redis_server.rs"]
mod redis_server;

mod proxy;
mod shed;

mod basics;
mod durability;
mod faults;
mod hints;
mod leader;
mod life;
mod login;
mod sentinel;

use redis_server::RedisServer;
