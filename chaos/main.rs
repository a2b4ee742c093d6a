//! Kills, freezes, cuts and confuses a real cluster, writes down what happened, and says whether the
//! promises of `docs/invariants.md` held.
//!
//! `cargo chaos -- --help` tells what it can; `chaos/README.md` how to read what it says.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it tells what it found")]

mod checker;
mod witness;
mod worker;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;

type Failure = Box<dyn std::error::Error>;

/// Break a cluster of real processes, and see what it keeps of its promises.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Judge a history that was written before.
    Check {
        /// The file.
        history: PathBuf,
    },
    /// Run a node; chaos starts these itself.
    #[command(hide = true)]
    Node(worker::Orders),
}

fn main() -> Result<ExitCode, Failure> {
    match Arguments::parse().command {
        Command::Check { history } => judge(&history),
        Command::Node(orders) => worker::run(&orders),
    }
}

/// Judges a history: 0 if all promises held, 1 if not.
fn judge(history: &Path) -> Result<ExitCode, Failure> {
    let mut lines = checker::history::read(BufReader::new(File::open(history)?))?;
    let judgement = checker::check(&mut lines);
    println!("{}", checker::report::told(&judgement, &lines));
    Ok(if judgement.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
