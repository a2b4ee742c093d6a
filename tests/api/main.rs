//! The HTTP API over real connections, and the library's front door behind it.

#![expect(clippy::panic, clippy::unwrap_used, reason = "tests may")]

#[path = "../support/faulty.rs"]
mod faulty;

#[expect(dead_code, reason = "other tests stop and look into theirs")]
#[path = "../support/redis_server.rs"]
mod redis_server;

mod asked;
mod fixture;

mod answers;
mod bytes;
mod fields;
mod fuzz;
mod library;
mod outages;
mod problems;
mod requests;

use fixture::Shed;
