//! What a namespace in several partitions of a Redis Cluster promises, where the suite that all stores
//! share looks at one partition: what holds over all of them, and when servers and slots come and go.

#![cfg(feature = "redis")]
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests fail over")]
#[path = "../support/redis_cluster.rs"]
mod redis_cluster;
#[expect(dead_code, reason = "other tests move its clock and stop it")]
#[path = "../support/redis_server.rs"]
mod redis_server;
#[expect(dead_code, reason = "other tests ask for more")]
#[path = "../conformance/requests.rs"]
mod requests;

mod fixture;

mod claims;
mod doctor;
mod faults;
mod leader;
mod names;
mod spread;
