//! `taskshed bench`: what this machine and this store do with taskshed.
//!
//! | scenario | what it times |
//! |---|---|
//! | `add` | adds, one at a time and in batches |
//! | `drain` | nodes that run tasks which are all due |
//! | `lag` | from the moment that a task is due to the start of its handler |
//! | `cpu` | CPU of this process, while tasks are added and run |
//!
//! Each run is one of these from an empty namespace to an empty namespace, and counts how often each of
//! its tasks ran. The nodes are those of `taskshed node`, in this process; their handler does nothing.

#![expect(clippy::doc_markdown, reason = "these texts are the help, which knows no markdown")]

mod add;
mod cpu;
mod drain;
mod lag;
mod report;
mod site;
mod tally;
mod work;

use clap::Args;
use clap::ValueEnum;
use clap::builder::RangedU64ValueParser;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio_util::sync::CancellationToken;

use crate::config::Flags;
use crate::config::Settings;
use crate::domain::id::Namespace;

use self::report::Report;
use self::report::Run;
use self::site::Site;

use super::failure::Failure;
use super::output;
use super::output::Format;

/// A warm-up takes one of so many tasks.
const WARM_UP_SHARE: usize = 10;

#[derive(Debug, Args)]
pub(super) struct Bench {
    /// Store to measure; as for `taskshed node` [env: TASKSHED_STORE] [default: sqlite:taskshed.db]
    #[arg(long, value_name = "URL")]
    store: Option<String>,

    /// Namespace to measure in, which must have no nodes and no tasks
    #[arg(long, value_name = "NAME", default_value = "bench")]
    namespace: Namespace,

    /// What a write must have reached to count: `memory`, `fsync`, `replicated:N` [env:
    /// TASKSHED_DURABILITY] [default: memory]
    #[arg(long, value_name = "HOW")]
    durability: Option<String>,

    /// What to measure; may be given several times, or as a list [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SCENARIO")]
    scenario: Vec<Scenario>,

    /// Tasks of a run; `lag` takes those of ten seconds at most, `add` a tenth more
    #[arg(long, value_name = "N", default_value = "50000", value_parser = within(10_000_000))]
    tasks: usize,

    /// Nodes that run them, all in this process
    #[arg(long, value_name = "N", default_value = "1", value_parser = within(100))]
    nodes: usize,

    /// Most tasks that a node runs at once
    #[arg(long, value_name = "N", default_value = "500", value_parser = within(100_000))]
    concurrency: usize,

    /// Tasks that fall due each second in `lag`
    #[arg(long, value_name = "N", default_value = "500", value_parser = within(100_000))]
    rate: usize,

    /// Runs of each scenario, after a warm-up with a tenth of the tasks
    #[arg(long, value_name = "N", default_value = "3", value_parser = within(1000))]
    runs: usize,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// How fast tasks are added
    Add,
    /// How fast nodes run tasks that are all due
    Drain,
    /// How late tasks start
    Lag,
    /// What adding and running tasks costs this process in CPU
    Cpu,
}

/// How much is done in a run.
#[derive(Clone, Copy, Debug)]
struct Load {
    tasks: usize,
    nodes: usize,
    /// Most tasks that a node runs at once.
    concurrency: usize,
    /// Tasks that fall due each second.
    rate: usize,
}

fn within(most: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=most)
}

impl Scenario {
    const ALL: [Self; 4] = [Self::Add, Self::Drain, Self::Lag, Self::Cpu];

    fn word(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Drain => "drain",
            Self::Lag => "lag",
            Self::Cpu => "cpu",
        }
    }

    async fn run(self, site: &Site<'_>, load: Load) -> Result<Run, Failure> {
        match self {
            Self::Add => add::run(site, load).await,
            Self::Drain => drain::run(site, load).await,
            Self::Lag => lag::run(site, load).await,
            Self::Cpu => cpu::run(site, load).await,
        }
    }
}

impl Bench {
    pub(super) fn set(&self, flags: &mut Flags) {
        flags.set("store", self.store.clone());
        flags.set("durability", self.durability.clone());
    }

    pub(super) fn run(&self, settings: &Settings, asked: Option<Format>) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let ended = runtime.block_on(async {
            let (signals, stop) = (Signals::listen()?, CancellationToken::new());
            tokio::select! {
                biased;
                () = signals.twice(&stop) => Err(Failure::Refused(format!(
                    "stopped at once; tasks may be left in namespace {}, and the next bench there \
                     removes them",
                    self.namespace
                ))),
                ended = self.measure(settings, Format::chosen(asked), &stop) => ended,
            }
        });
        runtime.shutdown_background();
        ended
    }

    async fn measure(
        &self,
        settings: &Settings,
        format: Format,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let site = Site::open(settings, &self.namespace, self.nodes, stop.clone()).await?;
        let load = Load {
            tasks: self.tasks,
            nodes: self.nodes,
            concurrency: self.concurrency,
            rate: self.rate,
        };
        let mut report = Report::new(format, load, site.product().await?);
        let ended = site.alone(async |site| self.scenarios(site, load, &mut report).await).await;
        report.show()?;
        ended?;
        report.judge()
    }

    /// Runs what was asked for, in the order of the list above.
    async fn scenarios(
        &self,
        site: &Site<'_>,
        load: Load,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let is_asked =
            |scenario: &Scenario| self.scenario.is_empty() || self.scenario.contains(scenario);
        for scenario in Scenario::ALL.into_iter().filter(is_asked) {
            output::note(&format!("{}: a warm-up, {} runs", scenario.word(), self.runs));
            let few = Load { tasks: load.tasks.div_ceil(WARM_UP_SHARE), ..load };
            report.warmed_up(scenario, &scenario.run(site, few).await?);
            for _ in 0..self.runs {
                report.note(scenario, scenario.run(site, load).await?)?;
            }
        }
        Ok(())
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Self { terminate: signal(terminate)?, interrupt: signal(interrupt)? })
    }

    /// Cancels `stop` at the first one, and returns at the second.
    async fn twice(mut self, stop: &CancellationToken) {
        self.next().await;
        stop.cancel();
        output::note("stops, and removes its tasks");
        self.next().await;
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
