//! What can be typed.

#![expect(clippy::doc_markdown, reason = "these texts are the help, which knows no markdown")]

use std::path::PathBuf;

use clap::Args;
use clap::Parser;
use clap::Subcommand;

use crate::config::Flags;

use super::add::Add;
use super::bench::Bench;
use super::changes::Change;
use super::changes::PauseOrResume;
use super::changes::Reschedule;
use super::cluster::LeaderCommand;
use super::cluster::NodeCommand;
use super::completions::Completions;
use super::configuration::Config;
use super::copy::Copy;
#[cfg(feature = "sqlite")]
use super::demo::Demo;
use super::import::Import;
use super::output::Format;
use super::queues::Queue;
use super::tasks::List;
use super::tasks::Show;

/// A task scheduler and job runner.
///
/// Settings come from flags, else from the environment (TASKSHED_…), else from taskshed.toml.
#[derive(Debug, Parser)]
#[command(name = "taskshed", version, max_term_width = 100)]
pub(super) struct Arguments {
    /// Configuration file [env: TASKSHED_CONFIG] [default: taskshed.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// How log lines look, on standard error [env: TASKSHED_LOG_FORMAT] [default: text]
    #[arg(long, global = true, value_name = "FORMAT", value_parser = ["text", "json"])]
    log_format: Option<String>,

    /// Say more; twice for everything [env: TASKSHED_LOG, such as `taskshed=debug`]
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,

    /// How lists look [default: table on a terminal, else jsonl]
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(super) output: Option<Format>,

    /// API of a node [env: TASKSHED_SERVER] [default: http://127.0.0.1:8090]
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,

    /// What opens that API; a command line is seen by others, so prefer the variable [env:
    /// TASKSHED_TOKEN]
    #[arg(long, global = true, value_name = "TOKEN")]
    token: Option<String>,

    #[command(subcommand)]
    pub(super) command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a node: it claims and runs tasks, stands for leader, and serves the HTTP API
    Node(Box<NodeCommand>),
    /// Watch a small cluster on this machine lose a node and a leader, and no task
    #[cfg(feature = "sqlite")]
    Demo(Demo),
    /// Add a task and print its id
    Add(Box<Add>),
    /// List tasks
    List(List),
    /// Show tasks in full
    Show(Show),
    /// Pause tasks: they are not claimed until they are resumed
    Pause(PauseOrResume),
    /// Resume paused tasks
    Resume(PauseOrResume),
    /// Cancel tasks; running ones are told to stop
    Cancel(Change),
    /// Remove tasks as if they had never been; running ones are told to stop
    Remove(Change),
    /// Run dead, cancelled or expired tasks again
    Retry(Change),
    /// Move tasks to another time
    Reschedule(Reschedule),
    /// Show the queues and how deep they are
    Queues,
    /// Pause or resume a queue
    Queue(Queue),
    /// Show the nodes of the cluster
    Nodes,
    /// Show the leader, or make it resign
    Leader(LeaderCommand),
    /// Follow what happens on a node, one event a line, also across cuts
    Events,
    /// Check whether a store is fit for tasks
    Doctor(StoreFlags),
    /// Bring the schema of a store up to date; nodes may run meanwhile
    Migrate(PlaceFlags),
    /// Copy all tasks of a store into another one
    Copy(Copy),
    /// Copy the tasks of another scheduler into a store
    Import(Import),
    /// Measure what this machine and a store do: adds, runs, lag, CPU; leaves no task behind
    ///
    /// It counts how often each of its tasks runs: exit code 1 if one was lost or ran twice. The load is
    /// real, so whoever else uses the store feels it.
    Bench(Box<Bench>),
    /// Show the settings that are in force
    Config(Config),
    /// Print completions for a shell
    Completions(Completions),
}

/// Where tasks live.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct PlaceFlags {
    /// Where tasks live: `sqlite:PATH`, `mysql://USER:PASSWORD@HOST/DATABASE`,
    /// `redis://HOST:PORT/DB`, `rediss://…`, `redis+sentinel://HOST,HOST/NAME`,
    /// `redis+cluster://HOST,HOST`, `memory:`
    /// [env: TASKSHED_STORE] [default: sqlite:taskshed.db]
    #[arg(long, value_name = "URL")]
    store: Option<String>,

    /// Keeps several clusters apart in one store [env: TASKSHED_NAMESPACE]
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
}

