//! Kills, freezes, cuts and confuses a real cluster, writes down what happened, and says whether the
//! promises of `docs/invariants.md` held.
//!
//! `cargo chaos -- --help` tells what it can; `chaos/README.md` how to read what it says.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it tells what it found")]
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "servers and dice of tests fail by panicking"
)]

mod checker;
#[path = "../tests/model/dice.rs"]
mod dice;
mod faults;
mod fleet;
mod load;
#[expect(dead_code, reason = "tests need more of it")]
#[path = "../tests/support/mariadb_server.rs"]
mod mariadb_server;
#[expect(dead_code, reason = "tests need more of it")]
#[path = "../tests/support/redis_sentinel.rs"]
mod redis_sentinel;
#[expect(dead_code, reason = "tests need more of it")]
#[path = "../tests/support/redis_server.rs"]
mod redis_server;
mod report;
mod scenario;
mod suite;
mod witness;
mod worker;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;
use tempfile::TempDir;

use faults::Fault;
use fleet::Kind;
use scenario::RANDOM;
use scenario::Scenario;

type Failure = Box<dyn std::error::Error>;

/// Break a cluster of real processes, and see what it keeps of its promises.
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Action>,
    /// Kind of the store: redis, mariadb or sqlite; with --all several may be given.
    #[arg(long)]
    store: Vec<Kind>,
    /// A store of your own, in which a fresh namespace is used. Its server is left alone.
    #[arg(long, conflicts_with_all = ["store", "all"])]
    url: Option<String>,
    /// What is done to the cluster; see --list.
    #[arg(long, default_value = "kill_node")]
    scenario: String,
    /// Mix all that can be done, by the seed.
    #[arg(long, conflicts_with = "scenario")]
    random: bool,
    /// What all choices follow from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long things are done to the cluster.
    #[arg(long, default_value_t = 12)]
    seconds: u64,
    /// Run each scenario on each store, and random mixes.
    #[arg(long, conflicts_with_all = ["scenario", "random"])]
    all: bool,
    /// With --all: seeds of each, from --seed on.
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    /// With --all: how many run at the same time.
    #[arg(long, default_value_t = 3)]
    parallel: usize,
    /// With --all: do not run again what was run before, and judge again what had failed.
    #[arg(long)]
    resume: bool,
    /// With --all: where to write the report.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Print what was found as one line of JSON.
    #[arg(long, hide = true)]
    json: bool,
    /// Where histories are kept.
    #[arg(long, default_value = "target/chaos")]
    histories: PathBuf,
    /// Name all scenarios and their stores.
    #[arg(long)]
    list: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
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
    let arguments = Arguments::parse();
    match &arguments.command {
        Some(Action::Check { history }) => judge(history, false),
        Some(Action::Node(orders)) => worker::run(orders),
        None if arguments.list => {
            list();
            Ok(ExitCode::SUCCESS)
        }
        None if arguments.all => Ok(suite::run(&arguments)),
        None => play(&arguments),
    }
}

/// Runs one scenario and judges it.
fn play(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let name = if arguments.random { RANDOM } else { &arguments.scenario };
    let scenario = Scenario {
        name: name.to_owned(),
        kind: match &arguments.url {
            Some(url) => Kind::of(url),
            None => arguments.store.first().copied().unwrap_or(Kind::Redis),
        },
        url: arguments.url.clone(),
        seed: arguments.seed,
        seconds: arguments.seconds,
    };
    std::fs::create_dir_all(&arguments.histories)?;
    let moves_own_clock = scenario.needs().clock && scenario.kind == Kind::Sqlite;
    if moves_own_clock && std::env::var_os("CLOCK_SHIFT_FILE").is_none() {
        return again_with_a_clock();
    }
    let history = scenario::history(&arguments.histories.canonicalize()?, &scenario);
    for file in [history.clone(), history.with_extension("log")] {
        if file.exists() {
            std::fs::remove_file(file)?;
        }
    }
    std::env::set_current_dir(env!("CARGO_MANIFEST_DIR"))?;

    println!("{name} on {}, seed {}, {} s", scenario.kind, scenario.seed, scenario.seconds);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(scenario.play(history.clone()))?;
    println!("history: {}", history.display());
    judge(&history, arguments.json)
}

/// Nodes of SQLite have the store's clock in their own process, and so do its users: all of them are
/// started with a clock that can be moved.
fn again_with_a_clock() -> Result<ExitCode, Failure> {
    let dir = TempDir::new()?;
    let ended = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .envs(fleet::clock(dir.path())?)
        .status()?;
    Ok(if ended.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Judges a history: 0 if all promises held, 1 if not.
fn judge(history: &Path, as_json: bool) -> Result<ExitCode, Failure> {
    let mut lines = checker::history::read(BufReader::new(File::open(history)?))?;
    let judgement = checker::check(&mut lines);
    println!("{}", checker::report::told(&judgement, &lines));
    if as_json {
        println!("{}", serde_json::to_string(&suite::Summary::of(&judgement))?);
    }
    Ok(if judgement.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn list() {
    for fault in Fault::ALL {
        let kinds: Vec<_> = fault.kinds().iter().map(ToString::to_string).collect();
        println!("{:<18} {:<22} {}", fault.name(), kinds.join(" "), fault.about());
    }
    println!("{RANDOM:<18} {:<22} all but failover, mixed", "redis mariadb sqlite");
}
