//! A node as a process of its own: built on the library, with handlers that write down what they do.

mod handlers;
mod pulse;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rustix::process::Signal;
use taskshed::Node;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::store;
use taskshed::store::Options;
use taskshed::store::Store;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio_util::sync::CancellationToken;

use crate::checker::history::Event;
use crate::witness::Ledger;
use crate::witness::Observed;
use crate::witness::Witness;

pub(crate) use handlers::Deed;

/// Between two tries to reach a store.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// What a node is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct Orders {
    /// Where the store is.
    #[arg(long)]
    pub(crate) store: String,
    /// Keeps its tasks apart from those of others.
    #[arg(long)]
    pub(crate) namespace: String,
    /// What must have happened to a write before it is acknowledged.
    #[arg(long, default_value = "memory")]
    pub(crate) durability: String,
    /// Where to write what is seen.
    #[arg(long)]
    pub(crate) history: PathBuf,
    /// Name of the node.
    #[arg(long)]
    pub(crate) name: String,
    /// The node's name and how often it was started.
    #[arg(long)]
    pub(crate) process: String,
    /// Length of a lease, ms.
    #[arg(long)]
    pub(crate) lease_ms: u64,
    /// How long runs may take to end after SIGTERM, ms.
    #[arg(long)]
    pub(crate) drain_ms: u64,
    /// Version that it says it is.
    #[arg(long)]
    pub(crate) version: String,
    /// Most tasks that run at once.
    #[arg(long, default_value_t = 40)]
    pub(crate) concurrency: usize,
}

/// Runs a node until SIGTERM. It dies with the process that started it.
pub(crate) fn run(orders: &Orders) -> Result<ExitCode, Box<dyn std::error::Error>> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let book = Arc::new(Ledger::open(&orders.history)?);
    let witness = Witness::new(&orders.process, Arc::new(SystemClock), book);
    witness.see(Event::Joined { node: orders.name.clone(), version: orders.version.clone() });
    pulse::watch(orders.process.clone(), witness.clone())?;

    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let code = runtime.block_on(serve(orders, witness))?;
    runtime.shutdown_background();
    Ok(code)
}

async fn serve(orders: &Orders, witness: Witness) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut asked = signal(SignalKind::terminate())?;
    let leave = CancellationToken::new();
    let (durability, namespace) = (orders.durability.parse()?, orders.namespace.parse()?);
    let options = Options { durability, namespace, ..Options::default() };
    let inner = store::open(&orders.store, options)?;
    let observed: Arc<dyn Store> =
        Arc::new(Observed::new(inner, witness.clone(), Some(&orders.version)));

    while let Err(error) = observed.prepare().await {
        eprintln!("{}: {error}", orders.process);
        tokio::select! {
            _ = asked.recv() => return Ok(ExitCode::SUCCESS),
            () = SystemClock.sleep(AGAIN_AFTER) => {}
        }
    }
    let node = Node::builder(observed)
        .name(&orders.name)
        .lease(Duration::from_millis(orders.lease_ms))
        .drain_timeout(Duration::from_millis(orders.drain_ms))
        .concurrency(orders.concurrency);
    let node = handlers::registered(node, &witness).build()?;
    let left = leave.clone();
    let drained = tokio::select! {
        drained = node.run_until(left.cancelled_owned()) => drained?,
        () = async {
            asked.recv().await;
            leave.cancel();
            std::future::pending::<()>().await;
        } => return Ok(ExitCode::FAILURE),
    };
    Ok(if drained.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(3) })
}
