//! The chart and the image, with real helm and podman. Run with `cargo chart`.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "figures that are worth a look and no assertion")]

mod cluster;
#[expect(dead_code, reason = "other tests look at what nodes show")]
#[path = "../support/exposition.rs"]
mod exposition;
mod extensions;
mod fields;
mod helm;
mod hooks;
mod image;
#[expect(dead_code, reason = "other tests make more databases and kill it")]
#[path = "../support/mariadb_server.rs"]
mod mariadb_server;
mod monitoring;
mod nodes;
mod notes;
mod podman;
mod policy;
mod pools;
mod program;
#[expect(dead_code, reason = "other tests move its clock, stop it and let it follow")]
#[path = "../support/redis_server.rs"]
mod redis_server;
mod rendered;
mod table;
mod values;
