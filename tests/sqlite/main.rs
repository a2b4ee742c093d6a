//! What only the SQLite store has to prove: processes that die, and disks that fail.
//!
//! The processes are this program again, started for the one test that is ignored otherwise. Each
//! tells what the store acknowledged; afterwards the file must hold all of it.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "how much was done is worth knowing")]

#[path = "../model/dice.rs"]
#[expect(dead_code, reason = "this is a small game")]
mod dice;
mod disk;
mod file;
mod kills;
mod process;
