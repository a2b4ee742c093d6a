//! What only the store in MariaDB has to prove: its server's faults, its tables, its plans.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mariadb_server.rs"]
#[expect(dead_code, reason = "other tests make databases")]
mod mariadb_server;
#[path = "../conformance/requests.rs"]
#[expect(dead_code, reason = "other tests ask for more")]
mod requests;

mod cuts;
mod cutter;
mod disk;
mod faults;
mod fixture;
mod fronts;
mod plans;
mod schema;

use mariadb_server::MariadbServer;
