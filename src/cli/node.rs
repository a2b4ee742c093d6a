//! `taskshed node`: runs a node with its HTTP API.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;
use tracing::info;

use crate::config::NodeConfig;
use crate::config::QueueWeight;
use crate::domain::id::NodeName;
use crate::domain::time::parse_duration;
use crate::http;
use crate::http::Api;
use crate::http::Readiness;
use crate::node::Node;
use crate::node::NodeHandle;
use crate::scheduler::Scheduler;
use crate::store::Store;
use crate::store::connect;

use super::OUT_OF_REACH;
use super::REFUSED;
use super::StoreArgs;
use super::refuse_store;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreArgs,

    /// Where the HTTP API listens; a loopback address.
    #[arg(long, env = "TASKSHED_LISTEN", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,

    /// Name of the node [default: the host's name].
    #[arg(long, env = "TASKSHED_NAME")]
    name: Option<NodeName>,

    /// Most tasks that run at once.
    #[arg(long, env = "TASKSHED_CONCURRENCY", default_value_t = 64)]
    concurrency: usize,

    /// Queues to serve with their weights, such as `default=5,mail=1`.
    #[arg(long, env = "TASKSHED_QUEUES", value_delimiter = ',', value_parser = parse_queue)]
    queues: Vec<QueueWeight>,

    /// Length of a lease.
    #[arg(long, env = "TASKSHED_LEASE", default_value = "10s", value_parser = parse_duration)]
    lease: Duration,

    /// How long running tasks may take to end after SIGTERM.
    #[arg(long, env = "TASKSHED_DRAIN_TIMEOUT", default_value = "25s", value_parser = parse_duration)]
    drain_timeout: Duration,

    /// Do not stand for leader.
    #[arg(long)]
    no_leader: bool,

    /// Serve the API and stand for leader, but run no tasks.
    #[arg(long)]
    no_run: bool,
}

fn parse_queue(text: &str) -> Result<QueueWeight, String> {
    let (name, weight) = text.split_once('=').unwrap_or((text, "1"));
    let queue = name.parse().map_err(|error| format!("queue name {error}"))?;
    let weight = weight.parse().map_err(|_| format!("{weight:?} is not a weight"))?;
    Ok(QueueWeight { queue, weight })
}

impl Args {
    fn config(&self) -> NodeConfig {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let name = self.name.clone().or_else(|| NodeName::parse(&host).ok());
        let fallback = || NodeName::parse("node").expect("a word without control characters");
        let mut config = NodeConfig::new(name.unwrap_or_else(fallback));
        config.concurrency = self.concurrency;
        if !self.queues.is_empty() {
            config.queues.clone_from(&self.queues);
        }
        config.lease = self.lease;
        config.drain_timeout = self.drain_timeout;
        config.stands_for_leader = !self.no_leader;
        config.runs_tasks = !self.no_run;
        config
    }
}

pub(super) async fn run(args: Args) -> i32 {
    if !args.listen.ip().is_loopback() {
        error!(listen = %args.listen, "the API has no authentication yet; listen on loopback");
        return REFUSED;
    }
    let store = match ready_store(&args.store).await {
        Ok(store) => store,
        Err(error) => return refuse_store(&error),
    };
    let node = match Node::builder(Arc::clone(&store)).config(args.config()).build() {
        Ok(node) => node,
        Err(error) => {
            error!(%error, "the node cannot work like that");
            return REFUSED;
        }
    };
    match TcpListener::bind(args.listen).await {
        Ok(listener) => serve_and_run(listener, store, node).await,
        Err(error) => {
            error!(%error, listen = %args.listen, "cannot listen; name another address");
            REFUSED
        }
    }
}

async fn ready_store(args: &StoreArgs) -> crate::store::Result<Arc<dyn Store>> {
    let store = connect::open(&args.store, args.options())?;
    store.prepare().await?;
    Ok(store)
}

async fn serve_and_run(listener: TcpListener, store: Arc<dyn Store>, node: Node) -> i32 {
    let handle = node.handle();
    let looked_at = handle.clone();
    let api = Api::new(Scheduler::new(store)).readiness(move || readiness(&looked_at));
    let (closing, tracker) = (CancellationToken::new(), TaskTracker::new());
    if let Ok(address) = listener.local_addr() {
        info!(node = %handle.config().name, api = %address, "ready");
    }
    tracker.spawn(http::serve(listener, api, closing.clone().cancelled_owned()));
    tracker.spawn(stop_at_second_signal(handle));

    let drained = node.run_until(terminated()).await;
    closing.cancel();
    match drained {
        Ok(drained) if drained.is_clean() => 0,
        Ok(drained) => {
            for task in &drained.unsent {
                error!(task = %task.task, callback = %task.callback, "could not be handed back");
            }
            OUT_OF_REACH
        }
        Err(error) => {
            error!(%error, "the node cannot start");
            REFUSED
        }
    }
}

fn readiness(handle: &NodeHandle) -> Readiness {
    let status = handle.status();
    if status.draining {
        Readiness::Draining
    } else if status.reachable {
        Readiness::Ready
    } else {
        Readiness::StoreAway
    }
}

/// Returns at the first SIGTERM or SIGINT.
async fn terminated() {
    let (Ok(mut term), Ok(mut int)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// The second signal stops runs at once; their leases are given back.
async fn stop_at_second_signal(handle: NodeHandle) {
    terminated().await;
    terminated().await;
    handle.stop_now();
}
