//! The binary, with real processes: every command, every exit code, commands as handlers.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/collector.rs"]
mod collector;
#[path = "../support/grpc.rs"]
mod grpc;
#[cfg(feature = "mysql")]
#[expect(dead_code, reason = "other tests need more of it")]
#[path = "../support/mariadb_server.rs"]
mod mariadb_server;
#[path = "../support/program.rs"]
mod program;
#[expect(dead_code, reason = "other tests need more of it")]
#[path = "../support/redis_server.rs"]
mod redis_server;

mod auth;
mod bench;
mod changes;
mod collectors;
mod demo;
mod endpoints;
mod events;
mod exec;
mod exits;
mod fields;
mod leaves;
mod looks;
mod moving;
mod reference;
mod settings;
mod starts;
mod traces;
mod worker_traces;
