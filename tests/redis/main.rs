//! What only the Redis store has to prove: its server's faults, its settings, its keys.

#![expect(clippy::panic, reason = "tests may")]

#[path = "../support/redis_server.rs"]
mod redis_server;

mod shed;

mod basics;
mod hints;
mod leader;
mod life;

use redis_server::RedisServer;