/// Where tasks live, and how well.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct StoreFlags {
    #[command(flatten)]
    place: PlaceFlags,

    /// What a write must have reached to count: `memory`, `fsync`, `replicated:N` [env:
    /// TASKSHED_DURABILITY] [default: memory]
    #[arg(long, value_name = "HOW")]
    durability: Option<String>,

    /// Length of a lease, 1s to 10m [env: TASKSHED_LEASE] [default: 10s]
    #[arg(long, value_name = "LENGTH")]
    lease: Option<String>,
}

/// How a node works.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct NodeFlags {
    #[command(flatten)]
    store: StoreFlags,

    /// Where the HTTP API listens; beyond this machine only with tokens in the file [env:
    /// TASKSHED_LISTEN] [default: 127.0.0.1:8090]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,

    /// Let everybody use the API, wherever it listens [env: TASKSHED_INSECURE]
    #[arg(long)]
    insecure: bool,

    /// Certificate of the API, PEM; read again when it changes [env: TASKSHED_TLS_CERT]
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,

    /// Private key of the certificate, PEM [env: TASKSHED_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,

    /// Name of the node [env: TASKSHED_NAME] [default: the host's name and the port]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Most tasks that run at once [env: TASKSHED_CONCURRENCY] [default: 64]
    #[arg(long, value_name = "N")]
    concurrency: Option<String>,

    /// Queues to serve, with weights: `default=5,mail=1` [env: TASKSHED_QUEUES] [default: default]
    #[arg(long, value_name = "QUEUES")]
    queues: Option<String>,

    /// How long running tasks may take to end at shutdown [env: TASKSHED_DRAIN_TIMEOUT] [default:
    /// 25s]
    #[arg(long, value_name = "LENGTH")]
    drain_timeout: Option<String>,

    /// How long the API goes on at shutdown, until all have heard that this node leaves [env:
    /// TASKSHED_SHUTDOWN_DELAY] [default: 0s]
    #[arg(long, value_name = "LENGTH")]
    shutdown_delay: Option<String>,

    /// How the node learns of work: `event-driven`, `polling:3s` [env: TASKSHED_WAKE] [default:
    /// event-driven]
    #[arg(long, value_name = "HOW")]
    wake: Option<String>,

    /// Do not stand for leader
    #[arg(long)]
    no_leader: bool,

    /// Run no tasks: serve the API, and stand for leader
    #[arg(long)]
    no_run: bool,
}

impl Arguments {
    /// What was given as flags, by the key of each setting.
    pub(super) fn flags(&self) -> Flags {
        let mut flags = Flags::default();
        flags.set("log_format", self.log_format.clone());
        flags.set("server", self.server.clone());
        flags.set("token", self.token.clone());
        match &self.command {
            Command::Node(node) => node.flags().set(&mut flags),
            Command::Doctor(store) => store.set(&mut flags),
            Command::Migrate(place) => place.set(&mut flags),
            Command::Copy(copy) => copy.set(&mut flags),
            Command::Import(import) => import.set(&mut flags),
            Command::Bench(bench) => bench.set(&mut flags),
            Command::Config(config) => config.node().set(&mut flags),
            _ => {}
        }
        flags
    }
}

impl PlaceFlags {
    fn set(&self, flags: &mut Flags) {
        flags.set("store", self.store.clone());
        flags.set("namespace", self.namespace.clone());
    }
}

impl StoreFlags {
    fn set(&self, flags: &mut Flags) {
        self.place.set(flags);
        flags.set("durability", self.durability.clone());
        flags.set("node.lease", self.lease.clone());
    }
}

impl NodeFlags {
    fn set(&self, flags: &mut Flags) {
        let no = |is_given: bool| is_given.then(|| "false".to_owned());
        self.store.set(flags);
        flags.set("node.listen", self.listen.clone());
        flags.set("node.insecure", self.insecure.then(|| "true".to_owned()));
        flags.set("node.tls_cert", self.tls_cert.clone());
        flags.set("node.tls_key", self.tls_key.clone());
        flags.set("node.name", self.name.clone());
        flags.set("node.concurrency", self.concurrency.clone());
        flags.set("node.queues", self.queues.clone());
        flags.set("node.drain_timeout", self.drain_timeout.clone());
        flags.set("node.shutdown_delay", self.shutdown_delay.clone());
        flags.set("node.wake", self.wake.clone());
        flags.set("node.leader", no(self.no_leader));
        flags.set("node.run", no(self.no_run));
    }
}
