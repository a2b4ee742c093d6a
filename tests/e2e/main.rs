//! A cluster of real processes on real stores: the main job, dead nodes, and what repeats.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "figures that are worth a look and no assertion")]

#[path = "../support/exposition.rs"]
mod exposition;
#[expect(dead_code, reason = "other tests need more of it")]
#[path = "../support/mariadb_server.rs"]
mod mariadb_server;
#[expect(dead_code, reason = "other tests need more of it")]
#[path = "../support/program.rs"]
mod program;
#[expect(dead_code, reason = "other tests need more of it")]
#[path = "../support/redis_cluster.rs"]
mod redis_cluster;
#[expect(dead_code, reason = "other tests need more of it")]
#[path = "../support/redis_server.rs"]
mod redis_server;
mod witness;

mod crashes;
mod files;
mod frozen;
mod import;
mod lost;
mod metrics;
mod prometheus;
mod recurring;
mod schedules;
mod workers;
