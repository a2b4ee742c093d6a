//! The command line: the composition root of the binary.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 usage, 3 store or server out of reach.

#![expect(clippy::print_stdout, reason = "what a command finds goes to standard output")]

mod doctor;
mod node;

use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use tracing::error;
use tracing_subscriber::EnvFilter;

use crate::store::Error;
use crate::store::Options;

/// Exit code: refused or failed.
const REFUSED: i32 = 1;

/// Exit code: store or server out of reach.
const OUT_OF_REACH: i32 = 3;

/// A task scheduler and job runner.
#[derive(Debug, Parser)]
#[command(name = "taskshed", version)]
struct Cli {
    /// How log lines are written, to standard error.
    #[arg(long, global = true, value_enum, default_value = "text", env = "TASKSHED_LOG_FORMAT")]
    log_format: LogFormat,

    /// Log more; twice for each poll.
    #[arg(short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,

    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node: it serves the HTTP API and stands for leader.
    Node(node::Args),
    /// Check a store for what would cost tasks or time.
    Doctor(doctor::Args),
}

/// Where tasks live.
#[derive(Debug, clap::Args)]
struct StoreArgs {
    /// Store: `memory:` or `redis://[user:password@]host[:port]/db`, `rediss://` with TLS.
    #[arg(long, env = "TASKSHED_STORE", hide_env_values = true, default_value = "memory:")]
    store: String,

    /// Keeps several clusters apart in one store.
    #[arg(long, env = "TASKSHED_NAMESPACE", default_value = "default")]
    namespace: crate::domain::id::Namespace,
}

impl StoreArgs {
    fn options(&self) -> Options {
        Options { namespace: self.namespace.clone(), ..Options::default() }
    }
}

/// Runs the command of this process and says with which code to exit.
#[must_use]
pub fn main() -> i32 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _standard_error_is_closed = error.print();
            return error.exit_code();
        }
    };
    start_logging(&cli);

    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(%error, "the system has no threads for it");
            return REFUSED;
        }
    };
    let code = runtime.block_on(async {
        match cli.command {
            Command::Node(args) => node::run(args).await,
            Command::Doctor(args) => doctor::run(args).await,
        }
    });
    runtime.shutdown_background();
    code
}

fn start_logging(cli: &Cli) {
    let level = match cli.verbose {
        0 => "info",
        1 => "debug",
        _ => "trace",
    };
    let lines = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::new(format!("warn,taskshed={level}")));
    match cli.log_format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
}

/// Tells why a store cannot be used, and gives the exit code for it.
fn refuse_store(error: &Error) -> i32 {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    if error.is_transient() {
        error!(%error, cause, "the store is out of reach; start it, or name another with --store");
        OUT_OF_REACH
    } else {
        error!(%error, cause, "the store cannot be used");
        REFUSED
    }
}
