//! Endpoints as handlers: a node that sends its runs to a real server of the test.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod connections;
mod receiver;
mod requests;
mod shed;
