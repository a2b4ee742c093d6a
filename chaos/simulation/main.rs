//! A whole cluster in one thread, whose time, chance and faults follow from one number.
//!
//! Nodes, leader, keepers and clients run as they do in production, over a store in memory behind a
//! network and a server that fail. Time jumps to what happens next, so that a minute of the cluster
//! takes some milliseconds. What happened is judged by the same `chaos/checker` that judges real
//! clusters. `cargo sim -- --help` tells how to play seeds.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it tells what it found")]

mod actor;
mod call;
#[path = "../checker/mod.rs"]
#[expect(dead_code, reason = "reports of real clusters say more")]
mod checker;
mod client;
mod clocks;
mod command;
#[path = "../../tests/model/dice.rs"]
#[expect(clippy::unwrap_used, reason = "a test of stores uses it, too")]
mod dice;
mod faults;
mod flaw;
mod gate;
mod judge;
mod link;
mod log;
mod missing;
mod plan;
mod process;
mod room;
mod run;
mod server;
#[cfg(test)]
mod tests;
mod told;
#[path = "../witness/mod.rs"]
#[expect(dead_code, unused_imports, reason = "real processes write to files")]
mod witness;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    match command::Orders::of(std::env::args().skip(1)) {
        Ok(orders) => orders.run(),
        Err(help) => {
            eprintln!("{help}");
            ExitCode::from(2)
        }
    }
}
