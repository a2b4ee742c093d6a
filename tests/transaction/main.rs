//! Tasks that are added, and runs that complete, in a transaction of the caller's.
//!
//! One suite for both kinds of database, which calls `super::place()` for a fresh one; beside it what
//! is special to each, processes that are killed at any point, and the example of the documentation.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "how much was done is worth knowing")]
#![expect(clippy::duplicate_mod, reason = "the suite is compiled once per database")]

mod crowd;
#[path = "../model/dice.rs"]
#[expect(dead_code, reason = "this is a small game")]
mod dice;
mod example;
mod files;
mod kills;
mod locks;
mod mariadb;
#[path = "../support/mariadb_server.rs"]
#[expect(dead_code, reason = "other tests kill and restart their server")]
mod mariadb_server;
#[path = "../../docs/examples/order_mail.rs"]
#[expect(dead_code, reason = "it is also a program")]
mod order_mail;
mod read_committed;
mod repeatable_read;
mod shop;
mod sqlite;
